"""Jobs whose ticks are due, and what their rows hold about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from leveret_core.concurrency import Limits
from leveret_core.store.database import Connection, Database, columns, sql
from leveret_core.store.rows import Row, typed


class DueRow(Row, frozen=True):
    """A job that is due, as its row has it. `missed_id` is the record that the outage being worked off has already."""

    id: int
    type: str
    trigger: str
    next_fire_at: datetime
    catch_up: str
    catch_up_window: float
    concurrency: str
    max_concurrent: int
    max_waiting: int
    max_runs: int | None
    runs: int
    key: str
    missed_id: int | None
    now: datetime

    @property
    def limits(self) -> Limits:
        """Of the queue that its ticks belong to."""
        return Limits(self.concurrency, self.max_concurrent, self.max_waiting, self.key)


class MoreMissed(NamedTuple):
    """More ticks of an outage: the record of the earlier ones, how many, the last of them, and why they did not run."""

    record_id: int
    ticks: int
    until: datetime
    reason: str


class Advance(NamedTuple):
    """Where a job's schedule stands after its due ticks.

    Args:
        job_id: the job.
        next_fire_at: None: it is due no more.
        last_fired: None: none of the ticks ran.
        fired: how many did.
        missed_id: the record that further missed ticks belong to.
    """

    job_id: int
    next_fire_at: datetime | None
    last_fired: datetime | None
    fired: int
    missed_id: int | None


async def lock_due(connection: Connection, limit: int) -> list[DueRow]:
    """Lock up to `limit` due jobs, the longest due first; those that another transaction holds come with the next look."""
    return typed(DueRow, await connection.fetch(sql("schedule/due"), limit))


async def pause_invalid(connection: Connection, job_id: int, reason: str) -> None:
    """Pause a job whose trigger cannot be evaluated."""
    await connection.execute(sql("schedule/pause_invalid"), job_id, reason)


async def add_to_missed(connection: Connection, more: Sequence[MoreMissed]) -> set[int]:
    """Add missed ticks to records that there are; returns the ids of their jobs."""
    if not more:
        return set()
    return {row["job_id"] for row in await connection.fetch(sql("schedule/add_to_missed"), *columns(more, 4))}


async def advance(connection: Connection, steps: Sequence[Advance]) -> None:
    """Move the schedules of jobs on; the caller holds their locks."""
    await connection.execute(sql("schedule/advance"), *columns(steps, 5))


async def next_due(db: Database) -> float | None:
    """Seconds until the next job is due; None when none is."""
    seconds: float | None = await db.fetchval("schedule/next_due")
    return seconds
