"""What workers got wrong."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from leveret_core.store.database import Database, columns


class RefusalNote(NamedTuple):
    """The same thing, so many times. `name` is the worker's, as far as its messages told it."""

    worker: UUID
    kind: str
    reason: str
    name: str
    times: int


async def note_refusals(db: Database, notes: Sequence[RefusalNote]) -> dict[UUID, str]:
    """Remember these; what is there already is only counted. Returns the names of the workers."""
    return {row["worker_id"]: row["worker_name"] for row in await db.fetch("workers/note_refusals", *columns(notes, 5))}


async def forget_refusals(db: Database, workers: Collection[UUID], kept: int, kept_unknown: int) -> None:
    """Keep the latest `kept` of each of these workers, and `kept_unknown` of all whose hello was never taken."""
    await db.execute("workers/forget_refusals", list(workers), kept, kept_unknown)
