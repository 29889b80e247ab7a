"""Jobs, as lists and pages show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from leveret_core.errors import NotFound
from leveret_core.store.database import Database
from leveret_core.store.reads.pages import SCAN, Page, pattern_of, read_page
from leveret_core.store.rows import Row, one, typed


class JobRow(Row, frozen=True):
    """A job. `payload`, `trigger` and `retry` are JSON text; `last_…` tell of the occurrence that was due last."""

    id: int
    name: str
    type: str
    description: str
    tags: list[str]
    payload: str
    trigger: str
    concurrency: str
    max_concurrent: int
    max_waiting: int
    catch_up: str
    catch_up_window: float
    timeout: float | None
    retry: str
    max_runs: int | None
    runs: int
    concurrency_key: str | None
    priority: int
    disable_after: int | None
    failures: int
    declaration: str | None
    import_source: str | None
    version: int
    paused_at: datetime | None
    pause_reason: str | None
    next_fire_at: datetime | None
    last_fire_at: datetime | None
    created_at: datetime
    updated_at: datetime
    last_id: int | None
    last_state: str | None
    last_scheduled_for: datetime | None
    last_finished_at: datetime | None
    found: int = 0
    """Of a list: how many jobs its page could have had."""


class JobPayload(Row, frozen=True):
    """A job's type and payload (JSON text)."""

    id: int
    name: str
    type: str
    payload: str


class UpcomingRow(Row, frozen=True):
    """A job that is due next."""

    id: int
    name: str
    next_fire_at: datetime


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


async def list_jobs(db: Database, which: JobFilter, *, below: int | None = None, limit: int = 50) -> Page[JobRow, int]:
    """Jobs that exist, newest first.

    Args:
        below: the `next` of the page before; None for the first.
        limit: rows, at most; up to `MAX_LIMIT`.
    """
    filters = (which.type, which.tag, which.paused, pattern_of(which.search), which.served)
    scan = limit + 1 if filters == (None, None, None, None, None) else SCAN
    return await read_page(db, JobRow, "reads/jobs", "id", below, limit, scan, (*filters, which.served_types))


async def get_job(db: Database, job_id: int) -> JobRow:
    """One job.

    Raises:
        NotFound: there is none, or it was deleted.
    """
    row = one(JobRow, await db.fetchrow("reads/job", job_id))
    if row is None:
        raise NotFound(f"there is no job {job_id}")
    return row


async def payloads_of(db: Database, ids: Sequence[int], names: Sequence[str]) -> list[JobPayload]:
    """The payloads of those of the jobs that there are, by id and by name."""
    return typed(JobPayload, await db.fetch("jobs/payloads", ids, names))


async def upcoming(db: Database, limit: int) -> list[UpcomingRow]:
    """The next jobs to be due."""
    return typed(UpcomingRow, await db.fetch("reads/upcoming", limit))
