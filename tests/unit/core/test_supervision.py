"""Tasks that are kept, and tasks that are ended."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Awaitable, Callable

import pytest

from leveret_core import supervision
from leveret_core.supervision import Steps, Supervisor, end_tasks
from support.eventually import eventually


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "BACKOFF_MIN", 0.01)


async def failing() -> None:
    raise KeyError("lost")


async def returning() -> None: ...


async def cancelled_by_mistake() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("ending", "error"), [(failing, "KeyError: 'lost'"), (returning, "it returned"), (cancelled_by_mistake, "CancelledError: ")]
)
async def test_a_task_that_ends_is_started_again_and_says_why(
    ending: Callable[[], Awaitable[None]], error: str, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor, runs = Supervisor(), 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            await ending()
        else:
            await asyncio.Event().wait()

    kept = supervisor.keep("the listener", run)
    await eventually(lambda: runs == 3)
    (state,) = supervisor.states()
    assert (state.name, state.running, state.restarts, state.error) == ("the listener", True, 2, error)
    told = [record for record in caplog.records if "the listener ended" in record.message]
    assert len(told) == 2
    assert told[1].exc_info is None  # the same again tells nothing new
    await supervisor.stop(kept)
    assert kept.task.cancelled()
    assert supervisor.states() == []


async def test_a_step_beyond_its_limit_is_told(caplog: pytest.LogCaptureFixture) -> None:
    supervisor, steps = Supervisor(), Steps("the ingestor", 0.05)
    go_on, done = asyncio.Event(), asyncio.Event()

    async def run() -> None:
        steps.begin()
        await go_on.wait()
        steps.rest()
        done.set()
        await asyncio.Event().wait()

    kept = supervisor.keep("the ingestor", run, steps=steps)
    await eventually(lambda: not supervisor.states()[0].healthy)
    await eventually(lambda: "the ingestor has been at one step for more than 0.05 s" in caplog.text)
    assert not steps.overdue(beyond=60)
    assert not steps.overdue(awake_since=time.monotonic())
    go_on.set()
    await done.wait()
    assert supervisor.states()[0].healthy
    assert "the ingestor goes on" in caplog.text
    await supervisor.stop(kept)


async def test_a_step_that_fails_and_is_tried_again_is_not_done() -> None:
    steps = Steps("the scheduler", 60)
    steps.begin()
    await asyncio.sleep(0.02)
    steps.failed(OSError("gone"))
    steps.begin()
    assert steps.trying > 0.01
    steps.rest()
    assert steps.trying == 0


async def test_a_task_that_may_end_is_left_alone() -> None:
    supervisor, stopping = Supervisor(), asyncio.Event()

    async def run() -> None:
        await stopping.wait()

    kept = supervisor.keep("the feed", run)
    kept.let_end()
    stopping.set()
    await kept.task
    assert supervisor.states()[0].restarts == 0
    await supervisor.stop(kept)


async def test_a_task_that_lost_its_cancellation_is_cancelled_again() -> None:
    async def run() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    assert await end_tasks([task, None], within=0.1) == set()
    assert task.cancelled()


async def test_a_task_that_will_not_end_is_named_and_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    free = asyncio.Event()

    async def run() -> None:
        while not free.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await free.wait()

    task = asyncio.create_task(run(), name="stubborn")
    await asyncio.sleep(0)
    assert await end_tasks([task], within=0.1) == {task}
    assert "stubborn has not ended within 0.1 s" in caplog.text
    free.set()
    await task


async def test_what_fails_while_it_ends_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("gone")

    task = asyncio.create_task(run(), name="closing")
    await asyncio.sleep(0)
    await end_tasks([task])
    assert "closing failed while it ended" in caplog.text


async def test_the_pause_before_a_restart_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "BACKOFF_MIN", 0.05)
    supervisor, starts = Supervisor(), list[float]()

    async def run() -> None:
        starts.append(time.monotonic())
        await failing()

    kept = supervisor.keep("the listener", run)
    await eventually(lambda: len(starts) >= 4)
    await supervisor.stop(kept)
    pauses = [after - before for before, after in itertools.pairwise(starts)]
    assert all(pause >= least for pause, least in zip(pauses, (0.025, 0.05, 0.1), strict=False)), pauses
