"""What an outage of the dispatcher costs: one record for all that does not run, whatever its length, on a real Postgres."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from leveret_core.planning import MAX_TICKS
from leveret_core.store.commands.occurrences import trigger_job
from leveret_core.store.database import Database
from leveret_core.store.jobs.changes import pause_job, resume_job
from leveret_dispatcher.leadership.term import Term
from leveret_dispatcher.schedule.scheduler import HELD_BACK_PAUSE, Scheduler
from support.control import LONG_AGO, Control, finished
from support.eventually import eventually

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


def scheduler(control: Control, term: Term, limit: int = 1_000, batch: int = 10, patience: float = 0) -> Scheduler:
    return Scheduler(
        term,
        batch=batch,
        answer_timeout=60,
        room=lambda _: 1000,
        publish=control.exchange.published.extend,
        changed=control.created.extend,
        catch_up_limit=limit,
        patience=patience,
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
    due = ago(MAX_TICKS * 4 - 100)
    job = await control.job(trigger=EVERY_SECOND, next_fire_at=due, catch_up=catch_up, concurrency="allow")
    await scheduler(control, await control.term()).run_once()
    # People go on triggering meanwhile.
    await trigger_job(control.db, job, actor="test")
    await caught_up(control, scheduler(control, await control.term()))
    ticks = [at for at in await fired(control) if at.microsecond == 0]
    record, *later = await missed(control)
    assert record["missed_until"] == ticks[0] - timedelta(seconds=1)
    # On a slow machine the next outage, of a second, may follow.
    assert catch_up == "none" or later == []
    assert sum(r["missed_count"] for r in (record, *later)) + len(ticks) == (ticks[-1] - due).total_seconds() + 1


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
    monkeypatch.setattr("leveret_dispatcher.schedule.scheduler.MAX_PLANNED", 700)
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
    assert sum(record["missed_count"] >= 95 for record in await missed(control)) == 2


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
    record = (await missed(control))[0]
    assert MAX_TICKS * 2 - 5 < record["missed_count"] < MAX_TICKS * 2 + 60


EVERY_TEN = {"kind": "interval", "every": 10, "start_at": LONG_AGO.isoformat()}


def last_tick() -> datetime:
    now = datetime.now(UTC).replace(microsecond=0)
    return now - timedelta(seconds=now.second % 10)


@pytest.mark.parametrize("catch_up", ["latest", "all"])
async def test_ticks_that_a_change_of_leadership_made_late_do_not_skip_each_other(control: Control, catch_up: str) -> None:
    newest = last_tick()
    job = await control.job(trigger=EVERY_TEN, next_fire_at=newest - timedelta(seconds=10), catch_up=catch_up)
    await scheduler(control, await control.term()).run_once()
    states = await control.states(job)
    assert states == ["missed", "pending"]
    (record,) = await missed(control)
    assert "or gave way to newer ones" in record["reason"]


async def test_as_many_late_ticks_of_a_skip_job_run_as_there_are_places(control: Control) -> None:
    job = await control.job(trigger=EVERY_TEN, next_fire_at=last_tick() - timedelta(seconds=30), max_concurrent=2)
    await scheduler(control, await control.term()).run_once()
    assert (await control.states(job))[-2:] == ["pending", "pending"]
    assert (await missed(control))[0]["missed_count"] in (2, 3)


async def test_none_runs_one_tick_after_a_standstill(control: Control) -> None:
    await control.job(
        trigger=EVERY_TEN, next_fire_at=last_tick() - timedelta(seconds=100), catch_up="none", concurrency="allow"
    )
    await scheduler(control, await control.term()).run_once()
    assert len(await fired(control)) == 1
    (record,) = await missed(control)
    assert record["missed_count"] in (10, 11)


async def test_what_is_skipped_names_a_blocker_that_was_live_and_its_state(control: Control) -> None:
    job = await control.job(trigger=EVERY_TEN)
    blocker = (await trigger_job(control.db, job, actor="test")).occurrence_id
    await control.claim(await control.worker(), blocker)
    await control.db.pool.execute("update job set next_fire_at = $1", last_tick())
    await scheduler(control, await control.term()).run_once()
    row = await control.db.pool.fetchrow("select blocker_id, reason from occurrence where state = 'skipped'")
    assert row is not None
    assert (row["blocker_id"], row["reason"]) == (blocker, f"1 of 1 already live: occurrence {blocker} was running")


async def test_after_a_standstill_a_tick_waits_for_the_ends_that_were_told_meanwhile(control: Control) -> None:
    job = await control.job(trigger=EVERY_TEN)
    worker = await control.worker()
    answer = await control.claim(worker, (await trigger_job(control.db, job, actor="test")).occurrence_id)
    await control.db.pool.execute("update job set next_fire_at = $1", last_tick() - timedelta(seconds=20))
    made = scheduler(control, await control.term(), patience=30)
    for _ in range(3):
        assert await made.run_once() == HELD_BACK_PAUSE
    assert await control.states(job) == ["running"]
    # Its end was on its way.
    await control.report(worker, finished(answer))
    await made.run_once()
    assert sorted(await control.states(job)) == ["missed", "pending", "succeeded"]


async def test_a_tick_is_skipped_for_what_still_runs_some_seconds_after_a_standstill(control: Control) -> None:
    job = await control.job(trigger=EVERY_TEN)
    await control.claim(await control.worker(), (await trigger_job(control.db, job, actor="test")).occurrence_id)
    await control.db.pool.execute("update job set next_fire_at = $1", last_tick() - timedelta(seconds=20))
    made = scheduler(control, await control.term(), patience=0.1)
    await eventually(partial(_decided, made))
    assert sorted(await control.states(job)) == ["missed", "running", "skipped"]


async def _decided(made: Scheduler) -> bool:
    return await made.run_once() != HELD_BACK_PAUSE
