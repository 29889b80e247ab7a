"""The measurements of `leveret bench`, against the product as it is started in production: one API, one worker process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from leveret_core.errors import ConfigurationError
from leveret_core.settings import Settings
from leveret_core.store.migrate import migrate

FAR = 366 * 86_400.0
"""Seconds between the ticks of a job that should fire once."""
WARM_UP = 2
"""Seconds of the latency's measurement that are left out."""
LEAST = 150
"""Starts that a latency is told from, at least; a hundred of them have to end."""
_NOTICE = 6.0
"""Seconds before new jobs are due: they are copied into the table behind the dispatcher's back, which looks every five."""


@dataclass(frozen=True)
class Bench:
    """What to measure.

    Args:
        count: occurrences due in the same second, for the throughput.
        rate: occurrences a second, for the latency.
        seconds: how long, for the latency.
        concurrency: of the jobs: `skip`, `queue` or `allow`.
    """

    count: int
    rate: int
    seconds: int
    concurrency: str


async def measure(settings: Settings, bench: Bench, *, force: bool) -> dict[str, object]:
    """Run both measurements on scratch tables; everything made is deleted again.

    Raises:
        ConfigurationError: the database holds jobs already and `force` is false, or a process did not come up.
    """
    await migrate(settings.database_url)
    connection = await asyncpg.connect(settings.database_url, timeout=10)
    try:
        if await connection.fetchval("select count(*) from job where deleted_at is null") and not force:
            raise ConfigurationError("this database holds jobs; bench on an empty one, or add --force")
        end_to_end = await _throughput(connection, bench)
        start_latency = await _latency(connection, bench)
        return {"end_to_end_per_s": round(end_to_end), "count": bench.count, "start_latency_ms": start_latency}
    finally:
        await clear(connection)
        await connection.close()


async def _throughput(connection: asyncpg.Connection[asyncpg.Record], bench: Bench) -> float:
    """Occurrences a second, from the moment that `count` are due until the last one's end is committed."""
    async with running(connection):
        due = datetime.now(UTC) + timedelta(seconds=_NOTICE + bench.count / 20_000)
        await add_jobs(connection, "bench.noop", bench, [(due, FAR)] * bench.count)
        await asyncio.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()))
        began = time.monotonic()
        left = "select count(*) from occurrence where type = 'bench.noop' and state = 'succeeded'"
        while await connection.fetchval(left) < bench.count:
            await asyncio.sleep(0.05)
            if time.monotonic() - began > 300:
                raise ConfigurationError("not all occurrences ended within 300 s; see the processes' output")
        took = time.monotonic() - began
    await clear(connection)
    return bench.count / took


async def _latency(connection: asyncpg.Connection[asyncpg.Record], bench: Bench) -> dict[str, float]:
    """From the fire time to the handler's first line, in milliseconds. All processes read the same clock."""
    async with running(connection):
        begin = datetime.now(UTC) + timedelta(seconds=_NOTICE)
        ticks = [(begin + timedelta(seconds=n / bench.rate), 1.0) for n in range(bench.rate)]
        await add_jobs(connection, "bench.latency", bench, ticks)
        await asyncio.sleep(_NOTICE + bench.seconds + 1)
    rows = await connection.fetch(
        "select result::text::double precision - extract(epoch from scheduled_for)::double precision as lag from occurrence "
        "where type = 'bench.latency' and state = 'succeeded' and scheduled_for between $1 and $2 order by 1",
        begin + timedelta(seconds=WARM_UP),
        begin + timedelta(seconds=bench.seconds),
    )
    lags = [row["lag"] * 1000 for row in rows]
    if len(lags) < 100:
        raise ConfigurationError("too few occurrences ended to tell a latency; see the processes' output")
    cuts = statistics.quantiles(lags, n=100)
    measured = {
        "rate_per_s": bench.rate,
        "count": len(lags),
        "p50": cuts[49],
        "p95": cuts[94],
        "p99": cuts[98],
        "max": lags[-1],
    }
    return {name: round(value, 1) for name, value in measured.items()}


async def add_jobs(
    connection: asyncpg.Connection[asyncpg.Record], kind: str, bench: Bench, ticks: list[tuple[datetime, float]]
) -> None:
    """Copy jobs of type `kind` into the table, one for each (first fire time, seconds between fire times) of `ticks`."""
    rows = [
        (
            f"{kind}-{n}",
            kind,
            json.dumps({"kind": "interval", "every": every, "start_at": at.isoformat()}),
            at,
            bench.concurrency,
            '{"max_attempts": 1}',
        )
        for n, (at, every) in enumerate(ticks)
    ]
    columns = ["name", "type", "trigger", "next_fire_at", "concurrency", "retry"]
    await connection.copy_records_to_table("job", records=rows, columns=columns)
    await connection.execute("analyze job")


async def clear(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Delete all that a measurement made."""
    await connection.execute("delete from occurrence where type like 'bench.%'", timeout=600)
    await connection.execute("delete from job where type like 'bench.%'", timeout=600)
    for table in ("occurrence", "job", "slot", "attempt"):
        await connection.execute(f"vacuum analyze {table}", timeout=120)


@asynccontextmanager
async def running(connection: asyncpg.Connection[asyncpg.Record]) -> AsyncGenerator[None]:
    """One API replica and one worker process, ended afterwards."""
    with _process("api", "--port", "0"):
        await _until(connection, "select count(*) from term where lease_until > now()", "dispatcher")
        with _process("worker", "leveret.cli.bench.handlers"):
            await _until(connection, "select count(*) from worker where stopped_at is null and lease_until > now()", "worker")
            yield


async def _until(connection: asyncpg.Connection[asyncpg.Record], alive: str, what: str) -> None:
    for _ in range(600):
        if await connection.fetchval(alive):
            return
        await asyncio.sleep(0.1)
    raise ConfigurationError(f"no {what} within 60 s; see the processes' output")


@contextmanager
def _process(*args: str) -> Generator[None]:
    environment = {**os.environ, "LEVERET_LOG_LEVEL": os.environ.get("LEVERET_LOG_LEVEL", "warning")}
    command = [sys.executable, "-m", "leveret", *args]
    process = subprocess.Popen(command, env=environment, stdout=sys.stderr)  # noqa: S603  # our own command line
    try:
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        process.kill()
        process.wait()
