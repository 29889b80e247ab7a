"""Attempts that their workers will not end: lost with them, past their timeout, or not named any more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from leveret_core.store.database import Connection, Database, sql
from leveret_core.store.rows import Row, one, typed


class ToReap(Row, frozen=True):
    """Whether there are attempts past their timeout, and workers whose lease is over."""

    overrun: bool
    lost: bool


class LostWorker(Row, frozen=True):
    """A worker whose lease is over."""

    id: UUID
    name: str


class Unnamed(Row, frozen=True):
    """An attempt that its worker, which lives, does not name."""

    id: int
    attempt: int
    claim_token: UUID
    worker_id: UUID
    name: str
    heartbeat_at: datetime


async def look_for_lost(db: Database, grace: float) -> ToReap:
    """Whether there is something to reap.

    Args:
        grace: seconds past an attempt's timeout.
    """
    return one(ToReap, await db.fetchrow("attempts/to_reap", grace)) or ToReap(overrun=False, lost=False)


async def lose_workers(connection: Connection, limit: int) -> list[LostWorker]:
    """Declare up to `limit` workers lost whose lease is over."""
    return typed(LostWorker, await connection.fetch(sql("workers/lose"), limit))


async def held_by(connection: Connection, workers: Sequence[UUID]) -> list[int]:
    """Ids of the occurrences that workers run."""
    return [row["id"] for row in await connection.fetch(sql("attempts/held_by"), workers)]


async def overrun(connection: Connection, grace: float, limit: int) -> list[int]:
    """Ids of up to `limit` occurrences past their timeout by `grace` seconds, whose worker was heard since and said nothing."""
    return [row["id"] for row in await connection.fetch(sql("attempts/overran"), grace, limit)]


async def unnamed(db: Database, grace: float, limit: int) -> list[Unnamed]:
    """Up to `limit` attempts that run by the tables and that their worker does not name.

    Args:
        grace: seconds that they must have run at its last heartbeat.
    """
    return typed(Unnamed, await db.fetch("attempts/unnamed", grace, limit))
