"""Creates the occurrences of backfills, a bounded number ahead of those that have begun."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from leveret_core.failpoints import reach
from leveret_core.store.backfills import steps
from leveret_core.store.backfills.steps import BackfillStep
from leveret_core.store.database import Connection
from leveret_core.store.occurrences.creation import Created, Planned, create
from leveret_core.store.slots.load import load_queue_of_each
from leveret_core.triggers import TriggerError, fire_times_between, load_json
from leveret_dispatcher.leadership.term import Term

log = logging.getLogger(__name__)

PAUSES = (0.1, 2.0)
"""Seconds between two looks at what runs: the shortest, while there is something to create, and the longest, while it waits."""
SCAN = 500
"""Fire times looked at in one transaction, at most."""
PRIORITY = 0
"""Of a backlog of one type, what is due now goes before what is made up for."""
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Stretch:
    """The next fire times of a backfill.

    Args:
        create: those to create occurrences for, in order.
        existing: how many have an occurrence already.
        reached: the last one that this deals with.
        ended: whether none follows.
    """

    create: list[datetime]
    existing: int
    reached: datetime
    ended: bool


def next_stretch(times: Sequence[datetime], taken: Set[datetime], room: int, *, reached: datetime, last: bool) -> Stretch:
    """Choose among `times`, the next fire times of a backfill in order.

    Args:
        taken: those that have an occurrence which stands for a run.
        room: how many may be created.
        reached: what was dealt with before.
        last: whether no fire time follows `times`.
    """
    chosen: list[datetime] = []
    existing = 0
    for time in times:
        if time in taken:
            existing += 1
        elif len(chosen) < room:
            chosen.append(time)
        else:
            return Stretch(chosen, existing, reached, ended=False)
        reached = time
    return Stretch(chosen, existing, reached, ended=last)


@dataclass(frozen=True)
class _Step:
    created: list[Created]
    moved: bool = False
    over: bool = False


class Backfiller:
    """Works off running backfills, side by side.

    A backfill never holds up the schedule of its job: its occurrences have a queue and slots of their own, at most `ahead`
    of them have not begun, and a fire time that the schedule has yet to handle is left to it.

    Args:
        term: whose epoch fences every transaction.
        ahead: occurrences of one backfill that exist and have not begun, at most.
        changed: takes what was created.
        finished: takes the ids of a backfill that is over and of its job.
    """

    def __init__(
        self,
        term: Term,
        *,
        ahead: int,
        changed: Callable[[Sequence[Created]], None],
        finished: Callable[[int, int], None],
    ) -> None:
        self._term = term
        self._ahead = ahead
        self._changed = changed
        self._finished = finished
        self._pause = PAUSES[0]

    async def run_once(self) -> float | None:
        """Take each running backfill a step further; returns the seconds until the next look, None when none runs."""
        running = await steps.running_backfills(self._term.database)
        moved = False
        for backfill_id in running:
            moved |= await self._step(backfill_id)
        if not running:
            return None
        pause, self._pause = PAUSES[0], PAUSES[0]
        if not moved:
            pause, self._pause = self._pause, min(self._pause * 2, PAUSES[1])
        return pause

    async def _step(self, backfill_id: int) -> bool:
        """One transaction for one backfill; returns whether it came any further."""
        async with self._term.transaction() as connection:
            row = await steps.lock_backfill(connection, backfill_id)
            if row is None:
                # Another transaction holds its job just now: it is looked at again soon.
                return True
            step = await self._advance(connection, row)
            reach("in_backfill_tx")
        if step.created:
            self._changed(step.created)
        if step.over:
            self._finished(backfill_id, row.job_id)
        return step.moved

    async def _advance(self, connection: Connection, row: BackfillStep) -> _Step:
        if row.deleted:
            return await self._finish(connection, row, "cancelled", "job deleted")
        try:
            stretch = await self._next(connection, row)
        except TriggerError as error:
            # As with a zone that a new release of the zone rules has dropped.
            return await self._finish(connection, row, "cancelled", f"its trigger cannot be evaluated: {error}")
        created = await self._create(connection, row, stretch.create)
        if stretch.create or stretch.existing:
            await steps.advance(connection, row.id, stretch.reached, created=len(created), existing=stretch.existing)
            return _Step(created, moved=True)
        if stretch.ended and not row.live:
            return await self._finish(connection, row, "completed", None)
        return _Step([])

    async def _next(self, connection: Connection, row: BackfillStep) -> Stretch:
        reached: datetime = row.reached or row.start_at - _TICK
        room = self._ahead - row.ahead
        if room <= 0:
            return Stretch([], 0, reached, ended=False)
        until: datetime = row.end_at
        if row.next_fire_at is not None:
            until = min(until, row.next_fire_at - _TICK)
        times = fire_times_between(load_json(row.trigger), reached, until, SCAN)
        occupied = await steps.occupied_times(connection, row.job_id, times)
        taken = {time for time, did_not_run in occupied.items() if not did_not_run}
        recorded = occupied.keys() - taken
        last = until == row.end_at and len(times) < SCAN
        while True:
            stretch = next_stretch(times, taken, room, reached=reached, last=last)
            in_the_way = recorded.intersection(stretch.create)
            if not in_the_way:
                return stretch
            free = await steps.shift_missed_records(connection, row.job_id, in_the_way)
            recorded -= in_the_way
            taken |= in_the_way - free

    async def _create(self, connection: Connection, row: BackfillStep, times: Sequence[datetime]) -> list[Created]:
        planned = [
            Planned(
                job_id=row.job_id,
                scheduled_for=time,
                origin="backfill",
                payload=row.payload,
                priority=PRIORITY,
                backfill_id=row.id,
            )
            for time in times
        ]
        loads = await load_queue_of_each(connection, {row.job_id: row.limits})
        return await create(connection, planned, loads, self._term.epoch)

    async def _finish(self, connection: Connection, row: BackfillStep, state: str, reason: str | None) -> _Step:
        await steps.finish(connection, row.id, state, reason)
        log.info("backfill %d of job %d is %s", row.id, row.job_id, state)
        return _Step([], over=True)
