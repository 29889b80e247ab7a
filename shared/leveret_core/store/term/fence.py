"""The fence row: its epoch, its holder's lease, and what the loops of a term have to do."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from leveret_core.store.database import Connection, Database, sql

NAME = "dispatcher"
"""The one row of the table."""
TIMEOUT = 5.0
"""Seconds a statement may take."""


async def raise_epoch(db: Database, holder: UUID, holder_name: str, lease: float, *, if_expired: bool = False) -> int | None:
    """Begin a new term; returns its epoch.

    Args:
        holder: who holds it, with a name for people.
        lease: seconds of the holder's lease.
        if_expired: only when the lease of the last holder is over, for while Redis is away; None when it is not.
    """
    statement = "term/raise_epoch_if_expired" if if_expired else "term/raise_epoch"
    epoch: int | None = await db.fetchval(statement, NAME, holder, holder_name, lease, timeout=TIMEOUT)
    return epoch


async def share_epoch(connection: Connection, epoch: int) -> bool:
    """As the first statement of a transaction: keep the epoch until its end. False if another term has begun."""
    return await connection.fetchval(sql("term/fence"), NAME, epoch, timeout=TIMEOUT) is not None


async def renew_lease(db: Database, epoch: int, lease: float, behind: float) -> bool:
    """Renew the holder's lease. False if another term has begun.

    Args:
        lease: seconds.
        behind: seconds since the dispatcher last had done what was to be done.
    """
    return await db.fetchval("term/renew", NAME, epoch, lease, behind) is not None


async def resign(db: Database, epoch: int) -> None:
    """Give up the term, if it is still held."""
    await db.execute("term/resign", NAME, epoch)


async def next_work(db: Database) -> Mapping[str, float | None]:
    """Seconds until each loop of the dispatcher has something to do, by the loop's name; None when nothing is planned."""
    row = await db.fetchrow("term/look")
    return {} if row is None else dict(row)
