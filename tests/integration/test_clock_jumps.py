"""The clock of Postgres jumps, back and ahead: no tick fires twice, and what was jumped over is caught up within bounds."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leveret_core.messages import Heartbeat
from leveret_core.store.commands.occurrences import trigger_job
from leveret_core.store.database import Database
from leveret_core.store.key_limits.limits import KeyLimit, put_key_limit
from leveret_core.store.planned.runs import Wanted, schedule_runs
from leveret_core.store.rate_limits.limits import RateLimit, put_rate_limit
from leveret_core.store.term.fence import NAME
from leveret_core.triggers import load_json, next_fire_time
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


@pytest.mark.parametrize("watched", [False, True])
async def test_an_hour_that_comes_again_fires_nothing_again(control: Control, watched: bool) -> None:
    job = await control.job(trigger=EVERY_MINUTE, next_fire_at=BEGIN + MINUTE, concurrency="allow")
    term = await control.term()
    scheduler, watch = control.scheduler(term), control.clock(term)
    for minute in (1, 2, 3):
        await move_clock(control.db, BEGIN + minute * MINUTE)
        await scheduler.run_once()
        assert not await watch.run_once()
    assert await ticks(control, job) == [BEGIN + MINUTE, BEGIN + 2 * MINUTE, BEGIN + 3 * MINUTE]
    for back in (0.5, 1, 2, 3):
        await move_clock(control.db, BEGIN + back * MINUTE)
        if watched:
            await watch.run_once()
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


DAY = timedelta(days=1)


async def test_a_clock_that_was_a_day_ahead_stops_no_schedule(control: Control, caplog: pytest.LogCaptureFixture) -> None:
    """The job ticks in the future, and after that at each of its ticks from now on, none of them twice."""
    job = await control.job(trigger=EVERY_MINUTE, next_fire_at=BEGIN + MINUTE, concurrency="allow")
    quiet = await control.job("quiet", trigger=EVERY_MINUTE, next_fire_at=BEGIN + MINUTE, concurrency="allow", catch_up="none")
    term = await control.term()
    scheduler, watch = control.scheduler(term), control.clock(term)
    ahead = BEGIN + DAY + timedelta(seconds=30)
    await watch.run_once()
    await move_clock(control.db, ahead)
    while await scheduler.run_once() == 0:
        pass
    assert not await watch.run_once()
    ran_ahead = await ticks(control, job)
    assert ran_ahead
    assert ran_ahead[-1] == BEGIN + DAY
    # Noticed by the next holder, too: what the one before it saw is in the tables.
    now = BEGIN + timedelta(seconds=40)
    await move_clock(control.db, now)
    term = await control.term()
    scheduler, watch = control.scheduler(term), control.clock(term)
    with caplog.at_level(logging.WARNING):
        assert await watch.run_once()
    assert "was set back by 86390 s" in caplog.text
    assert "2 jobs were due later than their triggers say, and are due in time: job, quiet" in caplog.text
    for id_ in (job, quiet):
        row = await control.db.pool.fetchrow("select next_fire_at, trigger::text from job where id = $1", id_)
        assert row is not None
        assert row["next_fire_at"] == next_fire_time(load_json(row["trigger"]), now) == BEGIN + MINUTE
    for minute in range(1, 5):
        await move_clock(control.db, BEGIN + minute * MINUTE)
        await scheduler.run_once()
        assert not await watch.run_once()
    assert await ticks(control, job) == [*(BEGIN + n * MINUTE for n in range(1, 5)), *ran_ahead]
    found = await control.db.pool.fetchrow("select clock_set_back, clock_set_back_at from dispatcher_finding")
    assert found is not None
    assert (found["clock_set_back"], found["clock_set_back_at"]) == (1, now)
    actions = await control.db.pool.fetch("select action, job_id from audit where actor = 'dispatcher' order by id")
    assert [(a["action"], a["job_id"]) for a in actions] == [
        ("next_fire_mended", job),
        ("next_fire_mended", quiet),
        ("clock_set_back", None),
    ]
    # Tomorrow comes: what ran then is not run again, nor counted.
    runs = await control.db.pool.fetchval("select runs from job where id = $1", job)
    await control.db.pool.execute("update job set next_fire_at = $1 where id = $2", ran_ahead[-1], job)
    await move_clock(control.db, ahead)
    await scheduler.run_once()
    assert await control.db.pool.fetchval("select runs from job where id = $1", job) == runs
    assert [at for at in await ticks(control, job) if at >= ran_ahead[0]] == ran_ahead


async def test_a_job_that_is_due_too_late_is_found_although_nobody_saw_the_clock_go_back(control: Control) -> None:
    ids = [await control.job(f"job-{n}", trigger=EVERY_MINUTE, next_fire_at=BEGIN + MINUTE) for n in range(5)]
    watch = control.clock(await control.term())
    await control.db.pool.execute("update job set next_fire_at = $1 where id = $2", BEGIN + DAY, ids[3])
    await control.db.pool.execute("update job set next_fire_at = null where id = $1", ids[4])
    await watch.run_once()
    rows = await control.db.pool.fetch("select next_fire_at from job order by id")
    assert [row["next_fire_at"] for row in rows] == [BEGIN + MINUTE] * 5


async def test_what_rightly_is_due_later_stays_so(control: Control) -> None:
    late = {"kind": "interval", "every": 60, "start_at": (BEGIN + DAY).isoformat()}
    ended = {**EVERY_MINUTE, "end_at": (BEGIN - DAY).isoformat()}
    given: list[dict[str, Any]] = [
        {"trigger": late, "next_fire_at": BEGIN + DAY},
        {"trigger": ended, "next_fire_at": None},
        {"trigger": EVERY_MINUTE, "next_fire_at": None, "paused_at": BEGIN},
        {"trigger": EVERY_MINUTE, "next_fire_at": None, "max_runs": 3, "runs": 3},
        {"trigger": {"kind": "manual"}, "next_fire_at": None},
        {"trigger": {"kind": "once", "at": (BEGIN + DAY).isoformat()}, "next_fire_at": BEGIN + DAY},
    ]
    for n, columns in enumerate(given):
        await control.job(f"job-{n}", **columns)
    await move_clock(control.db, BEGIN + MINUTE)
    watch = control.clock(await control.term())
    await watch.run_once()
    await move_clock(control.db, BEGIN)
    assert await watch.run_once()
    rows = await control.db.pool.fetch("select next_fire_at from job order by id")
    assert [row["next_fire_at"] for row in rows] == [columns["next_fire_at"] for columns in given]


async def test_whatever_a_clock_ahead_wrote_goes_on_when_it_is_set_back(control: Control) -> None:
    """Leases, retries, dispatch messages, runs for now, and both kinds of buckets."""
    job = await control.job(concurrency="allow", retry={"max_attempts": 5, "delay": 20, "max_lost": 5}, timeout=60)
    keyed = await control.job("keyed", type="keyed.job", concurrency="allow")
    await put_rate_limit(control.db, RateLimit("slow.job", 1, 60.0), actor="test")
    await put_key_limit(control.db, KeyLimit("keyed.job", "to", 1, 60.0), actor="test")
    slow = await control.job("slow", type="slow.job", concurrency="allow")
    term = await control.term()
    watch, publisher = control.clock(term), control.publisher(term)
    await publisher.begin()
    await watch.run_once()
    await move_clock(control.db, BEGIN + DAY)
    await watch.run_once()
    worker = await control.worker()
    running, retrying, published = [(await trigger_job(control.db, job, actor="test")).occurrence_id for _ in range(3)]
    await control.claim(worker, running)
    await control.report(worker, finished(await control.claim(worker, retrying), "failed"))
    for limited in (slow, slow, keyed, keyed):
        await trigger_job(control.db, limited, actor="test")
    await publisher.run_once()
    (planned,) = await schedule_runs(control.db, [Wanted(job=job)], actor="test")
    await control.desk.answer([Heartbeat(worker=worker, running=1, holding=None)])
    # Neither defaults of columns nor statement_timestamp() see the clock that moves.
    await control.db.pool.execute("update rate_bucket set filled_at = now(), ready_at = now() + interval '50 seconds'")
    await control.db.pool.execute("update occurrence set created_at = now() where id = $1", planned.occurrence_id)
    # The holder dies just then, and Redis with it.
    await control.db.pool.execute("update term set lease_until = now() + interval '60 seconds'")
    await move_clock(control.db, BEGIN)
    assert await control.db.fetchval("term/raise_epoch_if_expired", NAME, uuid.uuid4(), "next", 60.0) is not None
    watch = control.clock(await control.term())
    assert await watch.run_once()
    fetch = control.db.pool.fetchrow
    lease = await fetch("select lease_until, heartbeat_at from worker")
    assert lease is not None
    assert (lease["heartbeat_at"], lease["lease_until"]) == (BEGIN, BEGIN + timedelta(seconds=control.settings.lease))
    assert (await control.row(running))["started_at"] == BEGIN
    assert BEGIN + timedelta(seconds=10) <= (await control.row(retrying))["retry_at"] <= BEGIN + timedelta(seconds=20)
    assert (await control.row(published))["ring_at"] == BEGIN
    assert (await control.row(planned.occurrence_id))["scheduled_for"] < BEGIN
    buckets = await control.db.pool.fetch("select filled_at from rate_limit union all select filled_at from rate_bucket")
    assert [bucket["filled_at"] for bucket in buckets] == [BEGIN, BEGIN]
    assert await control.db.pool.fetchval("select ready_at from rate_bucket") == BEGIN + timedelta(seconds=50)
