"""What handlers log and print is kept with the attempt, whatever library they do it by."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

from leveret import JobContext, Registry
from leveret.config import WorkerConfig
from leveret.testing import run_job
from support.eventually import eventually
from support.fake_broker import FakeServers
from support.workers import serving

app_log = logging.getLogger("test.app")


@pytest.fixture
def servers() -> FakeServers:
    return FakeServers()


@pytest.fixture
def registry() -> Registry:
    return Registry()


@contextmanager
def unconfigured() -> Generator[None]:
    """Logging as in a program that never set it up; a fixture would come before pytest's own handlers."""
    root = logging.root
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    root.setLevel(logging.WARNING)
    try:
        yield
        assert (root.handlers, root.level) == ([], logging.WARNING), "as it was before"
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


async def logged(servers: FakeServers, registry: Registry, job_type: str = "job", **config: Any) -> list[tuple[str, str]]:
    """Level and message of what one run of `job_type` logged."""
    async with serving(servers, registry, **config):
        servers.publish(job_type)
        await eventually(lambda: len(servers.finished) == 1)
    assert servers.outcomes() == ["succeeded"], servers.finished
    return [(event.level, event.message) for event in servers.logs]


async def test_a_users_own_logger_is_shipped_from_info_on_without_any_setup(servers: FakeServers, registry: Registry) -> None:
    @registry.job("job")
    async def job() -> None:
        app_log.debug("too fine")
        app_log.info("begun", extra={"n": 1})
        await asyncio.to_thread(app_log.warning, "from a thread")

    with unconfigured():
        assert await logged(servers, registry) == [("info", "begun"), ("warning", "from a thread")]
    assert servers.logs[0].fields == {"n": 1}


async def test_warnings_outside_of_handlers_are_still_shown_where_logging_is_not_set_up(
    servers: FakeServers, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(logging, "lastResort", logging.StreamHandler(shown))
    logging.lastResort.setLevel(logging.WARNING)  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]

    @registry.job("job")
    async def job() -> None: ...

    with unconfigured():
        async with serving(servers, registry):
            app_log.warning("look here")
            app_log.info("not that important")
    assert shown.getvalue() == "look here\n"


async def test_levels_that_a_program_has_set_are_left_alone(
    servers: FakeServers, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [logging.NullHandler()])
    before = logging.root.level
    logging.root.setLevel(logging.ERROR)

    @registry.job("job")
    async def job(ctx: JobContext) -> None:
        app_log.warning("below")
        app_log.error("above")
        ctx.log.info("the attempt's own")

    try:
        assert await logged(servers, registry) == [("error", "above"), ("info", "the attempt's own")]
        assert logging.root.level == logging.ERROR
    finally:
        logging.root.setLevel(before)


async def test_a_logging_setup_that_disables_other_loggers_does_not_disable_the_attempts(
    servers: FakeServers, registry: Registry
) -> None:
    job_logger = logging.getLogger("leveret.job")
    job_logger.disabled = True  # as dictConfig does by default

    @registry.job("job")
    async def job(ctx: JobContext) -> None:
        ctx.log.info("here")

    assert await logged(servers, registry) == [("info", "here")]


async def test_two_workers_of_a_process_log_each_record_once(servers: FakeServers, registry: Registry) -> None:
    others, other = FakeServers(), Registry()

    async def handler(ctx: JobContext) -> None:
        app_log.warning("once")
        print("once")

    registry.job("job")(handler)
    other.job("job")(handler)
    async with serving(servers, registry, capture_print=True), serving(others, other, log_level="error", capture_print=True):
        servers.publish("job")
        others.publish("job")
        await eventually(lambda: len(servers.finished) == len(others.finished) == 1)
    assert sorted((event.level, event.message) for event in servers.logs) == [("info", "once"), ("warning", "once")]
    assert [(event.level, event.message) for event in others.logs] == [("info", "once")], "by its own level"


async def test_a_test_of_a_handler_sees_the_records_that_a_worker_would_keep() -> None:
    async def handler() -> None:
        app_log.info("begun")
        print("printed")

    before = logging.root.level
    done = await run_job(handler, config=WorkerConfig(capture_print=True))
    assert [record.message for record in done.logs] == ["begun", "printed"]
    assert logging.root.level == before


# Printed lines


