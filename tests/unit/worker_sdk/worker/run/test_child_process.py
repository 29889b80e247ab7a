"""Handlers in a process of their own."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psutil
import pytest

from leveret import Handler, JobContext, Registry, Retry
from leveret.config import WorkerConfig
from leveret.worker.report.reporter import Reporter
from leveret.worker.run.child_process import Child
from leveret_core.messages import Cancel, Event
from support.eventually import eventually
from support.fake_broker import FakeServers
from support.workers import serving


def crunch(how: str, ctx: JobContext, path: str = "") -> int:
    """What one run is told to do."""
    match how:
        case "spin":
            Path(path).write_text(str(os.getpid()))
            while True:
                pass
        case "heed":
            while not ctx.cancelled:
                time.sleep(0.01)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "retry":
            raise Retry("later", after=5)
        case "fail":
            raise ValueError("no")
        case "talk":
            logging.getLogger("app").warning("from the child", extra={"n": 1})
            ctx.progress(0.25, "quarter")
        case _:
            pass
    return os.getpid()


@pytest.fixture
def servers() -> FakeServers:
    return FakeServers()


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.job("crunch", process=True, concurrency=2)(crunch)
    return registry


async def test_it_runs_in_another_process_and_reports_like_any_handler(servers: FakeServers, registry: Registry) -> None:
    async with serving(servers, registry):
        servers.publish("crunch", {"how": "talk"})
        await eventually(lambda: servers.outcomes() == ["succeeded"])
        assert int(bytes(servers.finished[0].result)) != os.getpid()
        (log,) = servers.logs
        assert (log.level, log.message, log.fields, log.token) == ("warning", "from the child", {"n": 1}, "token-1-1")
        assert [(event.fraction, event.message) for event in servers.progress] == [(0.25, "quarter")]


async def test_its_errors_and_outcomes_come_across(servers: FakeServers, registry: Registry) -> None:
    async with serving(servers, registry):
        servers.publish("crunch", {"how": "fail"})
        await eventually(lambda: len(servers.finished) == 1)
        servers.publish("crunch", {"how": "retry"})
        await eventually(lambda: len(servers.finished) == 2)
        servers.publish("crunch", {"how": 1})
        await eventually(lambda: len(servers.finished) == 3)
        failed, retried, wrong = servers.finished
        assert failed.error is not None
        assert failed.error.type == "ValueError"
        assert "in crunch" in failed.error.traceback
        assert (retried.outcome, retried.retry_after) == ("failed", 5)
        assert wrong.error is not None
        assert (wrong.error.message, wrong.retry) == ("payload.how: Expected `str`, got `int`", False)


async def test_a_child_that_dies_is_a_failed_attempt(servers: FakeServers, registry: Registry) -> None:
    async with serving(servers, registry) as worker:
        servers.publish("crunch", {"how": "die"})
        await eventually(lambda: servers.outcomes() == ["failed"])
        (finished,) = servers.finished
        assert finished.error is not None
        assert "SIGKILL" in finished.error.message
        assert worker.running == 0


async def test_it_may_stop_by_itself_when_cancelled(servers: FakeServers, registry: Registry) -> None:
    async with serving(servers, registry, stop_grace=30) as worker:
        key = servers.publish("crunch", {"how": "heed"})
        await eventually(lambda: worker.running == 1)
        servers.tell(Cancel(worker=worker.id, occurrence=key[0], attempt=1))
        await eventually(lambda: servers.outcomes() == ["cancelled"])


async def test_it_is_killed_when_it_does_not(servers: FakeServers, registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    async with serving(servers, registry, stop_grace=0.1) as worker:
        servers.publish("crunch", {"how": "spin", "path": str(path)}, timeout=1)
        await eventually(lambda: path.exists() and path.read_text() != "")
        await eventually(lambda: servers.outcomes() == ["timed_out"])
        await eventually(lambda: not psutil.pid_exists(int(path.read_text())))
        assert (worker.running, worker.stuck) == (0, 0)


def a_child(how: str, *, cancelled: bool = False) -> Child:
    def no_sink(event: Event) -> None: ...

    def no_timer(seconds: float, call: Callable[[], None]) -> None: ...

    reporter = Reporter(no_sink, no_timer, occurrence=1, attempt=1, token="t", log_limit=10)
    context = JobContext(reporter, job="j", type="crunch", scheduled_for=datetime.now(UTC))
    context._cancelled = cancelled  # pyright: ignore[reportPrivateUsage]
    return Child(Handler(crunch, "crunch", process=True), context, msgspec.json.encode({"how": how}), WorkerConfig())


async def test_one_that_was_cancelled_before_its_process_began_learns_of_it() -> None:
    ending = await asyncio.to_thread(a_child("heed", cancelled=True).run)
    assert ending.outcome == "succeeded"


async def test_one_that_was_killed_before_its_process_began_never_begins() -> None:
    child = a_child("spin")
    child.kill()
    assert (await asyncio.to_thread(child.run)).outcome == "released"
