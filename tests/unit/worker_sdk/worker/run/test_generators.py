"""Handlers that yield their progress."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from leveret import JobContext, Retry
from leveret.registry import Registry
from leveret.testing import run_job
from leveret_core.messages import Cancel
from support.eventually import eventually
from support.fake_broker import FakeServers
from support.workers import serving


async def test_an_asynchronous_generator_yields_fractions_and_messages() -> None:
    async def handler(rows: int) -> AsyncIterator[float | tuple[float, str] | None]:
        yield None
        for row in range(1, rows + 1):
            yield row / rows, f"{row} rows"

    done = await run_job(handler, {"rows": 4})
    assert done.outcome == "succeeded"
    assert done.progress[-1] == (1.0, "4 rows")
    assert done.result is None


async def test_a_plain_generator_returns_its_result() -> None:
    def handler(rows: int) -> Iterator[float]:
        for row in range(1, rows + 1):
            yield row / rows
        return {"rows": rows}  # type: ignore[return-value]  # pyright: ignore

    done = await run_job(handler, {"rows": 4})
    assert (done.outcome, done.result) == ("succeeded", {"rows": 4})
    assert done.progress[-1] == (1.0, "")


@pytest.mark.parametrize("step", ["half", True, (0.5, 1), float("nan")])
async def test_what_is_no_progress_fails_the_attempt_and_says_what_to_yield(step: Any) -> None:
    closed: list[bool] = []

    async def handler() -> AsyncIterator[Any]:
        try:
            yield step
        finally:
            closed.append(True)

    done = await run_job(handler)
    assert done.outcome == "failed"
    assert done.error is not None
    assert "fraction from 0 to 1" in done.error.message or "NaN" in done.error.message
    assert closed == [True]


async def test_outcomes_are_raised() -> None:
    def handler() -> Iterator[float]:
        yield 0.5
        raise Retry("later", after=5)

    done = await run_job(handler)
    assert (done.outcome, done.retry_after) == ("failed", 5)


async def test_a_plain_generator_that_is_cancelled_ends_at_its_next_yield() -> None:
    servers, registry = FakeServers(), Registry()
    begun, after = threading.Event(), list[str]()

    @registry.job("steps")
    def steps(ctx: JobContext) -> Iterator[float]:
        try:
            begun.set()
            while not ctx.cancelled:
                time.sleep(0.001)
            yield 0.5
            after.append("went on")
        finally:
            after.append("closed")

    async with serving(servers, registry) as worker:
        servers.publish("steps")
        await eventually(begun.is_set)
        servers.tell(Cancel(worker=worker.id, occurrence=1, attempt=1))
        await eventually(lambda: servers.outcomes() == ["cancelled"])
        await eventually(lambda: after == ["closed"])


async def test_an_asynchronous_generator_is_cancelled_where_it_waits() -> None:
    servers, registry = FakeServers(), Registry()
    after: list[str] = []

    @registry.job("steps")
    async def steps() -> AsyncIterator[float]:
        try:
            yield 0.1
            after.append("begun")
            await asyncio.sleep(60)
            yield 0.5
        finally:
            after.append("closed")

    async with serving(servers, registry) as worker:
        servers.publish("steps")
        await eventually(lambda: after == ["begun"])
        servers.tell(Cancel(worker=worker.id, occurrence=1, attempt=1))
        await eventually(lambda: servers.outcomes() == ["cancelled"])
    assert after == ["begun", "closed"]
