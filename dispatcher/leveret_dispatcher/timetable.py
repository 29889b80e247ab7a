"""The timetable of what the holder of the term does now and then, by APScheduler, whatever becomes of that and of the clock."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from leveret_core.supervision import TaskState
from leveret_dispatcher.loops import Errand

log = logging.getLogger(__name__)

SLACK = 10.0
"""Seconds by which an errand may begin late."""


class Timetable:
    """Runs errands, each at its interval. Misfires are of no interest: the next run does the same work.

    APScheduler goes by the wall clock. Where that was set back, what is planned lies as far ahead as the clock was. It also
    plans its own next wake-up, and does nothing more once that is lost. So `look_after` is to be called by something that
    waits without it.

    Args:
        errands: with names of their own.
    """

    def __init__(self, errands: Sequence[Errand]) -> None:
        self._errands = {errand.name: errand for errand in errands}
        self._begin: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]] | None = None
        self._due: dict[str, float] = {}
        """When what does not run is to begin, on `time.monotonic()`."""
        self._late: set[str] = set()
        """What the last look found late."""
        self._restarts = 0
        self._error: str | None = None
        self._scheduler = self._planned()

    def start(self, begin: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]] = asyncio.create_task) -> None:
        """Begin; the first run of each comes after its interval.

        Args:
            begin: makes the task of a run, for what waits for its end; raises RuntimeError when it takes nothing new.
        """
        now = time.monotonic()
        self._begin = begin
        self._due = {errand.name: now + errand.every for errand in self._errands.values()}
        self._scheduler.start()

    def stop(self) -> None:
        """Begin no more runs. Safe to call before `start`."""
        self._begin = None
        with contextlib.suppress(Exception):  # it does not run
            self._scheduler.shutdown(wait=False)

    @property
    def state(self) -> TaskState:
        """Whether it runs, how often it had to be started anew, and by how much what it should have begun is late."""
        late = max((self._by_how_much(name) for name in self._due), default=0.0)
        return TaskState("timetable", self._scheduler.running, self._restarts, self._error, late)

    def look_after(self) -> None:
        """Run now what is planned for later than its interval allows, and start APScheduler anew if it has lost its way."""
        if self._begin is None:
            return
        late = {name for name in self._due if self._by_how_much(name)}
        # At the first look it may just have no turn yet: the process was stopped, or the event loop blocked.
        lost = sorted(late & self._late)
        self._late = late
        if lost or not self._scheduler.running:
            self._start_anew(f"{', '.join(lost)} did not begin in time" if lost else "it had stopped")
            return
        now = datetime.now(UTC)
        for job in self._scheduler.get_jobs():
            ahead = None if job.next_run_time is None else job.next_run_time - now
            if ahead is not None and (
                ahead > 2 * timedelta(seconds=self._errands[job.id].every) or (job.id in late and ahead > timedelta(0))
            ):
                log.warning("%s: was planned for %s, the clock was set back: it is done now", job.id, job.next_run_time)
                job.modify(next_run_time=now)

    def _by_how_much(self, name: str) -> float:
        return max(0.0, time.monotonic() - self._due[name] - SLACK)

    def _start_anew(self, why: str) -> None:
        log.error("the timetable of the dispatcher is started anew: %s", why)
        self._restarts += 1
        self._error, self._late = why, set()
        with contextlib.suppress(Exception):  # it is of no use any more
            self._scheduler.shutdown(wait=False)
        self._scheduler = self._planned()
        self._scheduler.start()

    def _planned(self) -> AsyncIOScheduler:
        # Two instances, as the one before may just be ending when the next time comes; `_run` begins none beside another.
        scheduler = AsyncIOScheduler(
            timezone="UTC", job_defaults={"coalesce": True, "max_instances": 2, "misfire_grace_time": None}
        )
        now, clock = datetime.now(UTC), time.monotonic()
        for name, errand in self._errands.items():
            first = max(0.0, self._due.get(name, clock + errand.every) - clock)
            scheduler.add_job(self._run, _After(errand), args=[errand], id=name, next_run_time=now + timedelta(seconds=first))
        return scheduler

    async def _run(self, errand: Errand) -> None:
        if self._begin is None or self._due.pop(errand.name, None) is None:
            return  # it runs already, begun by an APScheduler that has been given up
        run = errand.run_once()
        try:
            task = self._begin(run)
        except RuntimeError:
            run.close()  # what waits for the runs has begun to end, and takes nothing new; `stop` comes next
            return
        task.add_done_callback(lambda _: self._plan(errand))
        await asyncio.wait({task})

    def _plan(self, errand: Errand) -> None:
        self._due[errand.name] = time.monotonic() + errand.pause
        if (job := self._scheduler.get_job(errand.name)) is not None:
            job.modify(next_run_time=datetime.now(UTC) + timedelta(seconds=errand.pause))


class _After(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """Each run so long after the look at the last one. APScheduler's own interval lists every time that passed meanwhile, which
    takes seconds after a jump of the clock by months."""

    def __init__(self, errand: Errand) -> None:
        self._errand = errand

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:  # pyright: ignore[reportIncompatibleMethodOverride]  (APScheduler has no types)
        """After `now`, whatever came before."""
        return now + timedelta(seconds=self._errand.every)
