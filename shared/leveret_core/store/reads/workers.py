"""Workers, as lists and pages show them."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from leveret_core.errors import NotFound
from leveret_core.store.database import Database

MAX_WORKERS = 1000
MAX_REFUSALS = 40


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
