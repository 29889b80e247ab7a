"""Retries, which wait as rows."""

from __future__ import annotations

from leveret_core.store.database import Connection, Database, sql


async def admit_retries(connection: Connection, limit: int) -> list[int]:
    """Let up to `limit` retries whose time has come be pending; returns their ids."""
    return [row["id"] for row in await connection.fetch(sql("attempts/retry_due"), limit)]


async def next_retry(db: Database) -> float | None:
    """Seconds until the next retry; None when none waits."""
    seconds: float | None = await db.fetchval("attempts/next_retry")
    return seconds
