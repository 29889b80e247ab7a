"""Occurrences, their attempts and logs, as lists and pages show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from leveret_core.errors import NotFound
from leveret_core.patterns import expression
from leveret_core.states import State
from leveret_core.store.database import Database
from leveret_core.store.reads.occurrence_rows import AttemptRow, LogRow, OccurrenceDetailRow, OccurrenceRow, WaitingRow
from leveret_core.store.reads.pages import SCAN, EndKey, Page, pattern_of, read_page
from leveret_core.store.rows import one, typed

STATE_SCAN = 5_000
"""Rows one statement looks at for each state, at most, where states are read one by one; see `pages.SCAN`."""
WITH_ERROR = (State.FAILED, State.TIMED_OUT)
"""The states whose error is looked at by a search."""


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


async def list_occurrences(
    db: Database, which: OccurrenceFilter, *, below: int | None = None, limit: int = 50
) -> Page[OccurrenceRow, int]:
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
        return await read_page(
            db, OccurrenceRow, "reads/occurrences_in_states", "id", below, limit, scan, filters, horizon_scope=(states,)
        )
    scan = limit + 1 if which.passes_all else SCAN
    return await read_page(db, OccurrenceRow, "reads/occurrences", "id", below, limit, scan, filters[:3])


async def list_occurrences_ended(
    db: Database, which: OccurrenceFilter, *, below: EndKey | None = None, limit: int = 50
) -> Page[OccurrenceRow, EndKey]:
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
    return await read_page(db, OccurrenceRow, name, key, below, limit, scan, filters, horizon_scope=scope)


async def list_occurrences_of_backfill(
    db: Database,
    backfill_id: int,
    which: OccurrenceFilter,
    *,
    job_id: int | None = None,
    below: int | None = None,
    limit: int = 50,
) -> Page[OccurrenceRow, int]:
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
    return Page(typed(OccurrenceRow, rows[:limit]), rows[limit - 1]["id"] if len(rows) > limit else None)


async def list_occurrences_of(
    db: Database, job_id: int, which: OccurrenceFilter, *, below: datetime | None = None, limit: int = 50
) -> Page[OccurrenceRow, datetime]:
    """Occurrences of one job, which may be deleted, the latest planned first.

    Args:
        below: the `next` of the page before; None for the first.
        limit: rows, at most; up to `MAX_LIMIT`.
    """
    if which.passes_none:
        return Page([], None)
    scan = limit + 1 if which.passes_all else SCAN
    filters, scope = (*which.values, *which.times), (job_id,)
    return await read_page(
        db,
        OccurrenceRow,
        "reads/occurrences_of_job",
        "scheduled_for",
        below,
        limit,
        scan,
        filters,
        scope=scope,
        horizon_scope=scope,
    )


async def get_occurrence(db: Database, occurrence_id: int) -> tuple[OccurrenceDetailRow, list[AttemptRow]]:
    """One occurrence and its attempts, oldest first.

    Raises:
        NotFound: there is none.
    """
    row = one(OccurrenceDetailRow, await db.fetchrow("reads/occurrence", occurrence_id))
    if row is None:
        raise NotFound(f"there is no occurrence {occurrence_id}")
    return row, typed(AttemptRow, await db.fetch("reads/attempts", occurrence_id))


async def get_occurrences(db: Database, occurrence_ids: Sequence[int]) -> list[OccurrenceRow]:
    """Those of these occurrences that there are, in no order, as `list_occurrences` has them."""
    return typed(OccurrenceRow, await db.fetch("reads/occurrences_by_id", list(set(occurrence_ids))))


async def list_logs(db: Database, occurrence_id: int, *, after: tuple[int, int], limit: int) -> list[LogRow]:
    """Log records after (attempt, seq), oldest first, one more than `limit` when there are more.

    Raises:
        NotFound: there is no such occurrence.
    """
    rows = await db.fetch("reads/logs", occurrence_id, *after, limit + 1)
    if not rows and await job_of(db, occurrence_id) is None:
        raise NotFound(f"there is no occurrence {occurrence_id}")
    return typed(LogRow, rows)


async def job_of(db: Database, occurrence_id: int) -> int | None:
    """The job of an occurrence; None if there is no such occurrence."""
    job_id: int | None = await db.fetchval("occurrences/job_of", occurrence_id)
    return job_id


async def read_waiting(db: Database, occurrence_id: int, window: int, patterns: Sequence[str]) -> WaitingRow | None:
    """What keeps a pending occurrence; None when it is not pending.

    Args:
        window: unanswered dispatch messages of a type, at most; more are not counted.
        patterns: of handlers that match its type.
    """
    return one(WaitingRow, await db.fetchrow("reads/waits_for", occurrence_id, window, patterns))
