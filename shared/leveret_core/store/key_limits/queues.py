"""Rate limit queues: the occurrences that wait for a token of their key's value."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from leveret_core.messages import DispatchMessage
from leveret_core.store.database import Connection, columns, sql
from leveret_core.store.dispatch.messages import as_messages


async def enqueue_lost(connection: Connection) -> int:
    """Let what waits for a token and is in no queue be put into one; returns how many. There should be none, ever."""
    return len(await connection.fetch(sql("key_limits/enqueue_lost")))


async def lock_path(connection: Connection, job_type: str) -> str | None:
    """The path of a type's key, which does not change until the transaction ends; None when there is no such limit any more."""
    path: str | None = await connection.fetchval(sql("key_limits/lock_path"), job_type)
    return path


async def enqueue(connection: Connection, job_type: str, path: str, limit: int) -> int:
    """Put up to `limit` occurrences that no worker was told of into the queues of their values; returns how many."""
    count: int = await connection.fetchval(sql("key_limits/enqueue"), job_type, path, limit)
    return count


async def take(connection: Connection, job_type: str, limit: int, publish_in: float) -> list[DispatchMessage]:
    """Mark as published what the tokens of the values pay for; the caller publishes it after its commit.

    Args:
        limit: how many, at most.
        publish_in: seconds until they are published again.
    """
    if not limit:
        return []
    rows = await connection.fetch(sql("key_limits/take_paid"), job_type, limit, publish_in)
    if len(rows) < limit:
        rows += await connection.fetch(sql("key_limits/take"), job_type, limit - len(rows), publish_in)
    return as_messages(rows)


async def next_ready(connection: Connection, job_type: str) -> float | None:
    """Seconds until the next of the type's queues may start; None when none waits."""
    seconds: float | None = await connection.fetchval(sql("key_limits/next_ready"), job_type)
    return seconds


async def enqueue_again(connection: Connection, occurrences: Sequence[int]) -> list[int]:
    """Let these be put into their queues anew, if they are in none; returns their ids."""
    return [row["id"] for row in await connection.fetch(sql("key_limits/enqueue_again"), occurrences)]


async def start_queues(connection: Connection, queues: Collection[tuple[str, str]]) -> None:
    """Let queues, by type and value, be looked at again at once."""
    await connection.execute(sql("key_limits/start_queues"), *columns(sorted(queues), 2))
