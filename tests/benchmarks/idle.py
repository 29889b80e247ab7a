"""What an idle Leveret costs: statements a second, CPU and memory of one API process and one worker process.

Run: python tests/benchmarks/idle.py [--jobs 100000] [--seconds 60]
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

SETTLE = 15.0
"""Seconds until what happens once at the start is over."""


async def main(jobs: int, seconds: float) -> dict[str, object]:
    """Measure with `jobs` jobs that are not due, for `seconds` seconds."""
    url = os.environ["LEVERET_DATABASE_URL"]
    await migrate(url)
    connection = await asyncpg.connect(url)
    await connection.execute("create extension if not exists pg_stat_statements")
    later = datetime.now(UTC) + timedelta(days=300)
    await add_jobs(connection, "bench.idle", [(later + timedelta(seconds=n), FAR) for n in range(jobs)])
    async with running(connection):
        await asyncio.sleep(SETTLE)
        processes = {("api" if "api" in child.cmdline() else "worker"): child for child in psutil.Process().children()}
        before = {name: sum(child.cpu_times()[:2]) for name, child in processes.items()}
        await connection.execute("select pg_stat_statements_reset()")
        started = time.monotonic()
        await asyncio.sleep(seconds)
        took = time.monotonic() - started
        calls = await connection.fetch(
            "select left(query, 60) as query, calls from pg_stat_statements where query !~* 'pg_stat' order by calls desc"
        )
        measured: dict[str, object] = {
            "statements_per_s": round(sum(row["calls"] for row in calls) / took, 2),
            "most_frequent": [f"{row['calls']} x {' '.join(row['query'].split())}" for row in calls[:10]],
        }
        for name, child in processes.items():
            measured[f"{name}_cpu_percent"] = round(100 * (sum(child.cpu_times()[:2]) - before[name]) / took, 2)
            measured[f"{name}_rss_mb"] = child.memory_info().rss >> 20
    await connection.close()
    return measured


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    args = parser.parse_args()
    given = {name: value for name, value in os.environ.items() if name != "LEVERET_DATABASE_URL"}
    with private_servers(given, {"shared_preload_libraries": "pg_stat_statements"}) as environment:
        os.environ.update(environment)
        print(json.dumps(asyncio.run(main(args.jobs, args.seconds)), indent=2))
