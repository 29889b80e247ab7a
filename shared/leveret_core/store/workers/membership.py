"""Workers come, live and go."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from leveret_core.store.attempts.claims import TIMEOUT
from leveret_core.store.database import Connection, Database, columns, sql
from leveret_core.store.rows import Row, typed


class NewWorker(NamedTuple):
    """A worker, as its hello tells it. `handlers` is JSON text, `secret` the digest of its secret."""

    id: UUID
    name: str
    host: str
    pid: int
    sdk: str
    concurrency: int
    handlers: str
    lease: float
    secret: bytes


class Beat(NamedTuple):
    """A heartbeat. `holding` are the occurrences that the worker names, as text of an array; None if it does not say."""

    worker: UUID
    running: int
    draining: bool
    holding: str | None


class Renewed(Row, frozen=True):
    """A worker whose lease was renewed, and an attempt that it should cancel; one row for each of these, or one without."""

    id: UUID
    drain: bool
    occurrence_id: int | None
    attempt: int | None


class StandingRow(Row, frozen=True):
    """What stays the same of a worker as long as it lives."""

    id: UUID
    secret: bytes
    patterns: list[str]


async def welcome(db: Database, worker: NewWorker) -> bool:
    """Note a worker. False if its id has ended already, is another's, or had other handlers."""
    return await db.fetchval("workers/hello", *worker) is not None


async def renew_leases(db: Database, beats: Sequence[Beat], lease: float) -> list[Renewed]:
    """Renew the leases, of `lease` seconds, of those that live."""
    return typed(Renewed, await db.fetch("workers/heartbeat", *columns(beats, 4), lease)) if beats else []


async def stop_worker(connection: Connection, worker: UUID) -> bool:
    """A worker has gone. False if it is not known, or has ended already."""
    return await connection.fetchval(sql("workers/stop"), worker) is not None


async def alive_of(connection: Connection, workers: Collection[UUID]) -> set[UUID]:
    """Those of them that live."""
    return {row["id"] for row in await connection.fetch(sql("workers/known"), list(workers), timeout=TIMEOUT)}


async def standings_of(db: Database, workers: Collection[UUID]) -> list[StandingRow]:
    """The standing of those of them that live."""
    return typed(StandingRow, await db.fetch("workers/standing", list(workers)))
