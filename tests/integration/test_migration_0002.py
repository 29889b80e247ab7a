"""A database with history gets backfills and dead letters, and processes of the release before go on working on it."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import asyncpg
import pytest

from leveret_core.store.migrate import available, migrate

NOW = "2026-03-01 00:00:00+00"


@pytest.fixture
async def old(empty_database_url: str) -> AsyncGenerator[asyncpg.Connection[asyncpg.Record]]:
    """A database of the release before, with one job."""
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute(
        "create table leveret_migration (name text primary key, applied_at timestamptz not null default now())"
    )
    await connection.execute(available()["0001_initial"])
    await connection.execute("insert into leveret_migration (name) values ('0001_initial')")
    await connection.execute(
        """insert into job (name, type, trigger, retry) values ('old', 'a.b', '{"kind": "manual"}', '{}')"""
    )
    yield connection
    await connection.close()


async def insert(connection: asyncpg.Connection[asyncpg.Record], state: str, requeue_of: int | None = None) -> int:
    """An occurrence as the release before writes it."""
    return int(
        await connection.fetchval(
            """insert into occurrence (job_id, job_name, job_version, type, payload, retry, origin, scheduled_for, requeue_of,
                                       state, finished_at)
               values (1, 'old', 1, 'a.b', '{}', '{}', $1, clock_timestamp(), $2, $3::text::occurrence_state,
                       $4::text::timestamptz)
               returning id""",
            "manual" if requeue_of is None else "requeue",
            requeue_of,
            state,
            NOW,
        )
    )


async def test_what_was_requeued_before_is_no_dead_letter(
    old: asyncpg.Connection[asyncpg.Record], empty_database_url: str
) -> None:
    requeued, dead, timed_out, succeeded = [
        await insert(old, state) for state in ("failed", "failed", "timed_out", "succeeded")
    ]
    again = await insert(old, "failed", requeued)
    await insert(old, "succeeded", succeeded)
    await migrate(empty_database_url)
    rows = await old.fetch(
        "select id from occurrence where state in ('failed', 'timed_out') and resolution is null order by id"
    )
    assert [row["id"] for row in rows] == [dead, timed_out, again]
    assert [tuple(r) for r in await old.fetch("select id, resolution from occurrence where resolution is not null")] == [
        (requeued, "requeued")
    ]


async def test_what_the_release_before_writes_is_taken(
    old: asyncpg.Connection[asyncpg.Record], empty_database_url: str
) -> None:
    await migrate(empty_database_url)
    made = await insert(old, "failed")
    assert await old.fetchval("select resolution is null and backfill_id is null from occurrence where id = $1", made)
    # It moves jobs on without knowing of the record of an outage.
    await old.execute("update job set next_fire_at = now(), missed_id = 1, missed_to = now() - interval '1 hour'")
    assert await old.fetchval("select case when missed_to = next_fire_at then missed_id end from job") is None
    with pytest.raises(asyncpg.CheckViolationError):
        await old.execute("update occurrence set origin = 'elsewhere'")
