"""Limits on how many occurrences of a job type start within a time for each value of a key; see `docs/policies.md`."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg
import msgspec

from leveret_core.errors import InvalidInput, NotFound
from leveret_core.job_rules import RULES
from leveret_core.store.database import Connection, Database, sql
from leveret_core.store.rate_limits.limits import RateLimit

_TIMEOUT = 60.0
"""Seconds that a change may take: it moves all that waits in the rate limit queues."""


@dataclass(frozen=True)
class KeyLimit:
    """At most `count` occurrences of one value at once, and from then on `count` in every `per` seconds, evenly.

    Args:
        type: the job type, exactly.
        key: dotted path into the payload, as a job's `concurrency_key`.
        count: 1 to 1,000,000.
        per: seconds, 1 to 86,400.
    """

    type: str
    key: str
    count: int
    per: float

    def __post_init__(self) -> None:
        RateLimit(self.type, self.count, self.per)
        try:
            RULES["concurrency_key"](self.key)
        except InvalidInput as error:
            raise InvalidInput.at("key", error.problems[0].message) from error


async def list_key_limits(db: Database) -> list[KeyLimit]:
    """All limits by key, by type."""
    return [_limit(row) for row in await db.fetch("key_limits/list")]


async def get_key_limit(db: Database, job_type: str) -> KeyLimit:
    """The limit by key of a type. Raises `NotFound` when it has none."""
    row = await db.fetchrow("key_limits/get", job_type)
    if row is None:
        raise _missing(job_type)
    return _limit(row)


async def put_key_limit(db: Database, limit: KeyLimit, *, actor: str) -> KeyLimit:
    """Limit the values of a key of a type, or change that limit; the same again changes nothing.

    With another key all begin anew, with full buckets.
    """
    async with db.transaction() as connection:
        old = await connection.fetchrow(sql("key_limits/lock"), limit.type)
        if await connection.fetchval(sql("key_limits/put"), limit.type, limit.key, limit.count, limit.per) is None:
            return limit
        if old is not None and old["key"] != limit.key:
            await connection.execute(sql("key_limits/dissolve_queues"), limit.type, timeout=_TIMEOUT)
        elif old is not None and (old["count"], old["per"]) != (limit.count, limit.per):
            await connection.execute(sql("key_limits/change_rate"), limit.type, old["count"], old["per"], timeout=_TIMEOUT)
        await _audit(connection, actor, "limit", {"type": limit.type, "key": limit.key, "count": limit.count, "per": limit.per})
    return limit


async def delete_key_limit(db: Database, job_type: str, *, actor: str) -> None:
    """Lift the limit by key of a type. Raises `NotFound` when it has none."""
    async with db.transaction() as connection:
        if await connection.fetchval(sql("key_limits/delete"), job_type) is None:
            raise _missing(job_type)
        await connection.execute(sql("key_limits/dissolve_queues"), job_type, timeout=_TIMEOUT)
        await _audit(connection, actor, "unlimit", {"type": job_type, "key": None})


def _limit(row: asyncpg.Record) -> KeyLimit:
    return KeyLimit(row["type"], row["key"], row["count"], row["per"])


def _missing(job_type: str) -> NotFound:
    return NotFound(f"the type {job_type} has no rate limit by key")


async def _audit(connection: Connection, actor: str, action: str, detail: dict[str, object]) -> None:
    await connection.execute(sql("jobs/audit"), actor, action, None, msgspec.json.encode(detail).decode())
