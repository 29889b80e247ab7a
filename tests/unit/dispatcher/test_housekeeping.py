"""The timetable of what need not happen at once."""

from __future__ import annotations

import pytest

from leveret_core.hints import Hints
from leveret_core.settings import Settings
from leveret_core.store.database import Database
from leveret_dispatcher.dispatcher import Dispatcher
from leveret_dispatcher.leadership.term import Term, boottime
from leveret_dispatcher.loops import Errand
from support.control import Exchange


async def test_every_job_of_the_timetable_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    term = Term(Database("postgresql://nobody@localhost/none", pool_size=1), 1, boottime() + 60)
    ran: list[str] = []

    async def run_once(errand: Errand) -> None:
        ran.append(errand.name)

    monkeypatch.setattr(Errand, "run_once", run_once)
    timetable = Dispatcher(Settings(), term, Exchange(), Hints(None))._housekeeping()  # pyright: ignore[reportPrivateUsage]
    jobs = {job.id: job for job in timetable.get_jobs()}
    assert {"reaper", "reconciler", "pruner", "repair", "liveness", "clock"} == jobs.keys()
    for job in jobs.values():
        await job.func()
    assert ran == list(jobs)
