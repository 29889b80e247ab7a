"""What lists and pages show. All reads are bounded: in rows, in bytes, and in how far they look for what a filter lets pass."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import asyncpg

from leveret_core.errors import NotFound
from leveret_core.patterns import expression
from leveret_core.states import State
from leveret_core.store.database import Database

MAX_LIMIT = 500
"""Rows in a page, at most."""
MAX_WORKERS = 1000
MAX_REFUSALS = 40
SCAN = 20_000
"""Rows one statement looks at, at most, for those that a filter lets pass."""
STATE_SCAN = 5_000
"""The same for each state, where states are read one by one."""
SCAN_TIME = 0.5
"""Seconds after which a page ends with what was found so far, and a cursor from which to look on."""


EndKey = tuple[datetime, int]
"""Where an occurrence stands among those that ended: when it did, and its id."""
Key = TypeVar("Key", int, datetime, EndKey)
WITH_ERROR = (State.FAILED, State.TIMED_OUT)
"""The states whose error is looked at by a search."""


@dataclass(frozen=True)
class Page(Generic[Key]):
    """Rows, newest first, and the key below which the next page begins; None at the end.

    A page can be short, even empty, without being the last: the filter let little pass of what was looked at.
    `looked_at` tells then how many rows that were.
    """

    rows: list[asyncpg.Record]
    next: Key | None
    looked_at: int | None = None


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
        type: a type, or a pattern as handlers have it.
        worker_id: whose latest attempt was this worker's.
        error: a part of the error's type or message, or of the reason, in any case; only what failed or timed out passes.
        since: ended at this time or later.
        until: ended before this time.
    """

    states: Sequence[State] = ()
    type: str | None = None
    worker_id: UUID | None = None
    error: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        if self.error:
            kept = [state for state in WITH_ERROR if not self.states or state in self.states]
            object.__setattr__(self, "states", kept)

    @property
    def passes_none(self) -> bool:
        """Whether an error is looked for among states that have none."""
        return bool(self.error) and not self.states

    @property
    def by_end(self) -> bool:
        """Whether a time is named in which they ended."""
        return self.since is not None or self.until is not None

    @property
    def states_or_none(self) -> list[str] | None:
        """The states as statements take them."""
        return [state.value for state in self.states] or None

    @property
    def values(self) -> tuple[object, ...]:
        """The filters as statements take them."""
        type_ = None if self.type is None else expression(self.type)
        return type_, self.states_or_none, self.worker_id, pattern_of(self.error)

    @property
    def times(self) -> tuple[object, ...]:
        """The time they ended in, as statements take it."""
        return self.since, self.until

    @property
    def passes_all(self) -> bool:
        """Whether nothing is filtered out."""
        return self.type is None and not self.states and self.worker_id is None and not self.by_end


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
    if which.passes_none:
        return Page([], None)
    if states is not None and State.SUCCEEDED.value not in states:
        scan = limit + 1 if (filters[0], *filters[2:]) == (None, None, None) else STATE_SCAN
        return await _page(db, "reads/occurrences_in_states", "id", below, limit, scan, filters, horizon_scope=(states,))
    scan = limit + 1 if which.passes_all else SCAN
    return await _page(db, "reads/occurrences", "id", below, limit, scan, filters[:3])


async def list_occurrences_ended(
    db: Database, which: OccurrenceFilter, *, below: EndKey | None = None, limit: int = 50
) -> Page[EndKey]:
    """Occurrences that ended in the time that the filter names, the last to end first.

    Args:
        below: the `next` of the page before; None for the first.
        limit: rows, at most; up to `MAX_LIMIT`.
    """
    if which.passes_none:
        return Page([], None)
    name, scan, scope = "reads/occurrences_ended", SCAN, which.times
    if which.states and State.SUCCEEDED not in which.states:
        name, scan, scope = "reads/occurrences_ended_in_states", STATE_SCAN, (*which.times, which.states_or_none)
    filters = (*which.values, *which.times)
    key = ("finished_at", "id")
    return await _page(db, name, key, below, limit, scan, filters, horizon_scope=scope)


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
    if which.passes_none:
        return Page([], None)
    type_, _, worker_id, error = which.values
    states = [state.value for state in which.states or State]
    filters = (type_, states, worker_id, backfill_id, job_id, error, *which.times)
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
    if which.passes_none:
        return Page([], None)
    scan = limit + 1 if which.passes_all else SCAN
    filters, scope = (*which.values, *which.times), (job_id,)
    return await _page(
        db, "reads/occurrences_of_job", "scheduled_for", below, limit, scan, filters, scope=scope, horizon_scope=scope
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
    """Workers that live, and those that went within the last hour; at most `MAX_WORKERS`, without schemas and descriptions."""
    return await db.fetch("reads/workers", MAX_WORKERS)


async def get_worker(db: Database, worker_id: UUID) -> tuple[asyncpg.Record, list[asyncpg.Record]]:
    """A worker with all that its handlers tell, and what it got wrong, the latest first.

    Raises:
        NotFound: there is no such worker. What was refused of one that was never welcome stands in the message.
    """
    row = await db.fetchrow("workers/one", worker_id)
    refusals = await db.fetch("workers/refusals", worker_id, MAX_REFUSALS)
    if row is None:
        told = "; ".join(f"its {each['kind']} was refused: {each['reason']}" for each in refusals)
        raise NotFound(f"there is no worker {worker_id}" + (f", but {told}" if told else ""))
    return row, refusals


async def _page(
    db: Database,
    name: str,
    key: str | tuple[str, str],
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
    looked_at = 0
    while True:
        start: tuple[object, ...] = below if isinstance(below, tuple) else (below,) * (1 if isinstance(key, str) else len(key))
        found = await db.fetch(name, *start, limit + 1 - len(rows), scan, *filters, *scope)
        rows += found
        if len(rows) > limit:
            return Page(rows[:limit], _key_of(rows[limit - 1], key))
        if found and found[0].get("found", 0) > len(found):
            return Page(rows, _key_of(rows[-1], key))
        if scan == limit + 1:
            return Page(rows, None)
        horizon = await db.fetchrow(f"{name}_horizon", *start, scan, *horizon_scope)
        if horizon is None or horizon["scanned"] < scan:
            return Page(rows, None)
        looked_at += scan
        below = _key_of(horizon, key)
        if time.monotonic() > until:
            return Page(rows, below, looked_at)


def _key_of(row: asyncpg.Record, key: str | tuple[str, str]) -> Any:
    return row[key] if isinstance(key, str) else tuple(row[part] for part in key)


def pattern_of(search: str | None) -> str | None:
    """What `ilike` takes to find a part of a text; None for nothing to look for."""
    if not search:
        return None
    escaped = search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
