"""The benchmarks of docs/performance.md run, on small numbers: what they measure is looked at by people."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from support.rabbitmq import rabbitmq_programs
from support.servers import NotAvailable

ROOT = Path(__file__).parents[2]


async def measured(script: str, *options: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        ROOT / "tests/benchmarks" / script,
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if not name.startswith("LEVERET_")},
    )
    out, err = await asyncio.wait_for(process.communicate(), 100)
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_each_statement_of_the_page_has_its_plan() -> None:
    page = await measured("plans.py", "--jobs", "2000", "--occurrences", "60000")
    assert "| `attempts/claim` | A hundred claims |" in page
    assert page.count("Execution Time") == page.count("\n## ") > 15


async def test_a_moment_in_which_many_are_due_is_worked_off() -> None:
    try:
        rabbitmq_programs()
    except NotAvailable as why:
        pytest.skip(str(why))
    found = json.loads(await measured("scale.py", "--jobs", "500", "--due", "300"))
    assert found["succeeded"] == 300
    assert 0 <= found["all_created_after_s"] <= found["all_ended_after_s"]
