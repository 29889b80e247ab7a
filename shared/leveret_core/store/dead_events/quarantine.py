"""Dead events: what workers sent and nobody could apply, until somebody discards it or its time is over."""

from __future__ import annotations

import uuid

import asyncpg

from leveret_core.errors import NotFound
from leveret_core.store.database import Database
from leveret_core.store.reads.pages import Page


async def list_dead_events(
    database: Database, *, worker: uuid.UUID | None, occurrence: int | None, below: int | None, limit: int
) -> Page[int]:
    """A page of them without their bytes, newest first.

    Args:
        database: to read from.
        worker: only of this worker.
        occurrence: only about this occurrence.
        below: only those with a smaller id.
        limit: rows, at most.
    """
    rows = await database.fetch("dead_events/list", below, worker, occurrence, limit)
    return Page(rows, rows[-1]["id"] if len(rows) == limit else None)


async def read_dead_event(database: Database, id_: int) -> asyncpg.Record:
    """One with its bytes. Raises `NotFound`."""
    row = await database.fetchrow("dead_events/get", id_)
    if row is None:
        raise NotFound(f"there is no dead event {id_}")
    return row


async def discard_dead_event(database: Database, id_: int) -> None:
    """Delete one. Raises `NotFound`."""
    if await database.fetchval("dead_events/discard", id_) is None:
        raise NotFound(f"there is no dead event {id_}")
