"""Who waits for whom: work on one row is never held up by a transaction that holds another, and where two must not pass each
other, one waits. Each transaction here is held open on purpose."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from leveret_core.messages import Alive, Ask, Claim, Claimed, Heartbeat
from leveret_core.store.commands.occurrences import trigger_job
from leveret_core.store.database import Connection, Database, sql
from support.control import Control
from support.eventually import eventually

SOON = 5.0
"""Seconds in which what waits for nobody is done."""


@pytest.fixture
async def control(database_url: str) -> AsyncGenerator[Control]:
    database = Database(database_url, pool_size=8)
    await database.start()
    made = Control(database)
    yield made
    violations = await made.violations()
    await database.stop()
    assert violations == []


@asynccontextmanager
async def held(control: Control, statement: str, *args: object) -> AsyncGenerator[Connection]:
    """A transaction of somebody else's that has locked what `statement` selects."""
    async with control.db.transaction() as connection:
        assert await connection.fetch(statement, *args), "it locks nothing"
        yield connection


async def waiting_for_a_lock(control: Control) -> None:
    found = await control.db.pool.fetchval(
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    )
    assert found > 0, "nobody waits"


async def triggered(control: Control, job: int) -> int:
    return (await trigger_job(control.db, job, actor="test")).occurrence_id


# Nobody waits


async def test_a_due_job_that_is_locked_holds_up_no_other(control: Control) -> None:
    first, second = [
        await control.job(name, trigger={"kind": "interval", "every": 3600, "start_at": "2026-01-01T00:00:00Z"})
        for name in ("first", "second")
    ]
    await control.db.pool.execute("update job set next_fire_at = date_trunc('hour', now()) - id * interval '1 second'")
    await control.db.pool.execute("update job set next_fire_at = now() - interval '1 second'")
    scheduler = control.scheduler(await control.term())
    async with held(control, "select id from job where id = $1 for no key update", first):
        await asyncio.wait_for(scheduler.run_once(), SOON)
        assert (len(await control.states(first)), len(await control.states(second))) == (0, 1)
    await scheduler.run_once()
    assert len(await control.states(first)) == 1


async def test_a_worker_whose_heartbeat_is_being_written_holds_up_the_loss_of_no_other(control: Control) -> None:
    alive, lost = await control.worker(), await control.worker()
    await control.db.pool.execute("update worker set lease_until = now() - interval '1 second'")
    reaper = control.reaper(await control.term())
    async with held(control, "select id from worker where id = $1 for no key update", alive) as heartbeat:
        await asyncio.wait_for(reaper.run_once(), SOON)
        assert await control.db.pool.fetchval("select state from worker where id = $1", lost) == "lost"
        await heartbeat.execute("update worker set lease_until = now() + interval '1 minute' where id = $1", alive)
    await reaper.run_once()
    assert await control.db.pool.fetchval("select state from worker where id = $1", alive) == "alive"


async def test_a_retry_that_is_locked_holds_up_no_other(control: Control) -> None:
    job = await control.job(concurrency="allow")
    first, second = [await triggered(control, job) for _ in range(2)]
    await control.db.pool.execute("update occurrence set state = 'running', attempt = 1")
    await control.db.pool.execute("update occurrence set state = 'retrying', retry_at = now()")
    retrier = control.retrier(await control.term())
    async with held(control, "select id from occurrence where id = $1 for update", first):
        await asyncio.wait_for(retrier.run_once(), SOON)
        assert (await control.row(second))["state"] == "pending"
    assert (await control.row(first))["state"] == "retrying"
    await retrier.run_once()
    assert (await control.row(first))["state"] == "pending"


@pytest.mark.parametrize("published", [False, True])
async def test_a_dispatch_message_whose_occurrence_is_locked_holds_up_no_other(control: Control, published: bool) -> None:
    job = await control.job(concurrency="allow")
    first, second = [await triggered(control, job) for _ in range(2)]
    publisher = control.publisher(await control.term(), answer_timeout=0.5)
    if published:
        await publisher.run_once()
        await control.db.pool.execute("update occurrence set ring_at = now() - interval '1 second'")
        control.exchange.published.clear()
    async with held(control, "select id from occurrence where id = $1 for update", first):
        await asyncio.wait_for(publisher.run_once(), SOON)
        assert [each.occurrence for each in control.exchange.published] == [second]


