"""What one occurrence costs, counted and not timed: statements, row versions, bytes of WAL, frames and bytes of AMQP.

The bounds are what it costs now and a little more. A change that makes it cheaper lowers them; one that needs more says why.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg

from leveret.cli.bench.tables import FAR, add_jobs
from support.counting_proxy import CountingProxy
from support.eventually import eventually
from support.processes import StartLeveret

COUNT = 2_000

ROW_VERSIONS = 4.0
"""The occurrence is inserted, claimed and finished, its job moved on."""
WAL_BYTES = 3_100
STATEMENTS = 0.4
"""Those of batches, shared by all that are in them."""
FRAMES = 7.5
"""A dispatch message is three frames to the broker and three to the worker; the others are shared by many."""
AMQP_BYTES = 1_450


async def test_an_occurrence_that_succeeds_at_once_costs_no_more_than_it_did(
    database_url: str, amqp_url: str, redis_url: str, start_leveret: StartLeveret
) -> None:
    connection = await asyncpg.connect(database_url)
    async with CountingProxy(amqp_url) as amqp, CountingProxy(database_url) as postgres:
        env = {"LEVERET_DATABASE_URL": postgres.url, "LEVERET_REDIS_URL": redis_url, "LEVERET_AMQP_URL": amqp.url}
        api = start_leveret("api", "--port", "0", env=env)
        worker = start_leveret("worker", "leveret.cli.bench.handlers", env=env)
        await eventually(lambda: _one(connection, "select count(*) from worker where lease_until > now()"), timeout=30)
        # Until its queues are bound, each message is published in vain.
        await eventually(lambda: " serves bench.noop" in worker.output(), timeout=30)
        due = datetime.now(UTC) + timedelta(seconds=1)
        await add_jobs(connection, "bench.noop", [(due, FAR)] * COUNT)
        wal = await connection.fetchval("select pg_current_wal_insert_lsn()")
        frames, statements = amqp.counts.copy(), postgres.counts.copy()
        await eventually(
            lambda: _one(connection, "select (count(*) = $1)::int from occurrence where state = 'succeeded'", COUNT), timeout=60
        )
        frames, statements = amqp.counts.since(frames), postgres.counts.since(statements)
        wal_bytes = await connection.fetchval("select pg_current_wal_insert_lsn() - $1::pg_lsn", wal)
        for process in (worker, api):
            process.terminate()
            await asyncio.to_thread(process.wait)
    # A server process tells what it did to tables when it ends, at the latest.
    versions = await _row_versions(connection)
    await connection.close()

    costs = {
        "row versions": (versions / COUNT, ROW_VERSIONS + 0.1),
        "bytes of WAL": (float(wal_bytes) / COUNT, WAL_BYTES),
        "statements": (statements.units / COUNT, STATEMENTS),
        "frames": (frames.units / COUNT, FRAMES),
        "bytes of AMQP": (frames.bytes / COUNT, AMQP_BYTES),
    }
    print({what: round(cost, 2) for what, (cost, _) in costs.items()})
    assert {what: cost for what, cost in costs.items() if cost[0] > cost[1]} == {}


async def _one(connection: asyncpg.Connection[asyncpg.Record], question: str, *args: object) -> None:
    assert await connection.fetchval(question, *args)


async def _row_versions(connection: asyncpg.Connection[asyncpg.Record]) -> int:
    """Rows inserted, updated and deleted in the tables that a run touches, the jobs' own making left out."""
    question = (
        "select sum(n_tup_ins + n_tup_upd + n_tup_del)::int - $1 from pg_stat_user_tables "
        "where relname in ('occurrence', 'slot_of_last_release', 'job', 'attempt')"
    )
    found: int = 0

    async def told() -> None:
        nonlocal found
        await connection.execute("select pg_stat_clear_snapshot()")
        found = await connection.fetchval(question, COUNT)
        assert found >= 3 * COUNT

    await eventually(told, timeout=20)
    return found
