"""The system at a glance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from leveret_core.store.database import Connection, Database, sql
from leveret_core.store.rows import Row, one


class DispatcherRow(Row, frozen=True):
    """Who holds the term, and what that one found. `ownerless_examples` is JSON text."""

    holder: UUID | None
    holder_name: str
    epoch: int
    acquired_at: datetime | None
    since_seconds: float | None
    lag_seconds: float
    ownerless: int
    ownerless_examples: str
    ownerless_looked_at: datetime | None
    clock_set_back: int
    clock_set_back_at: datetime | None


class JobCountsRow(Row, frozen=True):
    """How many jobs there are."""

    total: int
    paused: int


class WorkerCountsRow(Row, frozen=True):
    """Workers alive, what they can run at once, and what they ran at their last heartbeat."""

    alive: int
    slots: int
    running: int


@dataclass(frozen=True)
class Counts:
    """What there is.

    Args:
        live: occurrences that have not ended, by state.
        finished: those that ended within the last hour, by state.
        finished_since: since when those are, if there were too many to count them all.
        dead_letters: so many, as far as they were counted.
        jobs: that exist.
        workers: alive.
    """

    live: dict[str, int]
    finished: dict[str, int]
    finished_since: datetime | None
    dead_letters: int
    jobs: JobCountsRow
    workers: WorkerCountsRow


async def count_all(db: Database, limit: int) -> Counts:
    """Count.

    Args:
        limit: finished occurrences and dead letters that are counted, at most.
    """
    live = await db.fetch("reads/count_live")
    finished = await db.fetch("reads/count_finished", limit)
    jobs = one(JobCountsRow, await db.fetchrow("reads/count_jobs"))
    workers = one(WorkerCountsRow, await db.fetchrow("reads/count_workers"))
    dead_letters: int = await db.fetchval("reads/count_dead", limit)
    assert jobs is not None
    assert workers is not None
    capped = bool(finished) and finished[0]["total"] >= limit
    return Counts(
        {row["state"]: row["count"] for row in live},
        {row["state"]: row["count"] for row in finished},
        min(row["since"] for row in finished) if capped else None,
        dead_letters,
        jobs,
        workers,
    )


async def read_dispatcher(db: Database) -> DispatcherRow:
    """Who dispatches."""
    async with db.connection() as connection:
        return await read_dispatcher_in(connection)


async def read_dispatcher_in(connection: Connection) -> DispatcherRow:
    """As `read_dispatcher`, on a connection of the caller's."""
    row = one(DispatcherRow, await connection.fetchrow(sql("reads/dispatcher")))
    assert row is not None
    return row


async def seconds_since_progress(db: Database) -> float | None:
    """Seconds since the dispatcher last had done what was to be done; None if there never was one."""
    seconds: float | None = await db.fetchval("reads/ping")
    return seconds
