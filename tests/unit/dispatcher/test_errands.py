# pyright: reportPrivateUsage=false
"""Errands are ended when they take too long, counted, tried again soon, and begun by a timetable that is looked after."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from leveret_core.store.database import Database
from leveret_core.supervision import Steps
from leveret_dispatcher import loops, timetable
from leveret_dispatcher.leadership.term import Term, boottime
from leveret_dispatcher.loops import Errand
from leveret_dispatcher.schedule import commit_listener
from leveret_dispatcher.schedule.commit_listener import CommitListener
from leveret_dispatcher.timetable import Timetable
from support.eventually import eventually

TOLD = "has been at one step for more than"


async def hangs() -> None:
    await asyncio.Event().wait()


async def fails() -> None:
    raise KeyError("a bug")


async def does_its_work() -> None: ...


def a_term() -> Term:
    return Term(Database("postgresql://nobody@localhost/none", pool_size=1), 1, boottime() + 60)


@pytest.mark.parametrize("step", [hangs, fails])
async def test_one_that_hangs_or_fails_is_counted_and_tried_again_soon(step: Callable[[], Awaitable[None]]) -> None:
    todo = step
    steps = Steps("pruner", 10.0)
    errand = Errand("pruner", lambda: todo(), 600.0, steps, 0.02)
    pauses: list[float] = []
    for _ in range(5):
        await asyncio.wait_for(errand.run_once(), 2)
        pauses.append(errand.pause)
    assert pauses == [5.0, 10.0, 20.0, 30.0, 30.0]
    state = steps.state()
    assert (state.steps, state.failures, state.failing > 0, state.overdue) == (5, 5, True, 0.0)
    assert state.error in ("TimeoutError: it took more than 0.02 s", "KeyError: 'a bug'")

    todo = does_its_work
    await errand.run_once()
    state = steps.state()
    assert (errand.pause, state.failing, state.error, state.failures) == (600.0, 0.0, None, 5)


async def test_one_that_fails_for_a_minute_does_not_do_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps("pruner", 10.0)
    await Errand("pruner", fails, 600.0, steps).run_once()
    assert steps.state().healthy
    monkeypatch.setattr("leveret_core.supervision.PATIENCE", 0.01)
    await asyncio.sleep(0.02)
    assert not steps.state().healthy


async def test_one_that_is_cancelled_leaves_no_step_behind(caplog: pytest.LogCaptureFixture) -> None:
    steps = Steps("pruner", 0.02)
    running = asyncio.create_task(Errand("pruner", hangs, 600.0, steps).run_once())
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running})
    await asyncio.sleep(0.05)
    assert TOLD not in caplog.text
    assert steps.overdue() == 0


async def test_a_listener_that_is_cancelled_leaves_no_step_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    steps = Steps("commit listener", 0.02)
    listener = CommitListener("postgresql://127.0.0.1:1/nowhere", lambda: None, steps)
    monkeypatch.setattr(listener, "_listen", hangs)
    running = asyncio.create_task(listener.run())
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running})
    await asyncio.sleep(0.05)
    assert TOLD not in caplog.text


async def test_a_listener_that_does_not_listen_is_counted_and_one_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_listener, "RETRY", 0.0)
    monkeypatch.setattr(commit_listener, "LIMIT", 0.02)
    steps, heard, tries = Steps("commit listener", 10.0), asyncio.Event(), 0

    async def listen(_: str, hear: Callable[[], None]) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ConnectionRefusedError
        if tries == 3:
            hear()
        await hangs()

    monkeypatch.setattr(commit_listener, "listen_to_commits", listen)
    listening = asyncio.create_task(CommitListener("postgresql://nowhere", heard.set, steps).run())
    await asyncio.wait_for(heard.wait(), 2)
    await asyncio.sleep(0.05)  # longer than the limit, which is for those who do not listen yet
    state = steps.state()
    assert (tries, state.failures, state.failing, state.overdue, listening.done()) == (3, 2, 0.0, 0.0, False)
    listening.cancel()


async def test_one_that_cannot_be_ended_ends_the_term_and_one_that_fails_does_not() -> None:
    term = a_term()
    failing = term.watch("pruner", 0.05, dispatches=False)
    await Errand("pruner", fails, 600.0, failing, 0.02).run_once()
    await asyncio.sleep(0.06)
    assert (term.stuck(), term.behind) == (None, 0.0)
    steps, free = term.watch("repair", 0.05, dispatches=False), asyncio.Event()

    async def never_ends() -> None:
        while not free.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await free.wait()

    running = asyncio.create_task(Errand("repair", never_ends, 60.0, steps, 0.02).run_once())
    await eventually(lambda: term.stuck() == "repair")
    assert not running.done()
    free.set()
    await running
    term.give_up()


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(timetable, "SLACK", 0.05)
    return []


@pytest.fixture
async def kept(runs: list[str]) -> Timetable:
    async def step() -> None:
        runs.append("repair")

    return Timetable([Errand("repair", step, 0.05, Steps("repair", 10.0))])


async def test_a_timetable_that_has_stopped_is_started_anew(kept: Timetable, runs: list[str]) -> None:
    kept.start()
    await eventually(lambda: runs)
    kept._scheduler.shutdown(wait=False)
    await asyncio.sleep(0)
    runs.clear()
    await eventually(lambda: not kept.state.running)
    kept.look_after()
    await eventually(lambda: runs)
    assert (kept.state.running, kept.state.restarts, kept.state.error) == (True, 1, "it had stopped")
    kept.stop()


async def test_a_timetable_that_has_lost_its_wake_up_is_started_anew(kept: Timetable, runs: list[str]) -> None:
    kept.start()
    await eventually(lambda: runs)
    kept._scheduler._stop_timer()
    await asyncio.sleep(0.05)
    runs.clear()
    await eventually(lambda: not kept.state.healthy)
    kept.look_after()
    assert kept.state.restarts == 0, "it may just have had no turn yet"
    kept.look_after()
    await eventually(lambda: len(runs) > 1)
    assert (kept.state.healthy, kept.state.restarts, kept.state.error) == (True, 1, "repair did not begin in time")
    kept.stop()


async def test_what_still_runs_is_not_begun_a_second_time_by_a_new_timetable(runs: list[str]) -> None:
    begun = 0

    async def step() -> None:
        nonlocal begun
        begun += 1
        await hangs()

    made = Timetable([Errand("repair", step, 0.02, Steps("repair", 10.0))])
    made.start()
    await eventually(lambda: begun)
    made._scheduler.shutdown(wait=False)
    await eventually(lambda: not made.state.running)
    made.look_after()
    await asyncio.sleep(0.1)
    assert (begun, made.state.restarts) == (1, 1)
    made.stop()


async def test_a_failure_is_not_left_for_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "AGAIN_MIN", 0.01)
    tries = 0

    async def step() -> None:
        nonlocal tries
        tries += 1
        if tries in (1, 2):
            raise OSError("away")

    errand = Errand("pruner", step, 600.0, Steps("pruner", 10.0))
    made = Timetable([errand])
    made.start()
    made._scheduler.modify_job("pruner", next_run_time=datetime.now(UTC))
    await eventually(lambda: tries == 3)
    await asyncio.sleep(0.05)
    assert tries == 3
    made.stop()
