"""Turns due jobs into occurrences: once each, in one short transaction under the term's epoch."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from leveret_core.concurrency import QueueLoad
from leveret_core.failpoints import reach
from leveret_core.messages import DispatchMessage
from leveret_core.planning import CATCH_UP_LIMIT, ON_TIME, DueJob, Plan, plan
from leveret_core.states import State
from leveret_core.store.database import Connection
from leveret_core.store.occurrences.creation import Created, Planned, create
from leveret_core.store.schedule import ticks
from leveret_core.store.schedule.ticks import Advance, DueRow, MoreMissed
from leveret_core.store.slots.load import load_queue_of_each
from leveret_core.triggers import Trigger, fire_delay, load_json
from leveret_dispatcher.leadership.term import Term

log = logging.getLogger(__name__)

BUSY_RETRY = (0.002, 0.05)
"""Seconds until the next look at due jobs that another transaction has locked: the first and the longest pause."""

GATHER = 0.005
"""Seconds in which jobs that become due one after the other come together for one transaction."""

STANDSTILL = timedelta(seconds=2)
"""A tick that is later than this tells that no replica dispatched, or none could, for a while."""
PATIENCE = 3.0
"""Seconds after which the ends of runs that workers told during a standstill should be in the tables."""
HELD_BACK_PAUSE = 0.2
"""Seconds between looks at ticks that wait for that."""

DECISION_TIME = 0.5
"""Seconds one transaction spends on deciding: Postgres ends one that is idle for long, and what is due meanwhile waits."""
MAX_PLANNED = 5_000
"""Occurrences one transaction creates, about; after an outage each of many jobs may have hundreds."""


@dataclass(frozen=True)
class _Decision:
    row: DueRow
    trigger: Trigger
    plan: Plan

    @property
    def behind(self) -> bool:
        """Whether ticks are left that were due before now: the next step goes on with the same outage."""
        return self.plan.next_fire_at is not None and self.plan.next_fire_at <= self.row.now


class Scheduler:
    """Creates the occurrences of due jobs.

    Args:
        term: whose epoch fences every transaction.
        batch: due jobs handled in one transaction, at most.
        answer_timeout: seconds after which an unanswered dispatch message is published again for the first time.
        room: how many more dispatch messages of a type the broker should get.
        publish: takes the dispatch messages of what was committed, without waiting.
        changed: takes what was created.
        catch_up_limit: late ticks of a job that run with `catch_up="all"`, at most.
        patience: seconds after a standstill in which a late tick is not skipped for what may have ended meanwhile.
    """

    def __init__(
        self,
        term: Term,
        *,
        batch: int,
        answer_timeout: float,
        room: Callable[[str], int],
        publish: Callable[[Sequence[DispatchMessage]], None],
        changed: Callable[[Sequence[Created]], None],
        catch_up_limit: int = CATCH_UP_LIMIT,
        patience: float = PATIENCE,
    ) -> None:
        self._term = term
        self._batch = batch
        self._answer_timeout = answer_timeout
        self._room = room
        self._publish = publish
        self._changed = changed
        self._catch_up_limit = catch_up_limit
        self._patience = patience
        self._patient_until = 0.0
        self._in_time = True
        self._held_back = False
        self._busy = BUSY_RETRY[0]

    async def run_once(self) -> float | None:
        """Handle one batch of due jobs; returns the seconds until the next is due, None when none is planned."""
        async with self._term.transaction() as connection:
            rows = await ticks.lock_due(connection, self._batch)
            self._notice_standstill(rows)
            created = await self._handle(connection, rows) if rows else []
        if created:
            reach("after_create_commit")
        dispatches = [DispatchMessage(occurrence=c.id, attempt=1, type=c.type) for c in created if c.published]
        if dispatches:
            self._publish(dispatches)
        if created:
            log.debug("scheduler: %d occurrences of %d jobs created", len(created), len(rows))
            self._changed(created)
        if self._held_back:
            return HELD_BACK_PAUSE
        if len(rows) == self._batch:
            return 0.0
        seconds = await ticks.next_due(self._term.database)
        if seconds is None:
            return None
        if rows or seconds > 0:
            self._busy = BUSY_RETRY[0]
            # The rest of a longer outage follows at once.
            return 0.0 if seconds < -ON_TIME.total_seconds() else max(seconds, GATHER)
        # It became due after the look, or its row is locked.
        pause, self._busy = self._busy, min(self._busy * 2, BUSY_RETRY[1])
        return pause

    def _notice_standstill(self, rows: Sequence[DueRow]) -> None:
        self._held_back = False
        in_time = not rows or rows[0].now - rows[0].next_fire_at <= STANDSTILL
        if self._in_time and not in_time:
            self._patient_until = time.monotonic() + self._patience
        self._in_time = in_time

    async def _handle(self, connection: Connection, rows: Sequence[DueRow]) -> list[Created]:
        reach("before_create")
        loads = await load_queue_of_each(connection, {row.id: row.limits for row in rows})
        decisions: list[_Decision] = []
        wanted, enough = 0, time.monotonic() + DECISION_TIME
        for row in rows:
            if decisions and (wanted >= MAX_PLANNED or time.monotonic() > enough):
                # The others are still due, and come next.
                break
            try:
                if self._too_early(row, loads[row.id]):
                    self._held_back = True
                    continue
                decisions.append(_decide(row, loads[row.id].together, self._catch_up_limit))
                wanted += len(decisions[-1].plan.fire)
            except Exception as error:
                # A trigger that cannot be evaluated was refused at the edge; should one slip through, it stops only itself.
                log.exception("scheduler: job %d is paused, its trigger cannot be evaluated", row.id)
                reason = f"its trigger cannot be evaluated: {error}"
                await ticks.pause_invalid(connection, row.id, reason)
        added_to = await self._add_to_missed(connection, decisions)
        planned = self._planned(decisions, added_to)
        created = await create(connection, planned, loads, self._term.epoch)
        # Not those that there are already, after the clock was set back.
        fired = Counter(c.job_id for c in created if c.state is not State.MISSED)
        missed = {c.job_id: c.id for c in created if c.state is State.MISSED}
        steps = [
            Advance(
                d.row.id,
                d.plan.next_fire_at,
                d.plan.fire[-1] if d.plan.fire else None,
                fired[d.row.id],
                missed.get(d.row.id, d.row.missed_id) if d.behind else None,
            )
            for d in decisions
        ]
        await ticks.advance(connection, steps)
        reach("in_create_tx")
        return created

    async def _add_to_missed(self, connection: Connection, decisions: Sequence[_Decision]) -> set[int]:
        """Add missed ticks to the record that this outage of their job has already; returns the ids of these jobs."""
        more = [
            MoreMissed(d.row.missed_id, d.plan.missed[0], d.plan.missed[2], self._too_late(d.row))
            for d in decisions
            if d.plan.missed and d.row.missed_id is not None
        ]
        return await ticks.add_to_missed(connection, more)

    def _too_early(self, row: DueRow, load: QueueLoad) -> bool:
        """Whether it would be skipped for what may have ended: after a standstill the ends of runs are heard of late, too."""
        return (
            load.limits.concurrency == "skip"
            and load.room == 0
            and row.now - row.next_fire_at > STANDSTILL
            and time.monotonic() < self._patient_until
        )

    def _too_late(self, row: DueRow) -> str:
        catch_up = row.catch_up
        newer = ", or gave way to newer ones" if row.concurrency == "skip" and catch_up != "none" else ""
        newest = f", or were not among the newest {self._catch_up_limit}" if catch_up == "all" else ""
        return f"came too late for catch_up={catch_up}{newest}{newer}"

    def _planned(self, decisions: Sequence[_Decision], added_to: Set[int]) -> list[Planned]:
        planned: list[Planned] = []
        left: dict[str, int] = {}
        for d in decisions:
            job_id, now, kind = d.row.id, d.row.now, d.row.type
            if d.plan.missed and job_id not in added_to:
                count, first, last = d.plan.missed
                reason = f"{count} tick{'s' * (count != 1)} {self._too_late(d.row)}"
                planned.append(Planned(job_id=job_id, scheduled_for=first, origin="schedule", missed=(count, last, reason)))
            for tick in d.plan.fire:
                delay = fire_delay(d.trigger, job_id, tick) - (now - tick).total_seconds()
                if delay > 0:
                    planned.append(Planned(job_id=job_id, scheduled_for=tick, origin="schedule", publish_in=delay))
                    continue
                if kind not in left:
                    left[kind] = self._room(kind)
                published = left[kind] > 0
                left[kind] -= 1
                planned.append(
                    Planned(
                        job_id=job_id,
                        scheduled_for=tick,
                        origin="schedule",
                        publish_in=self._answer_timeout if published else None,
                        published=published,
                    )
                )
        return planned


def _decide(row: DueRow, together: int | None, catch_up_limit: int) -> _Decision:
    trigger = load_json(row.trigger)
    now: datetime = row.now
    due = DueJob(
        trigger=trigger,
        next_fire_at=row.next_fire_at,
        catch_up=row.catch_up,
        catch_up_window=timedelta(seconds=row.catch_up_window),
        runs_left=None if row.max_runs is None else max(0, row.max_runs - row.runs),
        catch_up_limit=catch_up_limit,
        together=together,
    )
    return _Decision(row, trigger, plan(due, now))
