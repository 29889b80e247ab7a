"""Backfills: a job's fire times of the past, run because a user asked for them. The dispatcher creates their occurrences."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec

from leveret_core import messages, triggers
from leveret_core.errors import Conflict, InvalidInput, NotFound, Problem
from leveret_core.store.clock.now import read_clock
from leveret_core.store.database import Connection, Database, sql
from leveret_core.store.jobs.refs import JobRef, resolve_job
from leveret_core.store.reads.jobs import get_job
from leveret_core.store.reads.pages import Page
from leveret_core.store.rows import Row, one, typed
from leveret_core.store.slots.release import as_final, release
from leveret_core.triggers import Cron, Interval, Trigger, TriggerError, fire_times_between

MAX_RUNNING = 5
"""Backfills of one job that run at the same time, at most."""
_DEADLOCK_TRIES = 3
_TICK = timedelta(microseconds=1)
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A backfill to start.

    Args:
        start_at: ISO 8601; without an offset, wall time in the job's zone. Belongs to the range.
        end_at: as `start_at`; not in the future. Belongs to the range, too.
        concurrency: what a fire time does while `max_concurrent` others of the backfill are live: `queue`, `skip`, or
            `allow`: run all the same.
        max_concurrent: means nothing for `allow`.
        payload: JSON text of an object instead of the job's payload.
    """

    start_at: str
    end_at: str
    concurrency: str = "queue"
    max_concurrent: int = 1
    payload: str | None = None


class BackfillRow(Row, frozen=True):
    """A backfill, with how its occurrences stand. `payload` and `counts` are JSON text."""

    id: int
    job_id: int
    job_name: str
    start_at: datetime
    end_at: datetime
    concurrency: str
    max_concurrent: int
    payload: str | None
    state: str
    reason: str | None
    total: int | None
    created: int
    existing: int
    created_at: datetime
    finished_at: datetime | None
    counts: str


@dataclass(frozen=True)
class CancelledBackfill:
    """What cancelling came to: the job, how many occurrences changed, and the words to those workers that run one."""

    job_id: int
    changed: int
    tell: tuple[messages.Cancel, ...]


async def start_backfill(db: Database, ref: JobRef, wanted: Wanted, *, limit: int, actor: str) -> int:
    """Start a backfill of a job, which may be paused; returns its id.

    Args:
        limit: fire times, at most.
        actor: who asks, for the audit.

    Raises:
        NotFound: there is no such job.
        InvalidInput: the job has no fire times, or the range is wrong, not over yet, empty or too long.
        Conflict: too many backfills of the job run.
    """
    job_id = await resolve_job(db, ref)
    row = await get_job(db, job_id)
    trigger = triggers.load_json(row.trigger)
    if not isinstance(trigger, Cron | Interval):
        kind = "once" if isinstance(trigger, triggers.Once) else "manual"
        raise InvalidInput.at("", f"job {row.name} has a {kind} trigger; only a cron or interval job can be backfilled")
    start_at, end_at = _range(wanted, trigger, await read_clock(db))
    total = await _count(trigger, start_at, end_at, limit)
    async with db.transaction() as connection:
        locked = await connection.fetchrow(sql("jobs/lock"), job_id, None)
        if locked is None:
            raise NotFound(f"there is no job {job_id}")
        if await connection.fetchval(sql("backfills/count_running"), job_id) >= MAX_RUNNING:
            raise Conflict(f"{MAX_RUNNING} backfills of job {row.name} are running; wait for one, or cancel it")
        backfill_id: int = await connection.fetchval(
            sql("backfills/insert"),
            job_id,
            row.trigger,
            start_at,
            end_at,
            wanted.concurrency,
            wanted.max_concurrent,
            wanted.payload,
            total,
        )
        detail = {"backfill": backfill_id, "start_at": start_at, "end_at": end_at, "total": total}
        await _audit(connection, actor, "backfill", job_id, detail)
        return backfill_id


async def cancel_backfill(
    db: Database, backfill_id: int, *, running: bool, reason: str | None, actor: str
) -> CancelledBackfill:
    """Stop a backfill and cancel what of it has not begun. Cancelling it again does no harm.

    Args:
        running: whether what runs is cancelled, too.
        reason: shown with the backfill, and with what it leaves cancelled.
        actor: who asks, for the audit.

    Raises:
        NotFound: there is no such backfill.
        Conflict: it is completed.
    """
    tries = 1
    while True:
        try:
            async with db.transaction() as connection:
                return await _cancel(connection, backfill_id, running=running, reason=reason, actor=actor)
        except asyncpg.DeadlockDetectedError:
            # Occurrences are claimed without their job's lock.
            if tries == _DEADLOCK_TRIES:
                raise
            tries += 1


