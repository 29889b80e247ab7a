"""The handlers of `leveret bench`: what is measured is the way to them and back, or how they fill workers."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg

from leveret import JobContext, job, lifespan

SLOTS = "BENCH_SLOTS"
"""The variable that tells each worker how many attempts of one handler run at once."""
CONNECTIONS = 10
"""To Postgres, of each worker that inserts."""
TABLE = "leveret_bench_insert"

_SLOTS = int(os.environ.get(SLOTS, "500"))


@dataclass
class Inserts:
    """What `insert` writes with."""

    pool: asyncpg.Pool[asyncpg.Record]


@lifespan
async def inserts() -> AsyncIterator[Inserts]:
    """A pool that connects when it is used first."""
    async with asyncpg.create_pool(os.environ.get("LEVERET_DATABASE_URL"), min_size=0, max_size=CONNECTIONS) as pool:
        yield Inserts(pool)


@job("bench.noop", concurrency=_SLOTS)
async def noop() -> None:
    """Nothing."""


@job("bench.sleep", concurrency=_SLOTS)
async def sleep(seconds: float) -> None:
    """Wait, as a handler does for another system's answer."""
    await asyncio.sleep(seconds)


@job("bench.insert", concurrency=_SLOTS)
async def insert(ctx: JobContext) -> None:
    """Insert one row."""
    await ctx.state[Inserts].pool.execute(f"insert into {TABLE} (occurrence) values ($1)", ctx.occurrence)  # noqa: S608


@job("bench.latency", concurrency=500)
async def latency() -> float:
    """Seconds since the epoch at the handler's first line."""
    return time.time()
