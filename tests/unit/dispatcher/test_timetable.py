"""The timetable of what need not happen at once, under a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leveret_core.errors import TermOver
from leveret_core.hints import Hints
from leveret_core.settings import Settings
from leveret_core.store.database import Database
from leveret_core.supervision import Steps
from leveret_dispatcher import dispatcher
from leveret_dispatcher.dispatcher import Dispatcher
from leveret_dispatcher.leadership.term import Term, boottime
from leveret_dispatcher.loops import Errand
from leveret_dispatcher.timetable import Timetable
from support.control import Exchange


@pytest.fixture
def ran() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def timetable(ran: asyncio.Event) -> Iterator[Timetable]:
    async def step() -> None:
        ran.set()

    made = Timetable([Errand("errand", step, 60.0, Steps("errand", 10.0))])
    yield made
    made.stop()


def job_of(timetable: Timetable) -> Any:
    (job,) = timetable._scheduler.get_jobs()  # pyright: ignore[reportPrivateUsage]
    return job


async def test_every_errand_of_a_term_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    term = Term(Database("postgresql://nobody@localhost/none", pool_size=1), 1, boottime() + 60)
    ran: list[str] = []

    async def run_once(errand: Errand) -> None:
        ran.append(errand.name)

    monkeypatch.setattr(Errand, "run_once", run_once)
    timetable = Dispatcher(Settings(), term, Exchange(), Hints(None))._timetable  # pyright: ignore[reportPrivateUsage]
    timetable.start()
    jobs = {job.id: job for job in timetable._scheduler.get_jobs()}  # pyright: ignore[reportPrivateUsage]
    assert {"reaper", "reconciler", "pruner", "repair", "liveness", "clock"} == jobs.keys()
    for job in jobs.values():
        await job.func(*job.args)
    timetable.stop()
    assert ran == list(jobs)


async def test_what_was_planned_by_a_clock_that_was_ahead_is_done_when_it_is_set_back(
    timetable: Timetable, ran: asyncio.Event, caplog: pytest.LogCaptureFixture
) -> None:
    timetable.start()
    job_of(timetable).modify(next_run_time=datetime.now(UTC) + timedelta(days=1))

    timetable.look_after()

    await asyncio.wait_for(ran.wait(), 5)
    assert "the clock was set back" in caplog.text
    assert job_of(timetable).next_run_time < datetime.now(UTC) + timedelta(seconds=61)


async def test_what_is_planned_in_time_is_left_alone(timetable: Timetable, ran: asyncio.Event) -> None:
    timetable.start()
    planned = job_of(timetable).next_run_time

    timetable.look_after()

    assert job_of(timetable).next_run_time == planned
    assert not ran.is_set()


async def test_a_clock_that_jumps_ahead_by_a_year_costs_one_run(timetable: Timetable) -> None:
    timetable.start()
    job = job_of(timetable)
    # How APScheduler finds what was missed.
    assert len(job._get_run_times(datetime.now(UTC) + timedelta(days=365))) == 1


async def test_an_errand_whose_time_comes_while_the_term_ends_is_left(
    timetable: Timetable, ran: asyncio.Event, caplog: pytest.LogCaptureFixture
) -> None:
    async def wait_for_ever() -> None:
        await asyncio.Event().wait()

    async def end() -> None:
        raise TermOver("over")

    due: list[asyncio.Task[None]] = []

    async def term() -> None:
        async with asyncio.TaskGroup() as group:
            timetable.start(group.create_task)
            job = job_of(timetable)
            group.create_task(wait_for_ever())
            ending = group.create_task(end())
            # The first to run after the group has begun to end.
            ending.add_done_callback(lambda _: due.append(asyncio.create_task(job.func(*job.args))))
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup):
        await term()

    (run,) = due
    await run
    assert not ran.is_set()
    assert caplog.text == ""


async def test_a_loop_that_no_clock_delays_looks_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(_: Database) -> dict[str, float | None]:
        return {}

    async def noted(_: Dispatcher) -> None: ...

    monkeypatch.setattr(dispatcher, "next_work", nothing)
    monkeypatch.setattr(Dispatcher, "_note_failing", noted)
    term = Term(Database("postgresql://nobody@localhost/none", pool_size=1), 1, boottime() + 60)
    made = Dispatcher(Settings(), term, Exchange(), Hints(None))
    followed: list[bool] = []

    def look_after(_: Timetable) -> None:
        followed.append(True)

    monkeypatch.setattr(Timetable, "look_after", look_after)

    await made._look()  # pyright: ignore[reportPrivateUsage]

    assert followed == [True]
