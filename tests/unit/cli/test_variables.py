"""Variables that nothing reads are named, at the start and by doctor."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from leveret.cli.variables import unknown_variables
from leveret_core.settings import Settings
from support.command_line import command

ROOT = Path(__file__).resolve().parents[3]


def test_a_slip_is_named_with_what_may_be_meant() -> None:
    names = ["LEVERET_POOLSIZE", "LEVERET_DATABSE_URL", "LEVERET_ZZZ", "LEVERET_POOL_SIZE", "LEVERET_GRACE", "OTHER"]
    assert list(unknown_variables(names, Settings.model_fields)) == [
        ("LEVERET_DATABSE_URL", "; did you mean LEVERET_DATABASE_URL?"),
        ("LEVERET_POOLSIZE", "; did you mean LEVERET_POOL_SIZE?"),
        ("LEVERET_ZZZ", ""),
    ]


def test_every_variable_that_the_pages_name_is_known() -> None:
    pages = [
        *ROOT.glob("docs/*.md"),
        ROOT / "README.md",
        ROOT / "compose.yaml",
        ROOT / ".env.example",
        ROOT / "deploy/Dockerfile",
    ]
    named = {name for page in pages for name in re.findall(r"\bLEVERET_[A-Z_]*[A-Z]\b", page.read_text())}
    assert [name for name, _ in unknown_variables(named, Settings.model_fields)] == []


def test_doctor_names_it() -> None:
    nowhere = {
        "DATABASE_URL": "postgresql://127.0.0.1:1/x",
        "REDIS_URL": "redis://127.0.0.1:1",
        "AMQP_URL": "amqp://127.0.0.1:1",
    }
    done = command("doctor", env={f"LEVERET_{name}": url for name, url in nowhere.items()} | {"LEVERET_POOLSIZE": "3"})
    assert "nothing reads LEVERET_POOLSIZE; did you mean LEVERET_POOL_SIZE?" in done.out


def test_a_server_names_it_at_its_start() -> None:
    env = {"LEVERET_DATABASE_URL": "postgresql://127.0.0.1:1/x", "LEVERET_POOLSIZE": "3"}
    done = command("api", "--wait", "0", env=env)
    assert done.code != 0
    assert "nothing reads the variable LEVERET_POOLSIZE; did you mean LEVERET_POOL_SIZE?" in done.err


@pytest.mark.parametrize("words", [("--seconds", "5", "--rate", "20"), ("--seconds", "5", "--rate", "49")])
def test_bench_refuses_at_once_what_would_tell_no_latency(words: tuple[str, ...]) -> None:
    done = command("bench", "--count", "60000", *words)
    assert done.code == 2
    assert "--rate times (--seconds less 2) must be at least 150" in done.err
