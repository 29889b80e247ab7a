"""The clock of Postgres, by which all times in the tables are."""

from __future__ import annotations

from datetime import datetime

from leveret_core.store.database import Connection, Database, sql


async def read_clock(db: Database) -> datetime:
    """The time now."""
    now: datetime = await db.fetchval("clock/now")
    return now


async def read_clock_in(connection: Connection) -> datetime:
    """The time now, not at the beginning of the transaction: waiting for a lock may have taken a while."""
    now: datetime = await connection.fetchval(sql("clock/now"))
    return now
