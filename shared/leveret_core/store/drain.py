"""Telling a worker from afar to end."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg

from leveret_core.errors import Conflict, NotFound
from leveret_core.messages import Drain
from leveret_core.store.database import Database, sql


async def drain_worker(
    db: Database, worker_id: UUID, *, tell: Callable[[Drain], Awaitable[None]], actor: str
) -> asyncpg.Record:
    """Ask a worker to take nothing more, to finish what it runs, and to end. Asking again does no harm.

    Args:
        worker_id: the incarnation.
        tell: sends the word; what it raises is raised, and nothing is audited then.
        actor: who asks, for the audit.

    Returns:
        The worker as it was when it was told, as in `reads.list_workers`.

    Raises:
        NotFound: there is no such worker.
        Conflict: it is gone already.
    """
    async with db.transaction() as connection:
        row = await connection.fetchrow(sql("workers/one"), worker_id)
        if row is None:
            raise NotFound(f"there is no worker {worker_id}")
        if row["stopped_at"] is not None:
            raise Conflict(f"worker {worker_id} is gone: it is {row['state']}")
        detail = json.dumps({"worker": str(worker_id), "name": row["name"]})
        await connection.execute(sql("workers/audit"), actor, "drain", detail)
        # Before the commit, so that the audit tells only of words that went out.
        await tell(Drain(worker=str(worker_id)))
    return row
