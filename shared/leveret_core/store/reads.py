"""What lists and pages show. All reads are bounded: in rows, in bytes, and in how far they look for what a filter lets pass."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from leveret_core.errors import NotFound
from leveret_core.states import State
from leveret_core.store.database import Database

MAX_LIMIT = 500
"""Rows in a page, at most."""
MAX_WORKERS = 1000
SCAN = 20_000
"""Rows one statement looks at, at most, for those that a filter lets pass."""
STATE_SCAN = 5_000
"""The same for each state, where states are read one by one."""
SCAN_TIME = 0.5
"""Seconds after which a page ends with what was found so far, and a cursor from which to look on."""
RECENT = 100_000
"""Finished occurrences that are counted, at most."""

_NEWEST = 2**63 - 1


@dataclass(frozen=True)
class Page:
    """Rows, newest first, and the id below which the next page begins; None at the end.

    A page can be short, even empty, without being the last: the filter let little pass of what was looked at.
    """

    rows: list[asyncpg.Record]
    next: int | None


@dataclass(frozen=True, kw_only=True)
class JobFilter:
    """Which jobs to list; None lets all pass.

    Args:
        type: exactly this type.
        tag: with this tag.
        paused: only the paused ones, or only the others.
        search: a part of the name, type or description, in any case.
    """

    type: str | None = None
    tag: str | None = None
    paused: bool | None = None
    search: str | None = None


@dataclass(frozen=True, kw_only=True)
class OccurrenceFilter:
    """Which occurrences to list; None and an empty list let all pass.

    Args:
        job_id: of this job, which may be deleted.
        states: in one of these.
        type: exactly this type.
        worker_id: whose latest attempt was this worker's.
    """

    job_id: int | None = None
    states: Sequence[State] = ()
    type: str | None = None
    worker_id: UUID | None = None


@dataclass(frozen=True)
class Recent:
    """How occurrences ended since `since`: an hour ago, or later when there were more than `RECENT` of them."""

    counts: dict[str, int]
    capped_since: object | None


async def list_jobs(db: Database, which: JobFilter, *, below: int | None = None, limit: int = 50) -> Page:
    """Jobs that exist, newest first.

    Args:
        below: the `next` of the page before; None for the first.
        limit: rows, at most; up to `MAX_LIMIT`.
    """
    pattern = None if not which.search else f"%{_escaped(which.search)}%"
    filters = (which.type, which.tag, which.paused, pattern)
    scan = limit + 1 if filters == (None, None, None, None) else SCAN
    return await _page(db, "reads/jobs", below, limit, scan, filters, ())


async def get_job(db: Database, job_id: int) -> asyncpg.Record:
    """One job.

    Raises:
        NotFound: there is none, or it was deleted.
    """
    row = await db.fetchrow("reads/job", job_id)
    if row is None:
        raise NotFound(f"there is no job {job_id}")
    return row


async def list_occurrences(db: Database, which: OccurrenceFilter, *, below: int | None = None, limit: int = 50) -> Page:
    """Occurrences, newest first.

    Args:
        below: the `next` of the page before; None for the first.
        limit: rows, at most; up to `MAX_LIMIT`.
    """
    states = [state.value for state in which.states] or None
    filters = (which.type, states, which.worker_id)
    if which.job_id is not None:
        scan = limit + 1 if filters == (None, None, None) else SCAN
        return await _page(db, "reads/occurrences_of_job", below, limit, scan, filters, (which.job_id,), (which.job_id,))
    if states is not None and State.SUCCEEDED.value not in states:
        scan = limit + 1 if which.type is None and which.worker_id is None else STATE_SCAN
        return await _page(db, "reads/occurrences_in_states", below, limit, scan, filters, (), (states,))
    scan = limit + 1 if filters == (None, None, None) else SCAN
    return await _page(db, "reads/occurrences", below, limit, scan, filters, ())


async def get_occurrence(db: Database, occurrence_id: int) -> tuple[asyncpg.Record, list[asyncpg.Record]]:
    """One occurrence and its attempts, oldest first.

    Raises:
        NotFound: there is none.
    """
    row = await db.fetchrow("reads/occurrence", occurrence_id)
    if row is None:
        raise NotFound(f"there is no occurrence {occurrence_id}")
    return row, await db.fetch("reads/attempts", occurrence_id)


async def list_logs(db: Database, occurrence_id: int, *, after: tuple[int, int], limit: int) -> list[asyncpg.Record]:
    """Log records after (attempt, seq), oldest first, one more than `limit` when there are more.

    Raises:
        NotFound: there is no such occurrence.
    """
    rows = await db.fetch("reads/logs", occurrence_id, *after, limit + 1)
    if not rows and await db.fetchval("occurrences/job_of", occurrence_id) is None:
        raise NotFound(f"there is no occurrence {occurrence_id}")
    return rows


async def list_workers(db: Database) -> list[asyncpg.Record]:
    """Workers that live, and those that went within the last hour; at most `MAX_WORKERS`."""
    return await db.fetch("reads/workers", MAX_WORKERS)


async def _page(
    db: Database,
    name: str,
    below: int | None,
    limit: int,
    scan: int,
    filters: tuple[object, ...],
    scope: tuple[object, ...],
    horizon_scope: tuple[object, ...] = (),
) -> Page:
    until = time.monotonic() + SCAN_TIME
    start = _NEWEST if below is None else below
    rows: list[asyncpg.Record] = []
    while True:
        found = await db.fetch(name, start, limit + 1 - len(rows), scan, *filters, *scope)
        rows += found
        if len(rows) > limit:
            return Page(rows[:limit], rows[limit - 1]["id"])
        if found and found[0].get("found", 0) > len(found):
            return Page(rows, rows[-1]["id"])
        if scan == limit + 1:
            return Page(rows, None)
        horizon = await db.fetchrow(f"{name}_horizon", start, scan, *horizon_scope)
        assert horizon is not None
        if horizon["scanned"] < scan:
            return Page(rows, None)
        start = horizon["id"]
        if time.monotonic() > until:
            return Page(rows, start)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
