"""What an outage of the dispatcher costs: one record for all that does not run, whatever its length, on a real Postgres."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leveret_core.planning import MAX_TICKS
from leveret_core.store.commands import trigger_job
from leveret_core.store.database import Database
from leveret_core.store.jobs import pause_job, resume_job
from leveret_dispatcher.scheduler import Scheduler
from leveret_dispatcher.term import Term
from support.control import LONG_AGO, Control

EVERY_SECOND = {"kind": "interval", "every": 1, "start_at": LONG_AGO.isoformat()}


@pytest.fixture
async def control(database_url: str) -> AsyncGenerator[Control]:
    database = Database(database_url, pool_size=10)
    await database.start()
    made = Control(database)
    yield made
    violations = await made.violations()
    await database.stop()
    assert violations == []


def ago(seconds: int) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=seconds)


def scheduler(control: Control, term: Term, limit: int = 1_000, batch: int = 10) -> Scheduler:
    return Scheduler(
        term,
        batch=batch,
        ring_timeout=60,
        room=lambda _: 1000,
        ring=control.exchange.rung.extend,
        changed=control.created.extend,
        catch_up_limit=limit,
    )


async def caught_up(control: Control, made: Scheduler) -> int:
    """Work off everything that is due; returns how many steps that took."""
    steps = 0
    while await control.db.pool.fetchval("select exists (select from job where next_fire_at <= now() - interval '1 second')"):
        await made.run_once()
        steps += 1
    return steps


async def missed(control: Control) -> list[dict[str, Any]]:
    rows = await control.db.pool.fetch(
        "select scheduled_for, missed_count, missed_until, reason from occurrence where state = 'missed' order by id"
    )
    return [dict(row) for row in rows]


async def fired(control: Control) -> list[datetime]:
    rows = await control.db.pool.fetch("select scheduled_for from occurrence where state <> 'missed' order by scheduled_for")
    return [row["scheduled_for"] for row in rows]


async def test_all_runs_the_newest_within_the_limit_and_leaves_one_record_of_the_rest(control: Control) -> None:
    due = ago(MAX_TICKS * 3)
    await control.job(trigger=EVERY_SECOND, next_fire_at=due, catch_up="all", catch_up_window=86_400.0, concurrency="allow")
    steps = await caught_up(control, scheduler(control, await control.term(), limit=200))
    assert steps > 2
    ran = await fired(control)
    (record,) = await missed(control)
    # The last minute is on time whatever the limit says, and a few seconds may have passed meanwhile.
    assert 200 + 59 <= len(ran) <= 200 + 70
    assert record["scheduled_for"] == due
    assert record["missed_until"] == ran[0] - timedelta(seconds=1)
    assert record["missed_count"] == (ran[0] - due).total_seconds()
    words = f"{record['missed_count']} ticks came too late for catch_up=all, or were not among the newest 200"
    assert record["reason"] == words
    assert ran == [ran[0] + timedelta(seconds=n) for n in range(len(ran))]


async def test_all_runs_nothing_beyond_its_window(control: Control) -> None:
    due = ago(MAX_TICKS * 2)
    await control.job(trigger=EVERY_SECOND, next_fire_at=due, catch_up="all", catch_up_window=300.0, concurrency="allow")
    await caught_up(control, scheduler(control, await control.term()))
    ran = await fired(control)
    (record,) = await missed(control)
    assert 290 <= len(ran) <= 310
    assert record["missed_count"] == (ran[0] - due).total_seconds()


@pytest.mark.parametrize("catch_up", ["latest", "none"])
async def test_a_long_outage_leaves_one_record_also_across_terms(control: Control, catch_up: str) -> None:
    due = ago(MAX_TICKS * 4)
    job = await control.job(trigger=EVERY_SECOND, next_fire_at=due, catch_up=catch_up, concurrency="allow")
    await scheduler(control, await control.term()).run_once()
    # People go on triggering meanwhile.
    await trigger_job(control.db, job, actor="test")
    await caught_up(control, scheduler(control, await control.term()))
    (record,) = await missed(control)
    ticks = [at for at in await fired(control) if at.microsecond == 0]
    assert record["missed_count"] + len(ticks) == (ticks[-1] - due).total_seconds() + 1
    assert record["missed_until"] == ticks[0] - timedelta(seconds=1)


async def test_a_long_outage_of_many_jobs_is_worked_off_in_transactions_that_postgres_does_not_end(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(database_url, idle_in_transaction=0.8)
    await database.start()
    control = Control(database)
    every_minute = {"kind": "cron", "expression": "* * * * *", "timezone": "Europe/Berlin"}
    for n in range(120):
        await control.job(
            f"job-{n}",
            trigger=every_minute,
            next_fire_at=ago(2 * 86_400),
            catch_up="all",
            catch_up_window=86_400.0,
            concurrency="allow",
        )
    made = scheduler(control, await control.term(), batch=500)
    # One look decides about all that are due, for as long as that may take.
    for _ in range(3):
        await made.run_once()
    moved = await database.pool.fetchval("select count(*) from job where next_fire_at > $1", ago(2 * 86_400 - 3_600))
    assert moved > 3
    # What runs is not all created at once, either.
    monkeypatch.setattr("leveret_dispatcher.scheduler.MAX_PLANNED", 700)
    await database.pool.execute("update job set next_fire_at = $1, catch_up_window = 864000", ago(86_400))
    before = await database.pool.fetchval("select count(*) from occurrence where state = 'pending'")
    await made.run_once()
    after = await database.pool.fetchval("select count(*) from occurrence where state = 'pending'")
    assert 0 < after - before <= 700 + MAX_TICKS
    await database.stop()


async def test_the_next_outage_has_a_record_of_its_own(control: Control) -> None:
    job = await control.job(trigger=EVERY_SECOND, next_fire_at=ago(200), catch_up="none", concurrency="allow")
    made = scheduler(control, await control.term())
    await caught_up(control, made)
    await control.db.pool.execute("delete from occurrence where state <> 'missed'")
    await control.db.pool.execute("update job set next_fire_at = $2 where id = $1", job, ago(100))
    await caught_up(control, made)
    assert [record["missed_count"] in range(35, 145) for record in await missed(control)] == [True, True]


async def test_an_outage_that_an_edit_cut_short_is_not_added_to(control: Control) -> None:
    job = await control.job(trigger=EVERY_SECOND, next_fire_at=ago(MAX_TICKS * 3), catch_up="none", concurrency="allow")
    made = scheduler(control, await control.term())
    await made.run_once()
    await pause_job(control.db, job, reason=None, actor="test")
    await resume_job(control.db, job, actor="test")
    await control.db.pool.execute("update job set next_fire_at = $2 where id = $1", job, ago(300))
    await caught_up(control, made)
    assert [record["missed_count"] == MAX_TICKS for record in await missed(control)] == [True, False]


async def test_a_record_that_was_pruned_meanwhile_is_begun_anew(control: Control) -> None:
    await control.job(trigger=EVERY_SECOND, next_fire_at=ago(MAX_TICKS * 3), catch_up="none", concurrency="allow")
    made = scheduler(control, await control.term())
    await made.run_once()
    await control.db.pool.execute("delete from occurrence")
    await caught_up(control, made)
    (record,) = await missed(control)
    assert MAX_TICKS * 2 - 70 < record["missed_count"] < MAX_TICKS * 2
