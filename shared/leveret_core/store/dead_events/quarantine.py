"""Dead events: what workers sent and could not be applied, until a user discards it or its time is over."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from leveret_core.errors import NotFound
from leveret_core.store.database import Database, columns
from leveret_core.store.reads.pages import Page
from leveret_core.store.rows import Row, one, typed


class DeadEventRow(Row, frozen=True):
    """What could not be applied, without its bytes."""

    id: int
    at: datetime
    kind: str
    reason: str
    worker_id: uuid.UUID | None
    worker_name: str | None
    occurrence_id: int | None
    attempt: int | None
    size: int


class DeadEventBytesRow(DeadEventRow, frozen=True):
    """What could not be applied, with its bytes."""

    body: bytes


class Replayed(NamedTuple):
    """What became of a dead event that was handed to the ingestor again.

    Args:
        applied: how many events changed something.
        stale: how many came too late: their attempt has ended, or has them already.
        refused: how many cannot be applied, still.
        reason: why, of the first that was refused.
    """

    applied: int = 0
    stale: int = 0
    refused: int = 0
    reason: str = ""


class DeadRow(NamedTuple):
    """What cannot be applied, as its row has it. `size` is of the whole, of which `body` may be a part."""

    kind: str
    reason: str
    body: bytes
    size: int
    digest: bytes
    worker: uuid.UUID | None
    occurrence: int | None
    attempt: int | None


async def keep_dead_events(database: Database, rows: Sequence[DeadRow], of_worker: int) -> dict[uuid.UUID | None, str]:
    """Keep these, those once that were kept before; returns the names of their workers.

    Args:
        of_worker: how many of one worker are kept at all.
    """
    found = await database.fetch("dead_events/keep", *columns(rows, 8), of_worker)
    return {row["id"]: row["name"] for row in found}


async def count_dead_events(database: Database) -> int:
    """How many there are."""
    count: int = await database.fetchval("dead_events/count")
    return count


async def list_dead_events(
    database: Database, *, worker: uuid.UUID | None, occurrence: int | None, below: int | None, limit: int
) -> Page[DeadEventRow, int]:
    """A page of them without their bytes, newest first.

    Args:
        database: to read from.
        worker: only of this worker.
        occurrence: only about this occurrence.
        below: only those with a smaller id.
        limit: rows, at most.
    """
    rows = typed(DeadEventRow, await database.fetch("dead_events/list", below, worker, occurrence, limit))
    return Page(rows, rows[-1].id if len(rows) == limit else None)


async def read_dead_event(database: Database, id_: int) -> DeadEventBytesRow:
    """One with its bytes. Raises `NotFound`."""
    row = one(DeadEventBytesRow, await database.fetchrow("dead_events/get", id_))
    if row is None:
        raise NotFound(f"there is no dead event {id_}")
    return row


async def discard_dead_event(database: Database, id_: int, *, actor: str) -> None:
    """Delete one.

    Args:
        actor: who asks, for the audit.

    Raises:
        NotFound: there is no such dead event.
    """
    if await database.fetchval("dead_events/discard", id_, actor, "discard_event") is None:
        raise NotFound(f"there is no dead event {id_}")


async def forget_replayed(database: Database, id_: int, *, actor: str) -> None:
    """Delete one that was applied after all. It may be gone already: another client replayed or discarded it just now.

    Args:
        actor: who asks, for the audit.
    """
    await database.fetchval("dead_events/discard", id_, actor, "replay_event")
