"""What attempts report while they run; each statement heeds only the attempt that holds the token."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from leveret_core.store.database import Connection, columns, sql
from leveret_core.store.rows import count_of


class Report(NamedTuple):
    """The latest progress of an attempt, or its latest checkpoint, as JSON text."""

    occurrence: int
    attempt: int
    token: UUID
    seq: int
    body: str


class LogLine(NamedTuple):
    """A log record. `fields` is JSON text."""

    occurrence: int
    attempt: int
    worker: UUID
    seq: int
    at: datetime
    level: str
    message: str
    fields: str | None
    token: UUID


async def note_progress(connection: Connection, reports: Sequence[Report]) -> int:
    """Keep progress; returns of how many attempts."""
    if not reports:
        return 0
    return count_of(await connection.execute(sql("attempts/progress"), *columns(sorted(reports), 5)))


async def note_checkpoints(connection: Connection, reports: Sequence[Report]) -> int:
    """Keep checkpoints; returns of how many attempts."""
    if not reports:
        return 0
    return count_of(await connection.execute(sql("attempts/checkpoint"), *columns(sorted(reports), 5)))


async def insert_logs(connection: Connection, lines: Sequence[LogLine]) -> int:
    """Keep log records; returns how many of them are new."""
    if not lines:
        return 0
    return count_of(await connection.execute(sql("attempts/insert_logs"), *columns(lines, 9)))
