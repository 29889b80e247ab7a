"""Scheduler, publisher and term on a real Postgres, each stepped by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest

from leveret_core.broker.base import Published
from leveret_core.concurrency import Limits
from leveret_core.errors import TermOver
from leveret_core.states import State
from leveret_core.store.commands.occurrences import trigger_job
from leveret_core.store.database import Database
from leveret_core.store.occurrences.creation import Planned, create
from leveret_core.store.slots.load import load_queue_of_each
from leveret_dispatcher.upkeep.pruner import Pruner
from support.control import LONG_AGO, Control, finished

EVERY_HOUR = {"kind": "interval", "every": 3600, "start_at": LONG_AGO.isoformat()}


@pytest.fixture
async def control(database_url: str) -> AsyncGenerator[Control]:
    database = Database(database_url, pool_size=10)
    await database.start()
    made = Control(database)
    yield made
    violations = await made.violations()
    await database.stop()
    assert violations == []


def just_now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


async def test_a_due_job_gets_one_occurrence_and_its_next_fire_time(control: Control) -> None:
    due = just_now()
    job = await control.job(trigger=EVERY_HOUR, next_fire_at=due, payload={"a": 1}, type="report.daily")
    pause = await control.scheduler(await control.term()).run_once()
    (created,) = control.created
    assert (created.job_id, created.scheduled_for, created.state) == (job, due, State.PENDING)
    assert [(d.occurrence, d.attempt, d.type) for d in control.exchange.published] == [(created.id, 1, "report.daily")]
    row = await control.row(created.id)
    assert (row["payload"], row["job_version"], row["epoch"]) == ('{"a": 1}', 1, 1)
    following = await control.db.pool.fetchrow("select next_fire_at, runs from job where id = $1", job)
    assert following is not None
    assert following["next_fire_at"] > datetime.now(UTC)
    assert following["runs"] == 1
    assert pause is not None
    assert pause > 0


async def test_a_stale_term_writes_nothing(control: Control) -> None:
    await control.job(trigger=EVERY_HOUR, next_fire_at=just_now())
    await control.worker()
    await control.db.pool.execute("update worker set lease_until = now() - interval '1 second'")
    old = await control.term()
    new = await control.term()
    for step in (control.scheduler(old).run_once, control.retrier(old).run_once, control.reaper(old).run_once):
        with pytest.raises(TermOver, match="epoch 1 is over"):
            await step()
    assert await control.db.pool.fetchval("select count(*) from occurrence") == 0
    await control.scheduler(new).run_once()
    assert await control.db.pool.fetchval("select count(*) from occurrence") == 1


async def test_a_successor_waits_for_the_transaction_in_flight_and_nothing_of_the_old_term_follows_it(control: Control) -> None:
    old = await control.term()
    async with old.transaction():
        raising = asyncio.create_task(control.term())
        await asyncio.sleep(0.2)
        assert not raising.done()
    new = await raising
    assert new.epoch == old.epoch + 1
    with pytest.raises(TermOver):
        async with old.transaction():
            pass


async def test_a_holder_frozen_inside_a_transaction_does_not_block_its_successor_for_long(database_url: str) -> None:
    frozen = Database(database_url, idle_in_transaction=0.5)
    await frozen.start()
    control = Control(frozen)
    old = await control.term()
    successor = Database(database_url)
    await successor.start()
    job = await control.job()

    async def frozen_midway() -> None:
        async with old.transaction() as connection:
            await asyncio.wait_for(Control(successor).term(), 5)
            await connection.execute("update job set description = 'stale' where id = $1", job)

    with pytest.raises(Exception, match=r"closed|terminated|idle|released|another operation"):
        await frozen_midway()
    assert await successor.pool.fetchval("select count(*) from job where description = 'stale'") == 0
    await successor.stop()
    await frozen.stop()


async def test_a_term_that_was_not_renewed_in_time_does_nothing(control: Control) -> None:
    term = await control.term()
    term.trust(0)
    with pytest.raises(TermOver, match="not renewed in time"):
        await control.scheduler(term).run_once()


async def test_the_same_tick_is_created_once_however_often_it_is_tried(control: Control) -> None:
    job = await control.job(concurrency="allow", trigger=EVERY_HOUR)
    tick = just_now()
    made = 0
    for _ in range(3):
        async with control.db.transaction() as connection:
            loads = await load_queue_of_each(connection, {job: Limits("allow", 1, 1)})
            planned = Planned(job_id=job, scheduled_for=tick, origin="schedule")
            made += len(await create(connection, [planned], loads))
    assert made == 1


async def test_many_due_jobs_each_fire_once_when_schedulers_of_one_term_race(control: Control) -> None:
    due = just_now()
    for n in range(60):
        await control.job(f"job-{n}", trigger=EVERY_HOUR, next_fire_at=due)
    term = await control.term()
    schedulers = [control.scheduler(term, batch=7) for _ in range(4)]
    while any(pause == 0 for pause in await asyncio.gather(*(s.run_once() for s in schedulers))):
        pass
    assert len({c.job_id for c in control.created}) == len(control.created) == 60


async def test_a_job_that_cannot_be_evaluated_is_paused_and_stops_no_other(control: Control) -> None:
    bad = await control.job("bad", trigger={"kind": "cron", "expression": "not cron"}, next_fire_at=just_now())
    good = await control.job("good", trigger=EVERY_HOUR, next_fire_at=just_now())
    await control.scheduler(await control.term()).run_once()
    assert [c.job_id for c in control.created] == [good]
    row = await control.db.pool.fetchrow("select paused_at, pause_reason, next_fire_at from job where id = $1", bad)
    assert row is not None
    assert row["paused_at"] is not None
    assert "cannot be evaluated" in row["pause_reason"]
    assert row["next_fire_at"] is None


async def test_ticks_of_an_outage_are_recorded_as_missed_and_the_newest_runs(control: Control) -> None:
    due = just_now().replace(minute=0, second=0) - timedelta(hours=5)
    job = await control.job(trigger=EVERY_HOUR, next_fire_at=due, catch_up_window=3600)
    await control.scheduler(await control.term()).run_once()
    assert await control.states(job) == ["missed", "pending"]
    row = await control.db.pool.fetchrow("select missed_count, reason from occurrence where state = 'missed'")
    assert row is not None
    assert row["missed_count"] == 5
    assert "5 ticks came too late" in row["reason"]


async def test_of_late_ticks_of_a_skip_job_the_newest_runs_and_none_is_skipped(control: Control) -> None:
    every_ten = {"kind": "interval", "every": 10, "start_at": LONG_AGO.isoformat()}
    now = just_now()
    due = now - timedelta(seconds=now.second % 10 + 20)
    job = await control.job(trigger=every_ten, next_fire_at=due, concurrency="skip")
    await control.scheduler(await control.term()).run_once()
    assert await control.states(job) == ["missed", "pending"]


async def test_jitter_defers_the_first_publishing_and_never_fires_early(control: Control) -> None:
    job = await control.job(trigger={**EVERY_HOUR, "jitter": 3000}, next_fire_at=just_now())
    await control.scheduler(await control.term()).run_once()
    assert control.exchange.published == []
    assert await control.states(job) == ["pending"]
    ring_at = await control.db.pool.fetchval("select ring_at from occurrence")
    assert ring_at > datetime.now(UTC)


# --- dispatch messages --------------------------------------------------------------------------------------------------------


async def test_what_jitter_defers_takes_no_place_of_what_is_due(control: Control) -> None:
    job = await control.job(concurrency="allow")
    await control.db.pool.execute(
        """insert into occurrence (job_id, job_name, job_version, type, payload, origin, scheduled_for, state, retry, ring_at)
           select $1, 'job', 1, 'test.job', '{}', 'schedule', now() - n * interval '1 second', 'pending', '{}',
                  now() + interval '1 hour' from generate_series(1, 5) as n""",
        job,
    )
    await trigger_job(control.db, job, actor="test")
    await control.publisher(await control.term(), window=5).run_once()
    assert len(control.exchange.published) == 1


async def test_the_publisher_publishes_what_no_worker_was_told_of(control: Control) -> None:
    job = await control.job(concurrency="allow")
    ids = [(await trigger_job(control.db, job, actor="test")).occurrence_id for _ in range(3)]
    await control.publisher(await control.term()).run_once()
    assert [d.occurrence for d in control.exchange.published] == ids


async def test_no_more_than_the_window_is_out_and_claims_make_room(control: Control) -> None:
    job = await control.job(concurrency="allow")
    for _ in range(7):
        await trigger_job(control.db, job, actor="test")
    publisher = control.publisher(await control.term(), window=3)
    await publisher.run_once()
    await publisher.run_once()
    assert len(control.exchange.published) == 3
    worker = await control.worker()
    for dispatch in control.exchange.published[:2]:
        await control.report(worker, finished(await control.claim(worker, dispatch.occurrence)))
    await publisher.run_once()
    assert len(control.exchange.published) == 5


async def test_an_unanswered_dispatch_message_is_published_again_each_time_later(control: Control) -> None:
    await trigger_job(control.db, await control.job(), actor="test")
    publisher = control.publisher(await control.term(), answer_timeout=100)
    await publisher.run_once()
    waits: list[float] = []
    for _ in range(3):
        await control.db.pool.execute("update occurrence set ring_at = now()")
        await publisher.run_once()
        waits.append(float(await control.db.pool.fetchval("select extract(epoch from ring_at - now()) from occurrence")))
    assert len(control.exchange.published) == 4
    assert [round(wait / 100) for wait in waits] == [2, 4, 8]


@pytest.mark.parametrize("outcome", [Published.UNROUTABLE, Published.UNKNOWN])
async def test_a_dispatch_message_that_reached_no_queue_stays_due(control: Control, outcome: Published) -> None:
    await trigger_job(control.db, await control.job(), actor="test")
    publisher = control.publisher(await control.term())
    control.exchange.outcome = outcome
    await publisher.run_once()
    assert await control.db.pool.fetchval("select ring_at is null from occurrence")
    control.exchange.outcome = Published.CONFIRMED
    publisher.worker_came()
    await publisher.run_once()
    assert len(control.exchange.published) == 2
    assert await control.db.pool.fetchval("select ring_at is not null from occurrence")


async def test_a_type_that_no_worker_has_bound_does_not_keep_others_waiting(control: Control) -> None:
    bound = await control.job("bound", type="b.bound", concurrency="allow")
    unbound = await control.job("unbound", type="a.unbound", concurrency="allow")
    publisher = control.publisher(await control.term())
    control.exchange.outcome = Published.UNROUTABLE
    for _ in range(5):
        await trigger_job(control.db, unbound, actor="test")
    await publisher.run_once()
    control.exchange.outcome, control.exchange.published = Published.CONFIRMED, []
    await trigger_job(control.db, bound, actor="test")
    await publisher.run_once()
    assert [d.type for d in control.exchange.published] == ["b.bound"]


async def test_a_new_term_publishes_at_once_what_the_last_one_may_not_have_published(control: Control) -> None:
    await control.job(trigger=EVERY_HOUR, next_fire_at=just_now())
    await control.scheduler(await control.term()).run_once()
    control.exchange.published = []
    successor = control.publisher(await control.term())
    await successor.begin()
    await successor.run_once()
    assert len(control.exchange.published) == 1


async def test_nothing_is_taken_while_the_broker_is_away(control: Control) -> None:
    await trigger_job(control.db, await control.job(), actor="test")
    control.exchange.connected = False
    await control.publisher(await control.term()).run_once()
    assert await control.db.pool.fetchval("select ring_at is null from occurrence")


# --- housekeeping -----------------------------------------------------------------------------------------------------


async def test_history_past_its_time_is_pruned_and_nothing_else(control: Control) -> None:
    worker = await control.worker()
    job = await control.job(concurrency="allow")
    old, kept, live = [(await trigger_job(control.db, job, actor="test")).occurrence_id for _ in range(3)]
    for occurrence in (old, kept):
        await control.report(worker, finished(await control.claim(worker, occurrence)))
    await control.db.pool.execute(
        "update occurrence set finished_at = now() - interval '31 days', started_at = null where id = $1", old
    )
    assert await Pruner(await control.term(), 30).run_once() == 1
    rows = await control.db.pool.fetch("select id from occurrence order by id")
    assert [row["id"] for row in rows] == [kept, live]


async def test_the_repair_of_slots_finds_nothing_unless_somebody_broke_the_rules(control: Control) -> None:
    worker = await control.worker()
    job = await control.job(concurrency="queue")
    first, second = [(await trigger_job(control.db, job, actor="test")).occurrence_id for _ in range(2)]
    pruner = Pruner(await control.term(), 30)
    assert await pruner.repair() == 0
    await control.claim(worker, first)
    await control.db.pool.execute("update occurrence set state = 'succeeded', finished_at = now() where id = $1", first)
    assert await pruner.repair() == 1
    assert (await control.row(second))["state"] == "pending"
