"""The measurements of `leveret bench`, against the product as it is started in production: one API, and worker processes."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta

import asyncpg

from leveret.cli.bench import cpu
from leveret.cli.bench.handlers import TABLE
from leveret.cli.bench.processes import running
from leveret.cli.bench.tables import FAR, add_jobs, clear
from leveret.cli.bench.work import NOOP, Work
from leveret_core.errors import ConfigurationError
from leveret_core.settings import Settings
from leveret_core.store.migrate import migrate

WARM_UP = 2
"""Seconds of the latency's measurement that are left out."""
LEAST = 150
"""Starts that a latency is told from, at least; a hundred of them have to end."""
PATIENCE = "BENCH_PATIENCE"
"""The variable that tells after how many seconds a measurement of the throughput is given up; 300 without it."""
_NOTICE = 6.0
"""Seconds before new jobs are due: they are copied into the table behind the dispatcher's back, which looks every five."""
_LOOK = 0.05
"""Seconds between looks at whether all have ended. A look is a few entries of partial indexes and counts nothing."""


@dataclass(frozen=True)
class Bench:
    """What to measure.

    Args:
        count: occurrences due in the same second, for the throughput; None: as many as tell it.
        rate: occurrences a second, for the latency.
        seconds: how long, for the latency.
        concurrency: of the jobs: `skip`, `queue` or `allow`.
        work: what the occurrences do.
        workers: how many worker processes, one measurement of the throughput each.
        slots: attempts that a worker runs at once; None: what suits the work.
    """

    count: int | None
    rate: int
    seconds: int
    concurrency: str
    work: Work = NOOP
    workers: Sequence[int] = (1,)
    slots: int | None = None


@dataclass(frozen=True)
class Run:
    """One measurement of the throughput.

    Args:
        workers: processes.
        slots: of each.
        handler: what the occurrences did.
        count: how many there were.
        per_s: occurrences a second, from the moment that they were due until the last one's end was committed.
        cpu_us: CPU microseconds for each occurrence, by kind of process; empty where it could not be measured.
    """

    workers: int
    slots: int
    handler: str
    count: int
    per_s: float
    cpu_us: dict[str, int]


@dataclass
class Measured:
    """What was found, and in words what could not be."""

    runs: list[Run] = field(default_factory=list[Run])
    start_latency: dict[str, float] | None = None
    problems: list[str] = field(default_factory=list[str])

    def as_json(self) -> dict[str, object]:
        """As `leveret bench --json` prints it."""
        first = self.runs[0] if self.runs else None
        return {
            "end_to_end_per_s": first and round(first.per_s),
            "count": first and first.count,
            "runs": [asdict(run) | {"per_s": round(run.per_s)} for run in self.runs],
            "start_latency_ms": self.start_latency,
            "problems": self.problems,
        }


async def measure(settings: Settings, bench: Bench, *, force: bool) -> Measured:
    """Run the measurements one after the other on scratch tables; everything made is deleted again.

    What one of them cannot tell is among the problems, and costs the others nothing.

    Raises:
        ConfigurationError: the database holds jobs already and `force` is false.
    """
    await migrate(settings.database_url)
    connection = await asyncpg.connect(settings.database_url, timeout=10)
    measured = Measured()
    try:
        if await connection.fetchval("select exists (select from job where deleted_at is null)") and not force:
            raise ConfigurationError("this database holds jobs; bench on an empty one, or add --force")
        for workers in bench.workers:
            try:
                measured.runs.append(await _throughput(connection, bench, workers, measured.problems))
            except ConfigurationError as error:
                measured.problems.append(f"throughput with {_workers(workers)}: {error}")
        try:
            measured.start_latency = await _latency(connection, bench)
        except ConfigurationError as error:
            measured.problems.append(f"start latency: {error}")
        return measured
    finally:
        await clear(connection)
        await connection.close()


async def _throughput(connection: asyncpg.Connection[asyncpg.Record], bench: Bench, workers: int, problems: list[str]) -> Run:
    patience = float(os.environ.get(PATIENCE, "300"))
    slots = bench.slots or bench.work.slots
    count = bench.count or bench.work.count(workers, slots)
    await connection.execute(f"create table if not exists {TABLE} (id bigint generated always as identity, occurrence bigint)")
    async with running(connection, workers=workers, slots=slots):
        due = datetime.now(UTC) + timedelta(seconds=_NOTICE + count / 20_000)
        ticks = [(due, FAR)] * count
        await add_jobs(connection, bench.work.type, ticks, concurrency=bench.concurrency, payload=bench.work.payload)
        await asyncio.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()))
        before = cpu.sample() if cpu.can_measure() else None
        began = time.monotonic()
        while await connection.fetchval(_SOME_LIVE):
            if time.monotonic() - began > patience:
                await clear(connection)
                raise ConfigurationError(f"not all occurrences ended within {patience:.0f} s; see the processes' output")
            await asyncio.sleep(_LOOK)
        took = time.monotonic() - began
        used = {} if before is None else cpu.microseconds_each(before, cpu.sample(), count)
    succeeded = await connection.fetchval(
        "select count(*) from occurrence where type = $1 and state = 'succeeded'", bench.work.type
    )
    if succeeded < count:
        problems.append(f"with {_workers(workers)} {count - succeeded} of {count} occurrences did not succeed")
    await clear(connection)
    return Run(workers, slots, bench.work.name, count, count / took, used)


_SOME_LIVE = """
select exists (select from job where next_fire_at <= now())
    or exists (select from occurrence where state = 'pending')
    or exists (select from occurrence where state = 'running')
    or exists (select from occurrence where state in ('waiting', 'retrying', 'cancelling'))
"""


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"


async def _latency(connection: asyncpg.Connection[asyncpg.Record], bench: Bench) -> dict[str, float]:
    """From the fire time to the handler's first line, in milliseconds. All processes read the same clock."""
    async with running(connection):
        begin = datetime.now(UTC) + timedelta(seconds=_NOTICE)
        ticks = [(begin + timedelta(seconds=n / bench.rate), 1.0) for n in range(bench.rate)]
        await add_jobs(connection, "bench.latency", ticks, concurrency=bench.concurrency)
        await asyncio.sleep(_NOTICE + bench.seconds + 1)
    rows = await connection.fetch(
        "select result::text::double precision - extract(epoch from scheduled_for)::double precision as lag from occurrence "
        "where type = 'bench.latency' and state = 'succeeded' and scheduled_for between $1 and $2 order by 1",
        begin + timedelta(seconds=WARM_UP),
        begin + timedelta(seconds=bench.seconds),
    )
    lags = [row["lag"] * 1000 for row in rows]
    if len(lags) < 100:
        raise ConfigurationError(f"only {len(lags)} occurrences ended, too few to tell one; see the processes' output")
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
