"""How Postgres carries out what is asked of it most, among a million jobs and ten million occurrences.

Fills a private database, runs each statement under EXPLAIN ANALYZE, rolls it back, and writes a page of plans.

Run: python tests/benchmarks/plans.py [--jobs 1000000] [--occurrences 10000000] > docs/queries.md
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from leveret.cli.local.private_servers import private_servers
from leveret_core.store.database import sql
from leveret_core.store.migrate import migrate
from leveret_core.store.reads.occurrences import STATE_SCAN
from leveret_core.store.reads.pages import SCAN

NOW = datetime.now(UTC)
DAY = NOW - timedelta(days=8), NOW - timedelta(days=7)
CHUNK = 500_000
"""Rows of one insert."""

JOBS = """
insert into job (name, type, trigger, retry, payload, next_fire_at, tags)
select 'job-' || n, 'type.' || n % 50, '{"kind": "interval", "every": 3600}', '{"max_attempts": 3}',
       jsonb_build_object('customer', n % 1000), now() + n % 3600 * interval '1 second' - interval '200 milliseconds',
       '{nightly}'
from generate_series($1::bigint, $2::bigint) as n
"""
OCCURRENCES = """
insert into occurrence (job_id, job_name, job_version, type, payload, origin, scheduled_for, state, retry, attempt, worker_id,
                        claim_token, created_at, started_at, finished_at, error, ring_at, rings, retry_at, result)
select n % $3 + 1, 'job-' || n % $3 + 1, 1, 'type.' || n % 50, jsonb_build_object('customer', n % 1000), 'schedule',
       at, state::occurrence_state, '{"max_attempts": 3}',
       case when state in ('pending', 'waiting', 'skipped') then 0 else 1 end,
       case when state in ('running', 'succeeded', 'failed') then $4::uuid end,
       case when state = 'running' then gen_random_uuid() end,
       at, case when state in ('running', 'succeeded', 'failed') then at end,
       case when state in ('succeeded', 'failed', 'skipped') then at + interval '1 second' end,
       case when state = 'failed' then '{"type": "ValueError", "message": "no such customer", "traceback": ""}'::jsonb end,
       case when state = 'pending' and n % 200 = 0 then now() + interval '1 minute' end, 0,
       case when state = 'retrying' then now() + n % 600 * interval '1 second' end,
       case when state = 'succeeded' then 'null'::jsonb end
