"""The clock of Postgres jumps, back and ahead: no tick fires twice, and what was jumped over is caught up within bounds."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest

from leveret_core.store.database import Database
from support.control import LONG_AGO, Control, finished
from support.moved_clock import move_clock, with_a_clock_to_move

EVERY_MINUTE = {"kind": "interval", "every": 60, "start_at": LONG_AGO.isoformat()}
BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def control(database_url: str) -> AsyncGenerator[Control]:
    database = Database(await with_a_clock_to_move(database_url), pool_size=4)
    await database.start()
    made = Control(database)
    yield made
    violations = await made.violations()
    await database.stop()
    assert violations == []


async def ticks(control: Control, job: int) -> list[datetime]:
    rows = await control.db.pool.fetch(
        "select scheduled_for from occurrence where job_id = $1 and state <> 'missed' order by scheduled_for", job
    )
    return [row["scheduled_for"] for row in rows]


async def test_an_hour_that_comes_again_fires_nothing_again(control: Control) -> None:
    job = await control.job(trigger=EVERY_MINUTE, next_fire_at=BEGIN + MINUTE, concurrency="allow")
    scheduler = control.scheduler(await control.term())
    for minute in (1, 2, 3):
        await move_clock(control.db, BEGIN + minute * MINUTE)
        await scheduler.run_once()
    assert await ticks(control, job) == [BEGIN + MINUTE, BEGIN + 2 * MINUTE, BEGIN + 3 * MINUTE]
    for back in (-60, -30, 1, 2, 3):
        await move_clock(control.db, BEGIN + back * MINUTE)
        pause = await scheduler.run_once()
        assert pause is not None
        assert pause > 0
    assert len(await ticks(control, job)) == 3
    await move_clock(control.db, BEGIN + 4 * MINUTE)
    await scheduler.run_once()
    assert len(await ticks(control, job)) == 4


async def test_what_a_jump_ahead_left_out_is_recorded_and_its_newest_tick_runs(control: Control) -> None:
    job = await control.job(trigger=EVERY_MINUTE, next_fire_at=BEGIN + MINUTE, concurrency="allow")
    await move_clock(control.db, BEGIN + timedelta(days=1))
    scheduler = control.scheduler(await control.term())
    while await scheduler.run_once() == 0:
        pass
    # The newest and those hardly late, by `catch_up=latest`.
    ran = await ticks(control, job)
    assert ran == [BEGIN + timedelta(minutes=1439), BEGIN + timedelta(days=1)]
    missed = await control.db.pool.fetchval("select sum(missed_count) from occurrence where state = 'missed'")
    assert missed + len(ran) == 1440


async def test_a_worker_that_a_jump_made_lost_ends_nothing_of_the_next_attempt(control: Control) -> None:
    job = await control.job(trigger=EVERY_MINUTE, next_fire_at=BEGIN, concurrency="skip", max_runs=1)
    term = await control.term()
    await control.scheduler(term).run_once()
    before, after = await control.worker(), None
    first = await control.claim(before, 1)
    await move_clock(control.db, BEGIN + timedelta(hours=1))
    assert await control.reaper(term).run_once() == 1
    await control.retrier(term).run_once()
    after = await control.worker()
    second = await control.claim(after, 1, attempt=2)
    await control.report(before, finished(first, result=b'"late"'))
    assert (await control.row(1))["state"] == "running"
    await control.report(after, finished(second, result=b'"in time"'))
    row = await control.row(1)
    assert (row["state"], row["result"], row["lost_count"]) == ("succeeded", '"in time"', 1)
    assert await control.states(job) == ["succeeded"]


async def test_going_back_ends_no_run_before_it_started(control: Control) -> None:
    await control.job(trigger=EVERY_MINUTE, next_fire_at=BEGIN, max_runs=1)
    await control.scheduler(await control.term()).run_once()
    worker = await control.worker()
    answer = await control.claim(worker, 1)
    await move_clock(control.db, BEGIN - timedelta(hours=1))
    await control.report(worker, finished(answer))
    row = await control.row(1)
    assert row["state"] == "succeeded"
    assert row["finished_at"] >= row["started_at"]
