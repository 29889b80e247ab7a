"""`@job`, and gathering handlers from modules."""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from leveret import ConfigurationError, Handler, InvalidInput, JobContext, Registry
from leveret.registry import import_handlers


async def greet(name: str) -> str:
    """Say hello.

    At length.
    """
    return f"hello {name}"


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current directory; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_the_function_stays_what_it_was(registry: Registry) -> None:
    assert registry.job("greet.*")(greet) is greet


def test_a_function_may_serve_several_patterns(registry: Registry) -> None:
    registry.job("greet.*")(registry.job("hello")(greet))
    assert [handler.pattern for handler in registry.handlers] == ["hello", "greet.*"]
    assert registry.of(greet) is registry.handlers[0]


def test_a_handler_is_announced_with_what_servers_want_to_know(registry: Registry) -> None:
    registry.job("greet.*", concurrency=3, timeout=9)(greet)
    info = registry.handlers[0].info()
    assert (info.pattern, info.concurrency, info.timeout, info.doc) == ("greet.*", 3, 9, "Say hello.")
    assert info.name.endswith("test_registry.greet")
    assert info.schema is not None
    assert info.schema["properties"] == {"name": {"type": "string"}}


@pytest.mark.parametrize("pattern", ["", "send email", "a..b", "send*", "a.b*"])
def test_a_wrong_pattern_is_refused_where_it_is_written(registry: Registry, pattern: str) -> None:
    with pytest.raises(InvalidInput, match="pattern"):
        registry.job(pattern)(greet)


def test_forgetting_the_pattern_is_explained(registry: Registry) -> None:
    with pytest.raises(InvalidInput, match="the pattern of the job types comes first"):
        registry.job(greet)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"concurrency": 10**6}, {"timeout": 0}, {"timeout": float("nan")}])
def test_options_out_of_range_are_refused(registry: Registry, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(options))):
        registry.job("greet", **options)(greet)


def test_two_functions_for_one_pattern_are_refused_with_both_names(registry: Registry) -> None:
    async def other() -> None: ...

    registry.job("greet.*")(greet)
    with pytest.raises(InvalidInput, match=r"greet.*other"):
        registry.job("greet.*")(other)


def test_a_module_that_is_loaded_again_replaces_its_handlers(registry: Registry) -> None:
    registry.job("greet.*", concurrency=1)(greet)
    registry.job("greet.*", concurrency=2)(greet)
    assert [handler.concurrency for handler in registry.handlers] == [2]


def test_generators_are_handlers_too(registry: Registry) -> None:
    async def steps() -> AsyncIterator[int]:
        yield 1

    def slow_steps() -> Iterator[int]:
        yield 1

    registry.job("steps")(steps)
    registry.job("slow.steps")(slow_steps)
    assert [handler.kind for handler in registry.handlers] == ["async", "thread"]


def test_parameters_that_cannot_be_given_by_name_are_refused(registry: Registry) -> None:
    def positional(a: int, /) -> None: ...

    def many(*values: int) -> None: ...

    for function in (positional, many):
        with pytest.raises(InvalidInput, match="cannot be given by name"):
            registry.job("a.b")(function)


def test_a_type_hint_that_cannot_come_from_json_is_refused(registry: Registry) -> None:
    def handler(client: Registry) -> None: ...

    with pytest.raises(InvalidInput, match="do not describe JSON"):
        registry.job("a.b")(handler)


def test_a_type_hint_that_is_not_there_is_refused(registry: Registry) -> None:
    def handler(value: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore

    with pytest.raises(InvalidInput, match="Missing"):
        registry.job("a.b")(handler)


def test_a_process_handler_must_be_a_plain_function_of_a_module(registry: Registry) -> None:
    def inner() -> None: ...

    for function in (inner, greet):
        with pytest.raises(InvalidInput, match="process=True"):
            registry.job("a.b", process=True)(function)


def test_the_kind_follows_from_the_function() -> None:
    class Callable:
        async def __call__(self, n: int) -> None: ...

    def plain(n: int) -> None: ...

    assert Handler(greet, "a").kind == "async"
    assert Handler(plain, "a").kind == "thread"
    assert Handler(Callable(), "a").kind == "async"
    assert Handler(functools.partial(greet, name="x"), "a").kind == "async"
    assert Handler(plain, "a", process=False).name.endswith("plain")


def test_the_context_is_no_field_of_the_payload() -> None:
    async def annotated(n: int, context: JobContext) -> None: ...

    async def named(n: int, ctx) -> None: ...  # type: ignore[no-untyped-def]  # pyright: ignore

    async def optional(n: int, ctx: JobContext | None = None) -> None: ...

    for function in (annotated, named, optional):
        schema = Handler(function, "a").parameters.schema
        assert schema is not None
        assert list(schema["properties"]) == ["n"]


def write(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text(text)


JOBS = """
from leveret import job
@job("imported.mail.*")
async def mail(): ...
@job("imported.report.#")
async def report(): ...
"""


def test_handlers_come_from_modules_in_the_current_directory(folder: Path) -> None:
    write(folder, "app_jobs", JOBS)
    patterns = [handler.pattern for handler in import_handlers(["app_jobs"])]
    assert {"imported.mail.*", "imported.report.#"} <= set(patterns)


def test_only_picks_handlers_by_pattern(folder: Path) -> None:
    write(folder, "app_jobs", JOBS)
    chosen = import_handlers(["app_jobs"], only=["imported.report.#"])
    assert [handler.pattern for handler in chosen] == ["imported.report.#"]
    with pytest.raises(ConfigurationError, match=r"leaves no handler; there are: .*imported\.mail"):
        import_handlers(["app_jobs"], only=["nothing.*"])


def test_a_module_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no module 'app_jobs'"):
        import_handlers(["app_jobs"])
    with pytest.raises(ConfigurationError, match=r"there is no module 'app_jobs\.mail'"):
        import_handlers(["app_jobs.mail"])


def test_a_path_is_answered_with_the_module_name(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"give the module's name: app\.jobs"):
        import_handlers(["app/jobs.py"])


def test_a_mistake_inside_the_module_is_shown_as_it_is(folder: Path) -> None:
    write(folder, "app_jobs", "import no_such_library")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        import_handlers(["app_jobs"])


def test_modules_without_handlers_are_refused(folder: Path, registry: Registry) -> None:
    write(folder, "app_jobs", "")
    with pytest.raises(ConfigurationError, match="no handlers in app_jobs"):
        import_handlers(["app_jobs"], registry=registry)
