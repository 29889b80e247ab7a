"""Turns due jobs into occurrences: once each, in one short transaction under the term's epoch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from leveret_core.failpoints import reach
from leveret_core.messages import Doorbell
from leveret_core.planning import CATCH_UP_LIMIT, ON_TIME, DueJob, Plan, plan
from leveret_core.states import State
from leveret_core.store.creation import Created, Limits, Planned, create, load_jobs
from leveret_core.store.database import Connection, columns, sql
from leveret_core.triggers import Trigger, fire_delay, load_json
from leveret_dispatcher.term import Term

log = logging.getLogger(__name__)

BUSY_RETRY = (0.002, 0.05)
"""Seconds until the next look at due jobs that another transaction has locked: the first and the longest pause."""

GATHER = 0.005
"""Seconds in which jobs that become due one after the other come together for one transaction."""

DECISION_TIME = 0.5
"""Seconds one transaction spends on deciding: Postgres ends one that is idle for long, and whoever is due meanwhile waits."""
MAX_PLANNED = 5_000
"""Occurrences one transaction creates, about; after an outage each of many jobs may have hundreds."""


@dataclass(frozen=True)
class _Decision:
    row: asyncpg.Record
    trigger: Trigger
    plan: Plan

    @property
    def behind(self) -> bool:
        """Whether ticks are left that were due before now: the next step goes on with the same outage."""
        return self.plan.next_fire_at is not None and self.plan.next_fire_at <= self.row["now"]


class Scheduler:
    """Creates the occurrences of due jobs.

    Args:
        term: whose epoch fences every transaction.
        batch: due jobs handled in one transaction, at most.
        ring_timeout: seconds after which the sweeper rings a doorbell that this scheduler was going to ring.
        room: how many more doorbells of a type the broker should get.
        ring: takes the doorbells of what was committed, without waiting.
        changed: takes what was created.
        catch_up_limit: late ticks of a job that run with `catch_up="all"`, at most.
    """

    def __init__(
        self,
        term: Term,
        *,
        batch: int,
        ring_timeout: float,
        room: Callable[[str], int],
        ring: Callable[[Sequence[Doorbell]], None],
        changed: Callable[[Sequence[Created]], None],
        catch_up_limit: int = CATCH_UP_LIMIT,
    ) -> None:
        self._term = term
        self._batch = batch
        self._ring_timeout = ring_timeout
        self._room = room
        self._ring = ring
        self._changed = changed
        self._catch_up_limit = catch_up_limit
        self._busy = BUSY_RETRY[0]

    async def run_once(self) -> float | None:
        """Handle one batch of due jobs; returns the seconds until the next is due, None when none is planned."""
        async with self._term.transaction() as connection:
            rows = await connection.fetch(sql("schedule/due"), self._batch)
            created = await self._handle(connection, rows) if rows else []
        if created:
            reach("after_create_commit")
        doorbells = [Doorbell(occurrence=c.id, attempt=1, type=c.type) for c in created if c.rung]
        if doorbells:
            self._ring(doorbells)
        if created:
            log.debug("scheduler: %d occurrences of %d jobs created", len(created), len(rows))
            self._changed(created)
        if len(rows) == self._batch:
            return 0.0
        seconds: float | None = await self._term.database.fetchval("schedule/next_due")
        if seconds is None:
            return None
        if rows or seconds > 0:
            self._busy = BUSY_RETRY[0]
            # The rest of a longer outage follows at once.
            return 0.0 if seconds < -ON_TIME.total_seconds() else max(seconds, GATHER)
        # It became due after the look, or its row is locked.
        pause, self._busy = self._busy, min(self._busy * 2, BUSY_RETRY[1])
        return pause

    async def _handle(self, connection: Connection, rows: Sequence[asyncpg.Record]) -> list[Created]:
        reach("before_create")
        decisions: list[_Decision] = []
        wanted, enough = 0, time.monotonic() + DECISION_TIME
        for row in rows:
            if decisions and (wanted >= MAX_PLANNED or time.monotonic() > enough):
                # The others are still due, and come next.
                break
            try:
                decisions.append(_decide(row, self._catch_up_limit))
                wanted += len(decisions[-1].plan.fire)
            except Exception as error:
                # A trigger that cannot be evaluated was refused at the edge; should one slip through, it stops only itself.
                log.exception("scheduler: job %d is set aside, its trigger cannot be evaluated", row["id"])
                reason = f"its trigger cannot be evaluated: {error}"
                await connection.execute(sql("schedule/set_aside"), row["id"], reason)
        added_to = await self._add_to_missed(connection, decisions)
        planned = self._planned(decisions, added_to)
        limits: dict[int, Limits] = {
            d.row["id"]: (d.row["concurrency"], d.row["max_concurrent"], d.row["max_waiting"], d.row["key"]) for d in decisions
        }
        created = await create(connection, planned, await load_jobs(connection, limits), self._term.epoch)
        missed = {c.job_id: c.id for c in created if c.state is State.MISSED}
        steps = [
            (
                d.row["id"],
                d.plan.next_fire_at,
                d.plan.fire[-1] if d.plan.fire else None,
                len(d.plan.fire),
                missed.get(d.row["id"], d.row["missed_id"]) if d.behind else None,
            )
            for d in decisions
        ]
        await connection.execute(sql("schedule/advance"), *columns(steps, 5))
        reach("in_create_tx")
        return created

    async def _add_to_missed(self, connection: Connection, decisions: Sequence[_Decision]) -> set[int]:
        """Add missed ticks to the record that this outage of their job has already; returns the ids of these jobs."""
        rows = [
            (d.row["missed_id"], d.plan.missed[0], d.plan.missed[2], self._too_late(d.row["catch_up"]))
            for d in decisions
            if d.plan.missed and d.row["missed_id"] is not None
        ]
        if not rows:
            return set()
        return {row["job_id"] for row in await connection.fetch(sql("schedule/add_to_missed"), *columns(rows, 4))}

    def _too_late(self, catch_up: str) -> str:
        newest = f", or were not among the newest {self._catch_up_limit}" if catch_up == "all" else ""
        return f"came too late for catch_up={catch_up}{newest}"

    def _planned(self, decisions: Sequence[_Decision], added_to: Set[int]) -> list[Planned]:
        planned: list[Planned] = []
        left: dict[str, int] = {}
        for d in decisions:
            job_id, now, kind = d.row["id"], d.row["now"], d.row["type"]
            if d.plan.missed and job_id not in added_to:
                count, first, last = d.plan.missed
                reason = f"{count} tick{'s' * (count != 1)} {self._too_late(d.row['catch_up'])}"
                planned.append(Planned(job_id=job_id, scheduled_for=first, origin="schedule", missed=(count, last, reason)))
            for tick in d.plan.fire:
                delay = fire_delay(d.trigger, job_id, tick) - (now - tick).total_seconds()
                if delay > 0:
                    planned.append(Planned(job_id=job_id, scheduled_for=tick, origin="schedule", ring_in=delay))
                    continue
                if kind not in left:
                    left[kind] = self._room(kind)
                rung = left[kind] > 0
                left[kind] -= 1
                planned.append(
                    Planned(
                        job_id=job_id,
                        scheduled_for=tick,
                        origin="schedule",
                        ring_in=self._ring_timeout if rung else None,
                        rung=rung,
                    )
                )
        return planned


def _decide(row: asyncpg.Record, catch_up_limit: int) -> _Decision:
    trigger = load_json(row["trigger"])
    now: datetime = row["now"]
    due = DueJob(
        trigger=trigger,
        next_fire_at=row["next_fire_at"],
        catch_up=row["catch_up"],
        catch_up_window=timedelta(seconds=row["catch_up_window"]),
        runs_left=None if row["max_runs"] is None else max(0, row["max_runs"] - row["runs"]),
        catch_up_limit=catch_up_limit,
    )
    return _Decision(row, trigger, plan(due, now))
