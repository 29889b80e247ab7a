"""The rows of a measurement: jobs that are due together, and everything gone afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

import asyncpg

from leveret.cli.bench.handlers import TABLE

FAR = 366 * 86_400.0
"""Seconds between the ticks of a job that should fire once."""


async def add_jobs(
    connection: asyncpg.Connection[asyncpg.Record],
    kind: str,
    ticks: list[tuple[datetime, float]],
    *,
    concurrency: str = "skip",
    payload: Mapping[str, object] | None = None,
) -> None:
    """Copy jobs of type `kind` into the table, one for each (first fire time, seconds between fire times) of `ticks`."""
    body = json.dumps(payload or {})
    rows = [
        (
            f"{kind}-{n}",
            kind,
            json.dumps({"kind": "interval", "every": every, "start_at": at.isoformat()}),
            at,
            concurrency,
            '{"max_attempts": 1}',
            body,
        )
        for n, (at, every) in enumerate(ticks)
    ]
    columns = ["name", "type", "trigger", "next_fire_at", "concurrency", "retry", "payload"]
    await connection.copy_records_to_table("job", records=rows, columns=columns)
    await connection.execute("analyze job")


async def clear(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Delete all that a measurement made."""
    async with connection.transaction():
        # What creates an occurrence locks its job first: after this no more of them come.
        await connection.execute("select from job where type like 'bench.%' order by id for update", timeout=600)
        await connection.execute("delete from occurrence where type like 'bench.%'", timeout=600)
        await connection.execute("delete from job where type like 'bench.%'", timeout=600)
    await connection.execute(f"drop table if exists {TABLE}")
    for table in ("occurrence", "job", "attempt"):
        await connection.execute(f"vacuum analyze {table}", timeout=120)
