"""Buckets of tokens of types with a rate limit: what a first dispatch message is paid from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from leveret_core.store.database import Connection, Database, columns, sql
from leveret_core.store.rows import Row, one


class Bucket(Row, frozen=True):
    """The bucket of a type, locked: `tokens` that it holds `at` a moment, `unanswered` messages of the type."""

    tokens: float
    at: datetime
    count: int
    seconds_each: float
    unanswered: int

    @property
    def places(self) -> int:
        """How many more messages may be out: no more than `count`, so that workers that come back do not start a heap."""
        return max(0, self.count - self.unanswered)


async def lock_bucket(connection: Connection, job_type: str) -> Bucket | None:
    """The bucket of a type; None when the type is not limited any more."""
    return one(Bucket, await connection.fetchrow(sql("rate_limits/tokens"), job_type))


async def spend(connection: Connection, job_type: str, bucket: Bucket, count: int) -> None:
    """Take `count` tokens out of a bucket that the caller has locked."""
    await connection.execute(sql("rate_limits/spend"), job_type, bucket.tokens - count, bucket.at)


async def refund(db: Database, counts: Mapping[str, int]) -> None:
    """Give back tokens of messages that did not reach a queue, by type."""
    await db.execute("rate_limits/refund", *columns(sorted(counts.items()), 2))


async def defer_first(connection: Connection, job_types: Collection[str]) -> None:
    """Let occurrences of limited types whose jitter is over wait for a token like all others of the type."""
    await connection.execute(sql("rate_limits/defer"), sorted(job_types))
