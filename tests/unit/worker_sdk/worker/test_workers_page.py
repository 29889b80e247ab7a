"""docs/workers.md shows code that works."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from leveret import registry
from leveret.config import WorkerConfig

PAGE = (Path(__file__).parents[4] / "docs" / "workers.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> registry.Registry:
    """What `from leveret import job` writes into, for this test only."""
    handlers: dict[str, registry.Handler] = {}
    monkeypatch.setattr(registry.default_registry, "_handlers", handlers)
    monkeypatch.setattr(registry.default_registry, "_lifespans", [])
    return registry.default_registry


def run(number: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    module = types.ModuleType(f"workers_page_{number}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(BLOCKS[number], module.__name__, "exec"), module.__dict__)
    return module.__dict__


async def test_all_examples_run_together_and_those_that_are_tests_pass(
    own_registry: registry.Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested = 0
    for number in range(len(BLOCKS)):
        for name, value in run(number, monkeypatch).items():
            if name.startswith("test_") and inspect.iscoroutinefunction(value):
                await value()
                tested += 1
    assert tested == 2
    assert len(own_registry.handlers) > 8


def test_the_defaults_on_the_page_are_those_of_the_worker() -> None:
    config = WorkerConfig()
    told = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    assert told["grace"] == 30
    assert "default 30" in PAGE
    assert told["stop_grace"] == 5
    assert "for 5 s more" in PAGE
    assert f"{told['log_limit']:,} of an attempt" in PAGE
    assert f"up to {told['buffered_events']:,} records wait" in PAGE
    assert told["result_limit"] == 256 * 1024
    assert told["lease_margin"] == 3
