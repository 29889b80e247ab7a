"""What lists and pages show. All reads are bounded: in rows, in bytes, and in how far they look for what a filter lets pass."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
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


Key = TypeVar("Key", int, datetime)


@dataclass(frozen=True)
class Page(Generic[Key]):
    """Rows, newest first, and the key below which the next page begins; None at the end.

    A page can be short, even empty, without being the last: the filter let little pass of what was looked at.
    """

    rows: list[asyncpg.Record]
    next: Key | None


@dataclass(frozen=True, kw_only=True)
class JobFilter:
    """Which jobs to list; None lets all pass.

    Args:
        type: exactly this type.
        tag: with this tag.
        paused: only the paused ones, or only the others.
        search: a part of the name, type or description, in any case.
        served: only those whose type, behind a dot, the regular expression `served_types` finds, or only the others.
    """

    type: str | None = None
    tag: str | None = None
    paused: bool | None = None
    search: str | None = None
    served: bool | None = None
    served_types: str = "^$"


@dataclass(frozen=True, kw_only=True)
class OccurrenceFilter:
    """Which occurrences to list; None and an empty list let all pass.

    Args:
        states: in one of these.
        type: exactly this type.
        worker_id: whose latest attempt was this worker's.
    """

    states: Sequence[State] = ()
    type: str | None = None
    worker_id: UUID | None = None

    @property
    def states_or_none(self) -> list[str] | None:
        """The states as statements take them."""
        return [state.value for state in self.states] or None

    @property
    def values(self) -> tuple[object, ...]:
        """The filters as statements take them."""
        return self.type, self.states_or_none, self.worker_id

    @property
    def passes_all(self) -> bool:
        """Whether nothing is filtered out."""
        return self.type is None and not self.states and self.worker_id is None


async def list_jobs(db: Database, which: JobFilter, *, below: int | None = None, limit: int = 50) -> Page[int]:
    """Jobs that exist, newest first.

    Args:
        below: the `next` of the page before; None for the first.
        limit: rows, at most; up to `MAX_LIMIT`.
    """
    filters = (which.type, which.tag, which.paused, pattern_of(which.search), which.served)
    scan = limit + 1 if filters == (None, None, None, None, None) else SCAN
    return await _page(db, "reads/jobs", "id", below, limit, scan, (*filters, which.served_types))


async def get_job(db: Database, job_id: int) -> asyncpg.Record:
    """One job.

    Raises:
        NotFound: there is none, or it was deleted.
    """
    row = await db.fetchrow("reads/job", job_id)
    if row is None:
        raise NotFound(f"there is no job {job_id}")
    return row


async def list_occurrences(db: Database, which: OccurrenceFilter, *, below: int | None = None, limit: int = 50) -> Page[int]:
    """Occurrences, newest first.

    Args:
        below: the `next` of the page before; None for the first.
        limit: rows, at most; up to `MAX_LIMIT`.
    """
    states, filters = which.states_or_none, which.values
    if states is not None and State.SUCCEEDED.value not in states:
        scan = limit + 1 if which.type is None and which.worker_id is None else STATE_SCAN
        return await _page(db, "reads/occurrences_in_states", "id", below, limit, scan, filters, horizon_scope=(states,))
    scan = limit + 1 if which.passes_all else SCAN
    return await _page(db, "reads/occurrences", "id", below, limit, scan, filters)


async def list_occurrences_of_backfill(
    db: Database,
    backfill_id: int,
    which: OccurrenceFilter,
    *,
    job_id: int | None = None,
    below: int | None = None,
    limit: int = 50,
) -> Page[int]:
    """Occurrences of one backfill, newest first.

    Args:
        job_id: none pass but those of this job.
        below: the `next` of the page before; None for the first.
        limit: rows, at most; up to `MAX_LIMIT`.
    """
    # All of it can be looked at: a backfill is bounded.
    states = [state.value for state in which.states or State]
    filters = (which.type, states, which.worker_id, backfill_id, job_id)
    rows = await db.fetch("reads/occurrences_of_backfill", below, limit + 1, *filters)
    return Page(rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None)


async def list_occurrences_of(
    db: Database, job_id: int, which: OccurrenceFilter, *, below: datetime | None = None, limit: int = 50
) -> Page[datetime]:
    """Occurrences of one job, which may be deleted, the latest planned first.

    Args:
        below: the `next` of the page before; None for the first.
        limit: rows, at most; up to `MAX_LIMIT`.
    """
    scan = limit + 1 if which.passes_all else SCAN
    scope = (job_id,)
    return await _page(
        db, "reads/occurrences_of_job", "scheduled_for", below, limit, scan, which.values, scope=scope, horizon_scope=scope
    )


async def get_occurrence(db: Database, occurrence_id: int) -> tuple[asyncpg.Record, list[asyncpg.Record]]:
    """One occurrence and its attempts, oldest first.

    Raises:
        NotFound: there is none.
    """
    row = await db.fetchrow("reads/occurrence", occurrence_id)
    if row is None:
        raise NotFound(f"there is no occurrence {occurrence_id}")
    return row, await db.fetch("reads/attempts", occurrence_id)


async def get_occurrences(db: Database, occurrence_ids: Sequence[int]) -> list[asyncpg.Record]:
    """Those of these occurrences that there are, in no order, as `list_occurrences` has them."""
    return await db.fetch("reads/occurrences_by_id", list(set(occurrence_ids)))


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
    key: str,
    below: Key | None,
    limit: int,
    scan: int,
    filters: tuple[object, ...],
    *,
    scope: tuple[object, ...] = (),
    horizon_scope: tuple[object, ...] = (),
) -> Page[Key]:
    until = time.monotonic() + SCAN_TIME
    rows: list[asyncpg.Record] = []
    while True:
        found = await db.fetch(name, below, limit + 1 - len(rows), scan, *filters, *scope)
        rows += found
        if len(rows) > limit:
            return Page(rows[:limit], rows[limit - 1][key])
        if found and found[0].get("found", 0) > len(found):
            return Page(rows, rows[-1][key])
        if scan == limit + 1:
            return Page(rows, None)
        horizon = await db.fetchrow(f"{name}_horizon", below, scan, *horizon_scope)
        assert horizon is not None
        if horizon["scanned"] < scan:
            return Page(rows, None)
        below = horizon[key]
        if time.monotonic() > until:
            return Page(rows, below)


def pattern_of(search: str | None) -> str | None:
    """What `ilike` takes to find a part of a text; None for nothing to look for."""
    if not search:
        return None
    escaped = search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
