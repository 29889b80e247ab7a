"""How busy concurrency queues are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from leveret_core.concurrency import Limits, QueueLoad
from leveret_core.store.database import Connection, columns, sql

Queue: TypeAlias = tuple[int, str]
"""Job id and concurrency key; the key is empty for a job without one."""


async def load_queues(connection: Connection, limits: Mapping[Queue, Limits]) -> dict[Queue, QueueLoad]:
    """How busy each queue is; the caller holds the locks of the jobs.

    Args:
        connection: inside that transaction.
        limits: of each queue.
    """
    loads = {queue: QueueLoad(limit) for queue, limit in limits.items()}
    limited = [queue for queue, limit in limits.items() if limit.concurrency != "allow"]
    if not limited:
        return loads
    for row in await connection.fetch(sql("slots/of_jobs"), *columns(limited, 2)):
        loads[row["job_id"], row["key"]].taken[row["n"]] = row["occurrence_id"]
    busy = [queue for queue in limited if loads[queue].taken]
    if busy:
        for row in await connection.fetch(sql("slots/count_waiting"), *columns(busy, 2)):
            loads[row["job_id"], row["key"]].waiting = row["waiting"]
    replacing = [queue for queue in busy if limits[queue].concurrency == "replace"]
    if replacing:
        for row in await connection.fetch(sql("slots/to_replace"), *columns(replacing, 2)):
            load = loads[row["job_id"], row["key"]]
            if row["state"] == "waiting":
                load.waiting_ids.add(row["id"])
            elif row["state"] == "cancelling":
                load.stopping.add(row["id"])
    return loads


async def load_queue_of_each(connection: Connection, limits: Mapping[int, Limits]) -> dict[int, QueueLoad]:
    """As `load_queues` for one queue of each job, by the job's id; the keys stand in the limits."""
    loads = await load_queues(connection, {(job_id, limit.key): limit for job_id, limit in limits.items()})
    return {job_id: load for (job_id, _), load in loads.items()}
