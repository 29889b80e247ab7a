"""Jobs, as lists and pages show them."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from leveret_core.errors import NotFound
from leveret_core.store.database import Database
from leveret_core.store.reads.pages import SCAN, Page, pattern_of, read_page


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


async def list_jobs(db: Database, which: JobFilter, *, below: int | None = None, limit: int = 50) -> Page[int]:
    """Jobs that exist, newest first.

    Args:
        below: the `next` of the page before; None for the first.
        limit: rows, at most; up to `MAX_LIMIT`.
    """
    filters = (which.type, which.tag, which.paused, pattern_of(which.search), which.served)
    scan = limit + 1 if filters == (None, None, None, None, None) else SCAN
    return await read_page(db, "reads/jobs", "id", below, limit, scan, (*filters, which.served_types))


async def get_job(db: Database, job_id: int) -> asyncpg.Record:
    """One job.

    Raises:
        NotFound: there is none, or it was deleted.
    """
    row = await db.fetchrow("reads/job", job_id)
    if row is None:
        raise NotFound(f"there is no job {job_id}")
    return row
