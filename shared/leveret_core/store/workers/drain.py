"""Telling a worker from afar to end."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from uuid import UUID

from leveret_core.errors import BrokerUnavailable, Conflict, NotFound
from leveret_core.messages import Drain
from leveret_core.store.database import Database, sql
from leveret_core.store.reads.workers import WorkerRow
from leveret_core.store.rows import one

log = logging.getLogger(__name__)


async def drain_worker(db: Database, worker_id: UUID, *, tell: Callable[[Drain], Awaitable[None]], actor: str) -> WorkerRow:
    """Ask a worker to take nothing more, to finish what it runs, and to end. Asking again only tells it again.

    The word stands in the worker's row, and the answers to its heartbeats tell it; `tell` only makes that quicker.

    Args:
        worker_id: the incarnation.
        tell: sends the word over the broker; may raise `BrokerUnavailable`.
        actor: who asks, for the audit.

    Returns:
        The worker, as in `reads.list_workers`.

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
        if await connection.fetchval(sql("workers/drain"), worker_id) is not None:
            detail = json.dumps({"worker": str(worker_id), "name": row["name"]})
            await connection.execute(sql("workers/audit"), actor, "drain", detail)
        told = one(WorkerRow, await connection.fetchrow(sql("workers/one"), worker_id))
        assert told is not None
    try:
        await tell(Drain(worker=str(worker_id)))
    except BrokerUnavailable as error:
        log.info("worker %s hears at its next heartbeat that it is to drain: %s", worker_id, error)
    return told
