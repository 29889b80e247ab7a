"""The timetable of what need not happen at once."""

from __future__ import annotations

from functools import partial

from leveret_core.hints import Hints
from leveret_core.settings import Settings
from leveret_core.store.database import Database
from leveret_dispatcher.dispatcher import Dispatcher
from leveret_dispatcher.leadership.term import Term, boottime
from support.control import Exchange


async def test_every_job_of_the_timetable_runs() -> None:
    term = Term(Database("postgresql://nobody@localhost/none", pool_size=1), 1, boottime() + 60)
    timetable = Dispatcher(Settings(), term, Exchange(), Hints(None))._housekeeping()  # pyright: ignore[reportPrivateUsage]
    ran: list[str] = []

    async def run_once(name: str) -> None:
        ran.append(name)

    jobs = {job.id: job for job in timetable.get_jobs()}
    assert {"reaper", "pruner", "repair", "liveness"} <= jobs.keys()
    for name, job in jobs.items():
        await job.func(name, partial(run_once, name))
    assert ran == list(jobs)
