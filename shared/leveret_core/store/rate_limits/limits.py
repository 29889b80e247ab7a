"""Limits on how many occurrences of a job type start within a time. The publisher heeds them; see `docs/policies.md`."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg
import msgspec

from leveret_core.errors import InvalidInput, NotFound
from leveret_core.patterns import check_type
from leveret_core.store.database import Connection, Database, sql

MAX_COUNT = 1_000_000
MIN_PER, MAX_PER = 1.0, 86_400.0


@dataclass(frozen=True)
class RateLimit:
    """At most `count` occurrences of `type` at once, and from then on `count` in every `per` seconds, evenly.

    Args:
        type: the job type, exactly.
        count: 1 to 1,000,000.
        per: seconds, 1 to 86,400.
    """

    type: str
    count: int
    per: float

    def __post_init__(self) -> None:
        check_type(self.type)
        if not 1 <= self.count <= MAX_COUNT:
            raise InvalidInput.at("count", f"must be from 1 to {MAX_COUNT}")
        if not MIN_PER <= self.per <= MAX_PER:
            raise InvalidInput.at("per", f"must be from {MIN_PER:g} to {MAX_PER:g} seconds")


async def list_rate_limits(db: Database) -> list[RateLimit]:
    """All limits, by type."""
    return [_limit(row) for row in await db.fetch("rate_limits/list")]


async def get_rate_limit(db: Database, job_type: str) -> RateLimit:
    """The limit of a type. Raises `NotFound` when it has none."""
    row = await db.fetchrow("rate_limits/get", job_type)
    if row is None:
        raise _missing(job_type)
    return _limit(row)


async def put_rate_limit(db: Database, limit: RateLimit, *, actor: str) -> RateLimit:
    """Limit a type, or change its limit; the same limit again changes nothing."""
    async with db.transaction() as connection:
        if await connection.fetchval(sql("rate_limits/put"), limit.type, limit.count, limit.per) is not None:
            await _audit(connection, actor, "limit", {"type": limit.type, "count": limit.count, "per": limit.per})
    return limit


async def delete_rate_limit(db: Database, job_type: str, *, actor: str) -> None:
    """Lift the limit of a type. Raises `NotFound` when it has none."""
    async with db.transaction() as connection:
        if await connection.fetchval(sql("rate_limits/delete"), job_type) is None:
            raise _missing(job_type)
        await _audit(connection, actor, "unlimit", {"type": job_type})


def _limit(row: asyncpg.Record) -> RateLimit:
    return RateLimit(row["type"], row["count"], row["per"])


def _missing(job_type: str) -> NotFound:
    return NotFound(f"the type {job_type} has no rate limit")


async def _audit(connection: Connection, actor: str, action: str, detail: dict[str, object]) -> None:
    await connection.execute(sql("jobs/audit"), actor, action, None, msgspec.json.encode(detail).decode())