async def test_a_planned_run_whose_job_is_locked_holds_up_no_other(control: Control) -> None:
    first, second = await control.job("first"), await control.job("second")
    await control.db.pool.fetch("select leveret_trigger(name) from unnest(array['first', 'second']) as name")
    admitter = control.admitter(await control.term())
    async with held(control, "select id from job where id = $1 for no key update", first):
        await asyncio.wait_for(admitter.run_once(), SOON)
        assert (await control.states(first), await control.states(second)) == (["scheduled"], ["pending"])
    await admitter.run_once()
    assert await control.states(first) == ["pending"]


# One waits


async def test_a_worker_that_is_being_declared_lost_is_given_nothing_more(control: Control) -> None:
    occurrence = await triggered(control, await control.job())
    worker = await control.worker()
    await control.db.pool.execute("update worker set lease_until = now() - interval '1 second'")
    async with held(control, sql("workers/lose"), 10):
        claiming = asyncio.create_task(control.desk.answer([Claim(worker=worker, asks=[Ask(occurrence, 1)])]))

        async def blocked_or_done() -> None:
            if not claiming.done():
                await waiting_for_a_lock(control)

        await eventually(blocked_or_done, timeout=SOON)
    (reply,) = await asyncio.wait_for(claiming, SOON)
    assert not isinstance(reply, Claimed) or reply.answers[0].status != "granted", reply
    assert (await control.row(occurrence))["state"] == "pending"


Lock = Callable[[Connection, list[int]], Awaitable[object]]


async def _lock_jobs_of_slots(connection: Connection, ids: list[int]) -> object:
    return await connection.fetch(sql("slots/lock_jobs"), ids, [], [])


async def _lock_jobs_of_failures(connection: Connection, ids: list[int]) -> object:
    return await connection.fetch(sql("slots/lock_jobs"), [], ids, [])


async def _lock_jobs_of_recoveries(connection: Connection, ids: list[int]) -> object:
    return await connection.fetch(sql("slots/lock_jobs"), [], [], ids)


@pytest.mark.parametrize("lock", [_lock_jobs_of_slots, _lock_jobs_of_failures, _lock_jobs_of_recoveries])
@pytest.mark.parametrize("backwards", [False, True], ids=["in order", "moved"])
async def test_all_who_lock_jobs_lock_them_in_the_order_of_their_ids(control: Control, lock: Lock, backwards: bool) -> None:
    """So none of them waits for another that waits for it. The last job is held: then all the others are locked."""
    jobs = [await control.job(f"job-{n}") for n in range(30)]
    occurrences = [await triggered(control, job) for job in reversed(jobs)]
    await control.db.pool.execute("update job set failures = 1")
    running = """update occurrence set state = 'running', attempt = 1, started_at = now(), claim_token = gen_random_uuid(),
        worker_id = $1"""
    await control.db.pool.execute(running, uuid.UUID(await control.worker()))
    if backwards:
        # Where the rows lie says nothing about their order any more.
        for job in reversed(jobs):
            await control.db.pool.execute("update job set description = repeat('x', 500) where id = $1", job)
        await control.db.pool.execute("vacuum job")

    async def locked() -> None:
        async with control.db.transaction() as connection:
            await lock(connection, occurrences)

    async with held(control, "select id from job where id = $1 for no key update", jobs[-1]):
        locking = asyncio.create_task(locked())
        await eventually(lambda: waiting_for_a_lock(control), timeout=SOON)
        free = await control.db.pool.fetch("select id from job where id <> $1 for no key update skip locked", jobs[-1])
        assert [row["id"] for row in free] == []
    await asyncio.wait_for(locking, SOON)


async def test_heartbeats_and_claims_of_the_same_workers_lock_them_in_one_order(control: Control) -> None:
    first, second = sorted([await control.worker(), await control.worker()])
    # As a claim of both does, which has come to the first.
    async with held(control, "select id from worker where id = $1 for share", uuid.UUID(first)) as claims:
        beats = [Heartbeat(worker=worker, running=0, holding=None) for worker in (second, first)]
        beating = asyncio.create_task(control.desk.answer(beats))
        await eventually(lambda: waiting_for_a_lock(control))
        # The heartbeats hold nothing that the claim needs next.
        await asyncio.wait_for(claims.execute("select from worker where id = $1 for share", uuid.UUID(second)), 3)
    assert [type(reply) for reply in await beating] == [Alive, Alive]
