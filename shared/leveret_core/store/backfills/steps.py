"""What the dispatcher does about running backfills."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from leveret_core.concurrency import Limits
from leveret_core.store.database import Connection, Database, sql
from leveret_core.store.rows import Row, one

_UNBOUNDED = 2**31


class BackfillStep(Row, frozen=True):
    """A running backfill, locked with its job. `ahead` of its occurrences have not begun; `live`: some have not ended."""

    id: int
    job_id: int
    trigger: str
    start_at: datetime
    end_at: datetime
    concurrency: str
    max_concurrent: int
    payload: str | None
    reached: datetime | None
    queue: str
    deleted: bool
    next_fire_at: datetime | None
    ahead: int
    live: bool

    @property
    def limits(self) -> Limits:
        """Of its own queue."""
        return Limits(self.concurrency, self.max_concurrent, _UNBOUNDED, self.queue)


async def running_backfills(db: Database) -> list[int]:
    """Ids of those that have something left to create or to wait for, the oldest first."""
    return [row["id"] for row in await db.fetch("backfills/running")]


async def lock_backfill(connection: Connection, backfill_id: int) -> BackfillStep | None:
    """Lock a running backfill and its job; None while another transaction holds one of them."""
    return one(BackfillStep, await connection.fetchrow(sql("backfills/take"), backfill_id))


async def advance(connection: Connection, backfill_id: int, reached: datetime, *, created: int, existing: int) -> None:
    """Note how far it came: the last fire time, and how many were created or had an occurrence since the last note."""
    await connection.execute(sql("backfills/advance"), backfill_id, reached, created, existing)


async def occupied_times(connection: Connection, job_id: int, times: Sequence[datetime]) -> dict[datetime, bool]:
    """Which of these fire times have an occurrence, and whether that only records that the job did not run."""
    rows = await connection.fetch(sql("backfills/occupied"), job_id, times)
    return {row["scheduled_for"]: row["did_not_run"] for row in rows}


async def shift_missed_records(connection: Connection, job_id: int, times: Collection[datetime]) -> set[datetime]:
    """Let records of fire times that did not run make room; returns the times that are free now."""
    rows = await connection.fetch(sql("backfills/shift_missed_records"), job_id, sorted(times))
    return {row["scheduled_for"] for row in rows}


async def finish(connection: Connection, backfill_id: int, state: str, reason: str | None) -> None:
    """End a backfill as `completed` or `cancelled`."""
    await connection.execute(sql("backfills/finish"), backfill_id, state, reason)
