"""Workers, as lists and pages show them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from leveret_core.errors import NotFound
from leveret_core.store.database import Database
from leveret_core.store.rows import Row, one, typed

MAX_WORKERS = 1000
MAX_REFUSALS = 40


class WorkerRow(Row, frozen=True):
    """A worker. `handlers` is JSON text."""

    id: UUID
    name: str
    host: str
    pid: int
    sdk: str
    state: str
    concurrency: int
    running: int
    handlers: str
    started_at: datetime
    heartbeat_at: datetime
    stopped_at: datetime | None


class RefusalRow(Row, frozen=True):
    """Something that a worker got wrong, `count` times."""

    kind: str
    reason: str
    count: int
    first_at: datetime
    last_at: datetime


class HandlersRow(Row, frozen=True):
    """What live workers announce (JSON text), and how many of them announce it."""

    handlers: str
    workers: int


async def list_workers(db: Database) -> list[WorkerRow]:
    """Workers that live, and those that went within the last hour; at most `MAX_WORKERS`, without schemas and descriptions."""
    return typed(WorkerRow, await db.fetch("reads/workers", MAX_WORKERS))


async def get_worker(db: Database, worker_id: UUID) -> tuple[WorkerRow, list[RefusalRow]]:
    """A worker with all that its handlers tell, and what it got wrong, the latest first.

    Raises:
        NotFound: there is no such worker. What was refused of one that was never welcome stands in the message.
    """
    row = one(WorkerRow, await db.fetchrow("workers/one", worker_id))
    refusals = typed(RefusalRow, await db.fetch("workers/refusals", worker_id, MAX_REFUSALS))
    if row is None:
        told = "; ".join(f"its {each.kind} was refused: {each.reason}" for each in refusals)
        raise NotFound(f"there is no worker {worker_id}" + (f", but {told}" if told else ""))
    return row, refusals


async def announced_handlers(db: Database) -> list[HandlersRow]:
    """What the handlers of live workers are."""
    return typed(HandlersRow, await db.fetch("reads/handlers"))
