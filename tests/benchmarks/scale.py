"""A million jobs, 60,000 of them due in the same second: how long until all are created, started and ended.

Run: python tests/benchmarks/scale.py [--jobs 1000000] [--due 60000]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from datetime import UTC, datetime, timedelta

import asyncpg
import psutil

from leveret.cli.bench.processes import running
from leveret.cli.bench.tables import FAR, add_jobs
from leveret.cli.local.private_servers import private_servers
from leveret_core.store.migrate import migrate

PATIENCE = 300.0
"""Seconds."""


async def main(jobs: int, due: int) -> dict[str, object]:
    """Measure with `jobs` jobs that are not due and `due` that all are at once."""
    url = os.environ["LEVERET_DATABASE_URL"]
    await migrate(url)
    connection = await asyncpg.connect(url)
    later = datetime.now(UTC) + timedelta(days=300)
    await add_jobs(connection, "bench.other", [(later + timedelta(seconds=n % 86_400), FAR) for n in range(jobs)])
    async with running(connection):
        api = next(child for child in psutil.Process().children() if "api" in child.cmdline())
        at = datetime.now(UTC) + timedelta(seconds=10 + due / 20_000)
        await add_jobs(connection, "bench.noop", [(at, FAR)] * due)
        peak, ended, deadline = 0, 0, time.monotonic() + PATIENCE
        while ended < due and time.monotonic() < deadline:
            await asyncio.sleep(0.25)
            peak = max(peak, api.memory_info().rss)
            ended = await connection.fetchval("select count(*) from occurrence where state = 'succeeded'")
        row = await connection.fetchrow(
            "select max(created_at) - $1 as created, max(started_at) - $1 as started, max(finished_at) - $1 as ended "
            "from occurrence",
            at,
        )
        assert row is not None
    await connection.close()
    seconds = {f"all_{name}_after_s": round(row[name].total_seconds(), 2) for name in ("created", "started", "ended")}
    return {"due": due, "succeeded": ended, **seconds, "api_peak_mb": peak >> 20}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--due", type=int, default=60_000)
    args = parser.parse_args()
    with private_servers(os.environ) as environment:
        os.environ.update(environment)
        print(json.dumps(asyncio.run(main(args.jobs, args.due)), indent=2))