async def test_printed_lines_of_a_coroutine_are_records_and_are_still_printed(
    servers: FakeServers, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    @registry.job("job")
    async def job() -> None:
        print("one", 1)
        print("two\nthree\n")
        print("no end of line", end="")
        print("not this", file=sys.stderr)

    lines = await logged(servers, registry, capture_print=True)
    assert lines == [("info", "one 1"), ("info", "two"), ("info", "three"), ("info", "no end of line")]
    assert capsys.readouterr().out == "one 1\ntwo\nthree\n\nno end of line"
    print("afterwards")
    assert capsys.readouterr().out == "afterwards\n"


async def test_lines_printed_by_threads_of_a_handler_do_not_mix(servers: FakeServers, registry: Registry) -> None:
    both = threading.Barrier(2, timeout=10)

    def halves(name: str) -> None:
        print(name, end="")
        both.wait()
        print(name.upper())

    @registry.job("job")
    async def job() -> None:
        await asyncio.gather(asyncio.to_thread(halves, "a"), asyncio.to_thread(halves, "b"))

    assert sorted(await logged(servers, registry, capture_print=True)) == [("info", "aA"), ("info", "bB")]


async def test_printed_lines_of_a_thread_and_of_a_process_are_records(servers: FakeServers, registry: Registry) -> None:
    registry.job("thread")(prints)
    registry.job("process", process=True)(prints)
    assert await logged(servers, registry, "thread", capture_print=True) == [("info", "printed")]
    servers.logs.clear()
    servers.events.clear()
    assert await logged(servers, registry, "process", capture_print=True) == [("info", "printed")]


def prints() -> None:
    print("printed")


async def test_nothing_printed_is_kept_unless_asked_for(servers: FakeServers, registry: Registry) -> None:
    registry.job("job")(prints)
    assert await logged(servers, registry) == []


async def test_a_line_without_end_is_cut_and_not_gathered_for_ever(servers: FakeServers, registry: Registry) -> None:
    @registry.job("job")
    async def job() -> None:
        for _ in range(100):
            print("x" * 1000, end="")

    lines = await logged(servers, registry, capture_print=True)
    assert len(lines) == 2


# structlog


@pytest.fixture
def structlog() -> Iterator[ModuleType]:
    found: ModuleType = pytest.importorskip("structlog")
    found.reset_defaults()
    yield found
    found.reset_defaults()


async def test_structlog_as_it_comes_is_shipped_with_its_fields(
    servers: FakeServers, registry: Registry, structlog: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    before = list(structlog.get_config()["processors"])

    @registry.job("job")
    async def job() -> None:
        log = structlog.get_logger().bind(customer=7)
        log.info("charged", password="1234", amount=3.5)
        log.debug("too fine")
        try:
            raise ValueError("no")
        except ValueError:
            log.exception("failed")

    (info, error) = await logged(servers, registry)
    assert info == ("info", "charged")
    assert servers.logs[0].fields == {"amount": 3.5, "customer": 7, "password": "[redacted]"}
    assert error[0] == "error"
    assert error[1].startswith("failed\n")
    assert "ValueError: no" in error[1]
    assert "charged" in capsys.readouterr().out, "and goes where it went before"
    assert structlog.get_config()["processors"] == before


async def test_a_record_that_is_also_printed_is_kept_once_and_its_secrets_never(
    servers: FakeServers, registry: Registry, structlog: Any
) -> None:
    @registry.job("job")
    async def job() -> None:
        structlog.get_logger().info("done", api_key="s3cret")
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(message)s %(api_key)s"))
        logging.getLogger("test.printed").addHandler(handler)
        try:
            logging.getLogger("test.printed").warning("sent", extra={"api_key": "s3cret"})
        finally:
            logging.getLogger("test.printed").removeHandler(handler)
        print("as it is")

    lines = await logged(servers, registry, capture_print=True)
    assert lines == [("info", "done"), ("warning", "sent"), ("info", "as it is")]
    assert [log.fields for log in servers.logs] == [{"api_key": "[redacted]"}, {"api_key": "[redacted]"}, None]


async def test_structlog_over_logging_is_shipped_once_with_its_fields(
    servers: FakeServers, registry: Registry, structlog: Any
) -> None:
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )

    @registry.job("job")
    async def job() -> None:
        structlog.get_logger("test.app").warning("charged", customer=7)

    assert await logged(servers, registry) == [("warning", "charged")]
    assert servers.logs[0].fields == {"customer": 7}
