"""One run: however it is interrupted, it ends once, and its slot comes back once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from leveret import Handler, JobContext
from leveret.config import WorkerConfig
from leveret.worker.report.reporter import Ending, Reporter
from leveret.worker.run.runner import Run, StopReason
from leveret_core.messages import Event
from support.eventually import eventually


def no_sink(event: Event) -> None: ...


def no_timer(seconds: float, call: Callable[[], None]) -> None: ...


class Observed:
    """A run and what it told."""

    def __init__(self, function: Any, timeout: float | None = None) -> None:
        self.ends: list[str] = []
        self.freed = 0
        reporter = Reporter(no_sink, no_timer, occurrence=1, attempt=1, token="t", log_limit=10)
        context = JobContext(reporter, job="j", type="a", scheduled_for=datetime.now(UTC), timeout=timeout)
        config = WorkerConfig(stop_grace=0.05)
        payload = msgspec.Raw(b"{}")
        self.run = Run(Handler(function, "a"), context, payload, None, config, on_end=self.end, on_free=self.free)

    def end(self, ending: Ending, duration: float) -> None:
        self.ends.append(ending.outcome)

    def free(self, duration: float) -> None:
        self.freed += 1


@pytest.mark.parametrize(("reason", "ends"), [("cancelled", ["cancelled"]), ("released", ["released"]), ("lost", [])])
@pytest.mark.parametrize("when", ["before", "at once", "later"])
async def test_an_interruption_at_any_time_ends_it_once(reason: StopReason, ends: list[str], when: str) -> None:
    async def handler() -> None:
        await asyncio.sleep(30)

    seen = Observed(handler)
    if when == "before":
        seen.run.stop(reason)
    seen.run.start()
    if when == "at once":
        seen.run.stop(reason)
    elif when == "later":
        await asyncio.sleep(0.01)
        seen.run.stop(reason)
    await eventually(lambda: seen.freed == 1)
    assert seen.ends == ends


async def test_of_two_reasons_the_first_stands() -> None:
    async def handler() -> None:
        await asyncio.sleep(30)

    seen = Observed(handler)
    seen.run.start()
    await asyncio.sleep(0)
    seen.run.stop("cancelled")
    seen.run.stop("released")
    await eventually(lambda: seen.freed == 1)
    assert seen.ends == ["cancelled"]


async def test_an_end_after_the_grace_is_not_told_again() -> None:
    release = asyncio.Event()

    async def handler() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    seen = Observed(handler, timeout=0.01)
    seen.run.start()
    await eventually(lambda: seen.ends == ["timed_out"])
    assert (seen.run.stuck, seen.freed) == (True, 0)
    release.set()
    await eventually(lambda: seen.freed == 1)
    assert seen.ends == ["timed_out"]
