"""How far the processes that take events have come with those that the broker gave them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from leveret_core.store.database import Connection, Database, sql


async def note_current(db: Database, ingestor: UUID, at: datetime) -> None:
    """This one has taken all that it was given until `at`, by Postgres's clock."""
    await db.execute("ingestors/current", ingestor, at)


async def count_current(db: Database, at: datetime) -> int:
    """How many have taken all that they were given until `at`."""
    count: int = await db.fetchval("ingestors/count_current", at)
    return count


async def prune_ingestors(connection: Connection) -> None:
    """Forget those that are gone."""
    await connection.execute(sql("ingestors/prune"))
