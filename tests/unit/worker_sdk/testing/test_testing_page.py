"""The page docs/testing.md shows tests that pass."""

from __future__ import annotations

import inspect
import re
import sys
import types
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from leveret import registry
from leveret.testing import Environment

PAGE = (Path(__file__).parents[4] / "docs" / "testing.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def module_of(number: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(registry.default_registry, "_handlers", dict[str, registry.Handler]())
    module = types.ModuleType(f"testing_page_{number}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(BLOCKS[number], module.__name__, "exec"), module.__dict__)
    return module.__dict__


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """Where a time-machine was told to go: the library is not installed for the sake of one example."""
    moves: list[datetime] = []

    @contextmanager
    def travel(destination: float, *, tick: bool) -> Generator[types.SimpleNamespace]:
        yield types.SimpleNamespace(move_to=moves.append)

    monkeypatch.setitem(sys.modules, "time_machine", types.SimpleNamespace(travel=travel))
    return moves


def app_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module that examples name."""
    module = types.ModuleType("app.jobs")
    monkeypatch.setitem(sys.modules, "app", types.ModuleType("app"))
    monkeypatch.setitem(sys.modules, "app.jobs", module)
    exec("from leveret import job\n@job('app')\ndef work() -> None: ...", module.__dict__)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
async def test_every_example_passes(
    number: int, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config, followed: list[datetime]
) -> None:
    # As the plugin says, which a development environment may not have installed yet.
    pytestconfig.addinivalue_line("markers", "leveret(handlers, **options): arguments of the Environment")
    made = module_of(number, monkeypatch)
    app_jobs(monkeypatch)
    tests = [value for name, value in made.items() if name.startswith("test_")]
    assert tests or "leveret_options" in made
    for test in tests:
        if "leveret_env" in inspect.signature(test).parameters:
            (mark,) = test.pytestmark
            with Environment(*mark.args, **mark.kwargs) as env:
                test(env)
        elif inspect.iscoroutinefunction(test):
            await test()
        else:
            test()
    assert bool(followed) == ("time_machine" in made)


def test_the_words_of_the_failure_on_the_page_are_those_of_the_kit() -> None:
    shown = re.search(r"```text\nAssertionError: (.*?)\n```", PAGE, re.DOTALL)
    assert shown is not None
    source = (Path(__file__).parent / "test_environment.py").read_text()
    for line in shown[1].splitlines():
        for part in re.split(r"(?<=; it did 1 time\. )", line):
            assert part in source, part


def test_what_the_page_says_of_methods_is_there() -> None:
    for name in set(re.findall(r"env\.([a-z_]+)\(", PAGE)):
        assert callable(getattr(Environment, name)), name