from generate_series($1::bigint, $2::bigint) as n
cross join lateral (select now() - interval '30 days' + n * (interval '30 days' / $5::double precision) as at) t
cross join lateral (
    select case
        when n % 100 = 0 and at < now() - interval '1 hour' then 'failed'
        when n % 100 = 1 then 'skipped'
        when n > $5 - 20000 and n % 20 = 3 then 'pending'
        when n > $5 - 20000 and n % 20 = 5 then 'running'
        when n > $5 - 20000 and n % 20 = 7 then 'retrying'
        else 'succeeded'
    end as state
) s
"""
SLOTS = """
update occurrence set slot = 1 where id in (
    select distinct on (job_id) id from occurrence
    where state in ('pending', 'running', 'retrying') and state <> 'succeeded'
)
"""


@dataclass(frozen=True)
class Look:
    """A statement that is asked often.

    Args:
        title: what it is for.
        name: its file below `sql/`.
        args: its arguments.
    """

    title: str
    name: str
    args: Sequence[object]


async def fill(connection: asyncpg.Connection[asyncpg.Record], jobs: int, occurrences: int, worker: uuid.UUID) -> None:
    """Make the rows."""
    await connection.execute("set synchronous_commit = off")
    await connection.execute(
        "insert into worker (id, name, host, pid, sdk, concurrency, handlers, lease_until) "
        "values ($1, 'worker-1', 'host', 1, '1', 100, '[]', now() + interval '1 hour')",
        worker,
    )
    await connection.execute(
        "insert into term (name, epoch) values ('dispatcher', 1) on conflict (name) do update set epoch = 1"
    )
    for first in range(1, jobs + 1, CHUNK):
        await connection.execute(JOBS, first, min(first + CHUNK - 1, jobs), timeout=1800)
    for first in range(1, occurrences + 1, CHUNK):
        last = min(first + CHUNK - 1, occurrences)
        await connection.execute(OCCURRENCES, first, last, jobs, worker, occurrences, timeout=1800)
        print(f"{last:,} occurrences", file=sys.stderr)
    await connection.execute(SLOTS, timeout=1800)
    await connection.execute("vacuum analyze", timeout=1800)


async def looks(connection: asyncpg.Connection[asyncpg.Record], worker: uuid.UUID) -> list[Look]:
    """What to explain, with arguments that exist."""

    async def ids(state: str, count: int) -> list[int]:
        rows = await connection.fetch(
            "select id from occurrence where state = $1 and state <> 'succeeded' limit $2", state, count
        )
        return sorted(row["id"] for row in rows)

    pending, running = await ids("pending", 100), await ids("running", 100)
    claimed = await connection.fetch("select id, claim_token from occurrence where id = any($1) order by id", running)
    tokens = [row["claim_token"] for row in claimed]
    one = [1] * 100
    named = await connection.fetch("select type from occurrence where id = any($1) order by id", pending)
    types = [row["type"] for row in named]
    return [
        Look("Due jobs, as the scheduler locks them", "schedule/due", [500]),
        Look("When the next job is due", "schedule/next_due", []),
        Look("What an idle dispatcher asks every five seconds", "term/look", []),
        Look("What the publisher has to know", "dispatch/to_publish", []),
        Look("Dispatch messages of one type that no worker was told of", "dispatch/take_unpublished", ["type.3", 500, 60.0]),
        Look("A hundred claims", "attempts/claim", [[worker] * 100, pending, one, types]),
        Look("Locks for a hundred ends", "slots/lock_jobs", [running, [], running]),
        Look(
            "A hundred successes",
            "attempts/finish_succeeded",
            [running, one, tokens, one, [0.1] * 100, ["null"] * 100, []],
        ),
        Look("Retries whose time has come", "attempts/retry_due", [1000]),
        Look("Anything for the reaper?", "attempts/to_reap", [10.0]),
        Look("Heartbeats", "workers/heartbeat", [[worker], [100], [False], [None], 30.0]),
        Look("The newest page of occurrences", "reads/occurrences", [None, 51, 51, None, None, None]),
        Look(
            "Failed occurrences of one type, from the middle of history",
            "reads/occurrences_in_states",
            [running[0] // 2, 51, STATE_SCAN, r"^\.type\.0$", ["failed"], None, None],
        ),
        Look(
            "Failed occurrences of a pattern with a word in their error, of one day a week ago",
            "reads/occurrences_ended_in_states",
            [None, None, 51, STATE_SCAN, r"^\.type\.[^.]+$", ["failed", "timed_out"], None, "%customer%", *DAY],
        ),
        Look(
            "What ended that day and was of one type, whatever became of it",
            "reads/occurrences_ended",
            [None, None, 51, SCAN, r"^\.type\.0$", None, None, None, *DAY],
        ),
        Look("A page of one job's occurrences", "reads/occurrences_of_job", [None, 51, 51, *[None] * 6, 77]),
        Look("Dead letters, newest first", "dead_letters/list", [None, None, 51, SCAN, None, None, None, None, None]),
        Look("A page of jobs by a word in their name", "reads/jobs", [None, 51, SCAN, None, None, None, "%job-99%", None, ""]),
        Look("Live occurrences, counted for the overview", "reads/count_live", []),
        Look("How the last hour's occurrences ended", "reads/count_finished", [100_000]),
        Look("A thousand occurrences past their time", "pruning/occurrences", [29.0, 1000]),
    ]


async def explain(connection: asyncpg.Connection[asyncpg.Record], look: Look) -> str:
    """The plan of a statement, as it was carried out the second time, when its pages were in memory."""
    rows: list[asyncpg.Record] = []
    for _ in range(2):
        transaction = connection.transaction()
        await transaction.start()
        try:
            rows = await connection.fetch(
                f"explain (analyze, costs off, buffers off) {sql(look.name)}", *look.args, timeout=600
            )
        finally:
            await transaction.rollback()
    return "\n".join(row[0] for row in rows)


def page(jobs: int, occurrences: int, explained: Sequence[tuple[Look, str]], version: str) -> str:
    """The page in Markdown."""
    lines = [
        "# What Postgres is asked, and how it answers",
        "",
        f"Plans of the statements that run most often, among {jobs:,} jobs and {occurrences:,} occurrences (3,000 live),",
        f"by `EXPLAIN ANALYZE` of PostgreSQL {version} on two shared cores. Made by `python tests/benchmarks/plans.py`.",
        "",
        "No statement of the hot path reads more than it changes: live occurrences are found by small partial indexes, claims",
        "and ends by primary key, lists by the key they are sorted by. A filter that finds little stops after a bounded number",
        "of rows and says where to go on.",
        "",
        "| statement | what for | ms |",
        "|---|---|---|",
    ]
    for look, plan in explained:
        found = re.search(r"Execution Time: ([\d.]+) ms", plan)
        assert found is not None
        lines.append(f"| `{look.name}` | {look.title} | {float(found[1]):.1f} |")
    for look, plan in explained:
        lines += ["", f"## {look.title}", "", f"`{look.name}.sql`", "", "```", plan, "```"]
    return "\n".join(lines) + "\n"


async def main(jobs: int, occurrences: int) -> str:
    """Fill, explain, and return the page."""
    url = os.environ["LEVERET_DATABASE_URL"]
    await migrate(url)
    connection = await asyncpg.connect(url)
    worker = uuid.uuid4()
    await fill(connection, jobs, occurrences, worker)
    explained = [(look, await explain(connection, look)) for look in await looks(connection, worker)]
    version = connection.get_server_version()
    await connection.close()
    return page(jobs, occurrences, explained, f"{version.major}.{version.minor}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--occurrences", type=int, default=10_000_000)
    args = parser.parse_args()
    given = {"LEVERET_REDIS_URL": "redis://unused", "LEVERET_AMQP_URL": "amqp://unused"}
    with private_servers(
        given, {"max_wal_size": "8GB", "maintenance_work_mem": "512MB", "shared_buffers": "1GB"}
    ) as environment:
        os.environ.update(environment)
        print(asyncio.run(main(args.jobs, args.occurrences)), end="")
