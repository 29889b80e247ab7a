"""The timetable of what the holder of the term does now and then, by APScheduler, whatever the machine's clock does."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from leveret_dispatcher.loops import Errand

log = logging.getLogger(__name__)


class Timetable:
    """Runs errands, each at its interval. Misfires are of no interest: the next run does the same work.

    APScheduler goes by the wall clock. Where that was set back, what is planned lies as far ahead as the clock was; so
    `follow_the_clock` is to be called by something that waits without it.

    Args:
        errands: with names of their own.
    """

    def __init__(self, errands: Sequence[Errand]) -> None:
        self._every = {errand.name: timedelta(seconds=errand.every) for errand in errands}
        self._scheduler = AsyncIOScheduler(
            timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        for errand in errands:
            self._scheduler.add_job(errand.run_once, _After(self._every[errand.name]), id=errand.name)

    def start(self) -> None:
        """Begin; the first run of each comes after its interval."""
        self._scheduler.start()

    def stop(self) -> None:
        """Begin no more runs. Safe to call before `start`."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def follow_the_clock(self) -> None:
        """Run now what is planned for later than its interval allows: the clock was set back. Safe to call before `start`."""
        if not self._scheduler.running:
            return  # what waits for the start has no time yet
        now = datetime.now(UTC)
        for job in self._scheduler.get_jobs():
            if job.next_run_time is not None and job.next_run_time > now + 2 * self._every[job.id]:
                log.warning("%s: was planned for %s, the clock was set back: it is done now", job.id, job.next_run_time)
                job.modify(next_run_time=now)


class _After(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """Each run so long after the look at the last one. APScheduler's own interval lists every time that passed meanwhile, which
    takes seconds after a jump of the clock by months."""

    def __init__(self, every: timedelta) -> None:
        self._every = every

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:  # pyright: ignore[reportIncompatibleMethodOverride]  (APScheduler has no types)
        """After `now`, whatever came before."""
        return now + self._every