async def get_backfill(db: Database, backfill_id: int) -> BackfillRow:
    """One backfill, with how its occurrences stand.

    Raises:
        NotFound: there is none.
    """
    row = one(BackfillRow, await db.fetchrow("reads/backfill", backfill_id))
    if row is None:
        raise NotFound(f"there is no backfill {backfill_id}")
    return row


async def list_backfills(
    db: Database, *, job_id: int | None = None, state: str | None = None, below: int | None = None, limit: int = 50
) -> Page[BackfillRow, int]:
    """Backfills, newest first.

    Args:
        job_id: only of this job, which may be deleted.
        state: only in this state.
        below: the `next` of the page before; None for the first.
        limit: rows, at most.
    """
    rows = typed(BackfillRow, await db.fetch("reads/backfills", below, limit + 1, job_id, state))
    return Page(rows[:limit], rows[limit - 1].id if len(rows) > limit else None)


def _range(wanted: Wanted, trigger: Trigger, now: datetime) -> tuple[datetime, datetime]:
    zone = triggers.timezone_of(trigger)
    problems: list[Problem] = []
    found: list[datetime] = []
    for field, text in (("start_at", wanted.start_at), ("end_at", wanted.end_at)):
        try:
            found.append(triggers.parse_after(text, zone))
        except TriggerError as error:
            problems.append(Problem(field, error.message))
    if problems:
        raise InvalidInput(problems)
    start_at, end_at = found
    if end_at > now:
        problems.append(Problem("end_at", f"is not in the past; the server's clock says {now.isoformat(timespec='seconds')}"))
    if start_at < _EARLIEST:
        problems.append(Problem("start_at", f"is before {_EARLIEST.year}"))
    if start_at >= end_at:
        problems.append(Problem("start_at", "must be before end_at"))
    if problems:
        raise InvalidInput(problems)
    return start_at, end_at


async def _count(trigger: Cron | Interval, start_at: datetime, end_at: datetime, limit: int) -> int:
    # Some µs for each: in a thread, so that a long range keeps no other request waiting.
    times = await asyncio.to_thread(fire_times_between, trigger, start_at - _TICK, end_at, limit + 1)
    if len(times) > limit:
        raise InvalidInput.at(
            "end_at",
            f"would make more than {limit} fire times; the first {limit} end at {times[limit - 1].isoformat()}. "
            "Ask for a shorter range, or raise LEVERET_BACKFILL_LIMIT",
        )
    if not times:
        begins = ""
        if trigger.start_at is not None and trigger.start_at > start_at:
            begins = f"; its trigger begins at {trigger.start_at.isoformat()}"
        raise InvalidInput.at("start_at", f"begins a range in which the job has no fire time{begins}")
    return len(times)


async def _cancel(
    connection: Connection, backfill_id: int, *, running: bool, reason: str | None, actor: str
) -> CancelledBackfill:
    job_id = await connection.fetchval(sql("backfills/job_of"), backfill_id)
    if job_id is None:
        raise NotFound(f"there is no backfill {backfill_id}")
    # Jobs before everything else, as everywhere, so that no two transactions wait for each other.
    await connection.fetchrow(sql("occurrences/lock_job"), job_id, None)
    state = await connection.fetchval(sql("backfills/lock"), backfill_id)
    if state == "completed":
        raise Conflict(f"backfill {backfill_id} is completed; there is nothing left to cancel")
    await connection.execute(sql("backfills/finish"), backfill_id, "cancelled", reason)
    shown = reason or f"backfill {backfill_id} was cancelled"
    rows = await connection.fetch(sql("backfills/cancel_occurrences"), backfill_id, shown, running)
    await release(connection, [as_final(row) for row in rows if row["state"] == "cancelled"], [job_id])
    if rows or state == "running":
        detail = {"backfill": backfill_id, "reason": reason, "running": running, "occurrences": len(rows)}
        await _audit(connection, actor, "cancel_backfill", job_id, detail)
    tell = tuple(
        messages.Cancel(worker=str(row["worker_id"]), occurrence=row["id"], attempt=row["attempt"])
        for row in rows
        if row["state"] == "cancelling"
    )
    return CancelledBackfill(job_id, len(rows), tell)


async def _audit(connection: Connection, actor: str, action: str, job_id: int, detail: Mapping[str, object]) -> None:
    await connection.execute(sql("jobs/audit"), actor, action, job_id, msgspec.json.encode(detail).decode())
