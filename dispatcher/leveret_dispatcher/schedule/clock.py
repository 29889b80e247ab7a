"""Notices that the clock of Postgres was set back, says so, and mends what was written by the clock that was ahead.

All times in the tables are by that one clock. Set back by a day, it leaves jobs that are due tomorrow although their triggers
say today, leases that end tomorrow, buckets that are filled tomorrow. Nothing runs twice: what has run has its occurrence.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from leveret_core.store.clock import mend
from leveret_core.store.clock.mend import ScheduledJob
from leveret_core.triggers import TriggerError, fire_times_between, load_json, next_fire_time
from leveret_dispatcher.leadership.term import Term

log = logging.getLogger(__name__)

TOLERANCE = 1.0
"""Seconds the clock may go back without a word: what a time service may do now and then."""
SLICE = 1_000
"""Jobs looked at in one go."""
CANDIDATES = 100
"""Ticks of a job that are looked at for one that has not run."""
SWEEP_EVERY = 12
"""Looks between two slices of the sweep that goes through all jobs, whether or not the clock was seen to go back."""

_TICK = timedelta(microseconds=1)


class ClockWatch:
    """Watches the clock of Postgres from look to look, across terms.

    Args:
        term: whose epoch fences every transaction.
        answer_timeout: seconds after which an unanswered dispatch message is published again for the first time.
        changed: takes the ids of jobs that are due at another time now; wakes all loops.
    """

    def __init__(self, term: Term, *, answer_timeout: float, changed: Callable[[Sequence[int]], None]) -> None:
        self._term = term
        self._answer_timeout = answer_timeout
        self._changed = changed
        self._looks = 0
        self._after = 0

    async def run_once(self) -> bool:
        """Look once; returns whether the clock was found to have been set back."""
        async with self._term.transaction() as connection:
            back = await mend.look_at_clock(connection, TOLERANCE)
        set_back = back is not None and back > TOLERANCE
        if set_back:
            log.error("clock: the clock of Postgres was set back by %.0f s; what it wrote before is mended", back)
            await self._mend(back or 0.0)
        elif self._looks % SWEEP_EVERY == 0:
            self._after = await self._sweep(self._after)
        self._looks += 1
        return set_back

    async def _mend(self, seconds: float) -> None:
        for what in mend.ALL_TIMES:
            try:
                async with self._term.transaction() as connection:
                    count = await mend.mend_times(connection, what, self._answer_timeout)
            except mend.TimesCollide as error:
                # They begin when they were planned for.
                log.warning("clock: some times could not be mended: %s", error)
                continue
            if count:
                log.warning("clock: %d %s had times of a clock that was ahead", count, what.replace("_", " "))
        after = await self._sweep(0)
        while after:
            await asyncio.sleep(0)
            after = await self._sweep(after)
        # Last: whatever breaks off before, here or because the term ends, the next look finds the clock set back again.
        async with self._term.transaction() as connection:
            await mend.note_set_back(connection, seconds)
        self._changed([])

    async def _sweep(self, after: int) -> int:
        """Look at the jobs behind an id; returns the last id looked at, 0 when there are no more."""
        rows = await mend.scheduled_jobs(self._term.database, after, SLICE)
        wrong = {row.id: (row.next_fire_at, ticks) for row in rows if (ticks := _passed_over(row))}
        if wrong:
            async with self._term.transaction() as connection:
                moved = await mend.move_jobs(connection, wrong)
            if moved:
                names = ", ".join(row.name for row in moved[:10])
                log.error("clock: %d jobs were due later than their triggers say, and are due in time: %s", len(moved), names)
                self._changed([row.id for row in moved])
        return rows[-1].id if len(rows) == SLICE else 0


def _passed_over(row: ScheduledJob) -> list[datetime]:
    """Ticks from now on that come before the one at which the job is due: there should be none."""
    last: datetime | None = row.next_fire_at
    try:
        trigger = load_json(row.trigger)
        first = next_fire_time(trigger, row.now)
        if first is None or (last is not None and first >= last):
            return []
        until = last - _TICK if last is not None else datetime.max.replace(tzinfo=UTC)
        return [first, *fire_times_between(trigger, first, until, CANDIDATES - 1)]
    except TriggerError:
        # The scheduler pauses the job when it comes to it.
        return []
