"""What `leveret doctor` wants to know of Postgres, on a connection of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TypeAlias

import asyncpg

from leveret_core.store.database import sql
from leveret_core.store.reads.overview import DispatcherRow
from leveret_core.store.rows import Row, one, typed

Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
"""A connection that belongs to no pool."""


class Facts(Row, frozen=True):
    """The server, and what this user may do. `connections` are those that it lets in at once."""

    version: str
    version_number: int
    standby: bool
    connections: int
    synchronous_commit: str
    fsync: str
    schema: str | None
    may_create: bool


class FailingRow(Row, frozen=True):
    """A task of the dispatcher that does not do its work, why not, and since when its process tells so."""

    name: str
    error: str
    since: datetime


@asynccontextmanager
async def connected(url: str, timeout: float) -> AsyncGenerator[Session]:
    """A connection for the length of the block.

    Args:
        timeout: seconds for connecting, and for each statement.
    """
    connection = await asyncpg.connect(url, timeout=timeout, command_timeout=timeout)
    try:
        yield connection
    finally:
        await connection.close(timeout=timeout)


async def read_facts(session: Session) -> Facts:
    """What this server is."""
    facts = one(Facts, await session.fetchrow(sql("server/facts")))
    assert facts is not None
    return facts


async def read_findings(session: Session) -> DispatcherRow:
    """What the holder of the term found."""
    row = one(DispatcherRow, await session.fetchrow(sql("reads/dispatcher")))
    assert row is not None
    return row


async def read_failing(session: Session) -> list[FailingRow]:
    """Tasks of the dispatcher that do not do their work."""
    return typed(FailingRow, await session.fetch(sql("server/failing_tasks")))


async def count_dead_events_of_day(session: Session) -> int:
    """How many dead events came within the last day."""
    count: int = await session.fetchval(sql("dead_events/count_of_day"))
    return count


async def read_time(session: Session) -> datetime:
    """The server's clock."""
    now: datetime = await session.fetchval(sql("clock/now"))
    return now
