"""Deleting what is past its time, a bounded part in each transaction."""

from __future__ import annotations

from leveret_core.store.database import Connection, sql
from leveret_core.store.ingestors.progress import prune_ingestors
from leveret_core.store.rows import count_of

_TIMEOUT = 30.0
"""Seconds."""


async def prune_occurrences(connection: Connection, days: float, limit: int) -> int:
    """Delete up to `limit` that ended more than `days` ago, with all that belongs to them; returns how many."""
    return count_of(await connection.execute(sql("pruning/occurrences"), days, limit, timeout=_TIMEOUT))


async def prune_dead_events(connection: Connection, days: float, limit: int) -> int:
    """Delete up to `limit` older than `days`; returns how many."""
    return count_of(await connection.execute(sql("pruning/dead_events"), days, limit, timeout=_TIMEOUT))


async def prune_audit(connection: Connection, days: float, limit: int) -> int:
    """Delete up to `limit` lines older than `days`; returns how many."""
    return count_of(await connection.execute(sql("pruning/audit"), days, limit, timeout=_TIMEOUT))


async def prune_the_rest(connection: Connection, days: float) -> None:
    """Delete workers and backfills that ended more than `days` ago, and what rate limits by key and ingestors left over."""
    await connection.execute(sql("pruning/workers"), days)
    await prune_ingestors(connection)
    await connection.execute(sql("key_limits/prune_queues"), timeout=_TIMEOUT)
    await connection.execute(sql("key_limits/prune_buckets"), timeout=_TIMEOUT)
    await connection.execute(sql("pruning/backfills"), days)
