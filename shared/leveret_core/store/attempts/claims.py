"""Claims: attempts are given to workers by a compare-and-set, here alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from leveret_core.store.database import Connection, columns, sql
from leveret_core.store.rows import Row, typed

TIMEOUT = 5.0
"""Seconds a statement may take."""


class Wanted(NamedTuple):
    """An ask with all that decides it."""

    worker: UUID
    occurrence: int
    attempt: int
    type: str


class ClaimRow(Row, frozen=True):
    """An occurrence, as an answer about it needs it. `payload` is there for the worker that holds it alone."""

    id: int
    state: str
    attempt: int
    worker_id: UUID | None
    claim_token: UUID | None
    type: str
    job_name: str
    job_id: int
    job_version: int
    payload: str | None
    scheduled_for: datetime
    timeout: float | None
    retry: str
    checkpoint: str | None


async def give_attempts(connection: Connection, asks: Sequence[Wanted]) -> list[ClaimRow]:
    """Give those attempts whose turn it is; the others are left out.

    Args:
        asks: in the order of occurrences; only types that the worker serves.
    """
    return typed(ClaimRow, await connection.fetch(sql("attempts/claim"), *columns(asks, 4), timeout=TIMEOUT))


async def read_claims(connection: Connection, occurrences: Sequence[int], workers: Sequence[UUID]) -> list[ClaimRow]:
    """What became of these occurrences, which workers asked for."""
    rows = await connection.fetch(sql("attempts/claimed"), occurrences, workers, timeout=TIMEOUT)
    return typed(ClaimRow, rows)


async def types_of(connection: Connection, occurrences: Sequence[int]) -> dict[int, str]:
    """The types of those of them that there are."""
    rows = await connection.fetch(sql("attempts/types"), occurrences, timeout=TIMEOUT)
    return {row["id"]: row["type"] for row in rows}


async def last_successes(connection: Connection, occurrences: Sequence[int]) -> dict[int, datetime | None]:
    """For each occurrence, what the latest success of its job before it was scheduled for."""
    rows = await connection.fetch(sql("attempts/last_success"), occurrences, timeout=TIMEOUT)
    return {row["id"]: row["last_success_at"] for row in rows}
