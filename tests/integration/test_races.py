"""Pairs of events that meet on one row: each first, in turn, and both at once.

`LEVERET_EXHAUSTIVE=1` lets each pair meet 1,000 times.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime

import pytest

from leveret_core import messages
from leveret_core.concurrency import Limits, QueueLoad
from leveret_core.errors import NotFound
from leveret_core.messages import Ask, Claim, Claimed
from leveret_core.states import State
from leveret_core.store.commands.occurrences import Cancellation, cancel_occurrence, trigger_job
from leveret_core.store.database import Database, sql
from leveret_core.store.jobs import changes as job_changes
from leveret_core.store.occurrences.creation import Planned, create
from leveret_core.store.slots.release import as_final, release
from leveret_dispatcher.claims.claim_desk import ClaimDesk
from leveret_dispatcher.ends.ingestor import Ingestor
from support.control import Control, finished
from support.eventually import eventually

EXHAUSTIVE = os.environ.get("LEVERET_EXHAUSTIVE") == "1"
TIMES = 1000 if EXHAUSTIVE else 60
STAGGER = 0.006
"""Seconds the second of a pair begins after the first, at most: about as long as one of them takes."""
pytestmark = pytest.mark.timeout(1200 if EXHAUSTIVE else 120)


@pytest.fixture
async def control(database_url: str) -> AsyncGenerator[Control]:
    database = Database(database_url, pool_size=12)
    await database.start()
    made = Control(database)
    yield made
    violations = await made.violations()
    await database.stop()
    assert violations == []


async def race(turn: int, first: Callable[[], Awaitable[object]], second: Callable[[], Awaitable[object]]) -> None:
    """Let both go: in even turns `first` begins a moment before `second`, in odd ones after it; in each fourth at once."""
    delay = 0.0 if turn % 4 == 3 else random.Random(turn).uniform(0, STAGGER)

    async def late(work: Callable[[], Awaitable[object]]) -> None:
        await asyncio.sleep(delay)
        await work()

    early, later = (first, second) if turn % 2 == 0 else (second, first)
    async with asyncio.TaskGroup() as both:
        both.create_task(_run(early))
        both.create_task(late(later))


async def _run(work: Callable[[], Awaitable[object]]) -> None:
    await work()


async def triggered(control: Control, job: int) -> int:
    return (await trigger_job(control.db, job, actor="test")).occurrence_id


async def test_the_end_of_an_attempt_and_the_loss_of_its_worker(control: Control) -> None:
    job = await control.job(concurrency="queue", retry={"max_attempts": 3, "delay": 100, "max_lost": 3})
    reaper = control.reaper(await control.term())
    outcomes = Counter[str]()
    for turn in range(TIMES):
        occurrence = await triggered(control, job)
        worker = await control.worker()
        answer = await control.claim(worker, occurrence)
        await control.db.pool.execute("update worker set lease_until = now() - interval '1 second' where stopped_at is null")
        await race(turn, lambda w=worker, a=answer: control.report(w, finished(a)), reaper.run_once)  # type: ignore[misc]
        row = await control.row(occurrence)
        outcomes[row["state"]] += 1
        assert (row["state"], row["lost_count"]) in (("succeeded", 0), ("retrying", 1))
        # The other one, once more: nothing changes.
        await control.report(worker, finished(answer))
        assert (await control.row(occurrence))["state"] == row["state"]
        if row["state"] == "retrying":
            await cancel_occurrence(control.db, occurrence, reason="next", actor="test")
        assert await control.db.pool.fetchval("select count(*) from slot") == 0
    assert set(outcomes) == {"succeeded", "retrying"}, outcomes


async def test_a_claim_and_a_cancel(control: Control) -> None:
    job = await control.job(concurrency="queue")
    worker = await control.worker()
    outcomes = Counter[str]()
    for turn in range(TIMES):
        occurrence = await triggered(control, job)
        answers: list[messages.Answer] = []
        cancelled: list[Cancellation] = []

        async def claim(occurrence: int = occurrence, answers: list[messages.Answer] = answers) -> None:
            (reply,) = await control.desk.answer([Claim(worker=worker, asks=[Ask(occurrence, 1)])])
            assert isinstance(reply, Claimed)
            answers.extend(reply.answers)

        async def cancel(occurrence: int = occurrence, cancelled: list[Cancellation] = cancelled) -> None:
            cancelled.append(await cancel_occurrence(control.db, occurrence, reason="enough", actor="test"))

        await race(turn, claim, cancel)
        if not answers:
            await claim()
        ((answer,), (done,)) = answers, cancelled
        outcomes[answer.status] += 1
        if answer.status == "granted":
            # Too late to cancel at once: the worker is told, and it is the one that got it.
            assert done.state is State.CANCELLING
            assert done.tell == messages.Cancel(worker=worker, occurrence=occurrence, attempt=1)
            await control.report(worker, finished(answer, "cancelled"))
        else:
            assert (answer.status, done.state, done.tell) == ("stale", State.CANCELLED, None)
        row = await control.row(occurrence)
        assert (row["state"], row["attempt"]) == ("cancelled", int(answer.status == "granted"))
    assert set(outcomes) == {"granted", "stale"}, outcomes


async def test_a_cancel_and_the_time_of_a_retry(control: Control) -> None:
    job = await control.job(concurrency="queue", retry={"max_attempts": 3, "delay": 0})
    worker = await control.worker()
    retrier = control.retrier(await control.term())
    for turn in range(TIMES):
        occurrence = await triggered(control, job)
        await control.report(worker, finished(await control.claim(worker, occurrence), "failed"))
        assert (await control.row(occurrence))["state"] == "retrying"
        await race(
            turn,
            lambda o=occurrence: cancel_occurrence(control.db, o, reason="enough", actor="test"),  # type: ignore[misc]
            retrier.run_once,
        )
        await retrier.run_once()
        assert (await control.row(occurrence))["state"] == "cancelled"
        assert (await control.claim(worker, occurrence, 2)).status == "stale"
        assert await control.db.pool.fetchval("select count(*) from slot") == 0


async def test_an_edit_at_the_tick_gives_the_old_version_or_the_new_one_and_never_a_mix(control: Control) -> None:
    job = await control.job(
        concurrency="allow", trigger={"kind": "interval", "every": 3600, "start_at": "2026-01-01T00:00:00Z"}
    )
    scheduler = control.scheduler(await control.term())
    versions = Counter[int]()
    for turn in range(TIMES):
        await control.db.pool.execute("update job set next_fire_at = clock_timestamp()")
        edit = job_changes.edit_job(control.db, job, {"payload": {"n": turn}}, actor="test", version=None, payload_limit=1000)
        before = await control.db.pool.fetchrow("select version, payload from job")
        await race(turn, scheduler.run_once, lambda e=edit: e)  # type: ignore[misc]
        # A job that was locked just now is looked at again a moment later.
        await scheduler.run_once()
        after = await control.db.pool.fetchrow("select version, payload from job")
        rows = await control.db.pool.fetch("select job_version as version, payload from occurrence")
        await control.db.pool.execute("delete from occurrence")
        assert before is not None
        assert after is not None
        assert len(rows) == 1
        assert tuple(rows[0]) in (tuple(before), tuple(after))
        assert after["version"] == before["version"] + 1
        assert json.loads(after["payload"]) == {"n": turn}
        versions[after["version"] - rows[0]["version"]] += 1
    assert set(versions) == {0, 1}, versions


async def test_a_pause_at_the_tick_gives_the_tick_or_none_and_nothing_later(control: Control) -> None:
    job = await control.job(
        concurrency="allow", trigger={"kind": "interval", "every": 3600, "start_at": "2026-01-01T00:00:00Z"}
    )
    scheduler = control.scheduler(await control.term())
    counts = Counter[int]()
    for turn in range(TIMES):
        await control.db.pool.execute("update job set next_fire_at = clock_timestamp()")
        pause = job_changes.pause_job(control.db, job, reason=None, actor="test")
        await race(turn, scheduler.run_once, lambda p=pause: p)  # type: ignore[misc]
        created = len(await control.states(job))
        await scheduler.run_once()
        await job_changes.resume_job(control.db, job, actor="test")
        await scheduler.run_once()
        assert len(await control.states(job)) == created
        await control.db.pool.execute("delete from occurrence")
        counts[created] += 1
    assert set(counts) == {0, 1}, counts


@pytest.mark.parametrize("concurrency", ["skip", "queue", "allow"])
async def test_one_idempotency_key_of_fifty_clients(control: Control, concurrency: str) -> None:
    job = await control.job(concurrency=concurrency)
    for turn in range(100 if EXHAUSTIVE else 5):
        key = f"key-{turn}"
        asks = [trigger_job(control.db, job, idempotency_key=key, actor="test") for _ in range(50)]
        answers = await asyncio.gather(*asks)
        assert len({answer.occurrence_id for answer in answers}) == 1
        assert sum(answer.created for answer in answers) == 1
    assert len(await control.states(job)) == (100 if EXHAUSTIVE else 5)


async def test_two_workers_claim_one_attempt_at_two_desks(control: Control) -> None:
    job = await control.job(concurrency="allow")
    pair = [await control.worker(), await control.worker()]
    other = ClaimDesk(control.settings, control.db, control.hints)
    desks = dict(zip(pair, (control.desk, other), strict=True))
    winners = Counter[str]()
    for turn in range(TIMES):
        occurrence = await triggered(control, job)
        answers: dict[str, messages.Answer] = {}

        async def claim(worker: str, occurrence: int = occurrence, answers: dict[str, messages.Answer] = answers) -> None:
            while worker not in answers:
                (reply,) = await desks[worker].answer([Claim(worker=worker, asks=[Ask(occurrence, 1)])])
                assert isinstance(reply, Claimed)
                answers.update((worker, answer) for answer in reply.answers)

        await race(turn, lambda c=claim: c(pair[0]), lambda c=claim: c(pair[1]))  # type: ignore[misc]
        granted = [worker for worker in pair if answers[worker].status == "granted"]
        assert sorted(answer.status for answer in answers.values()) == ["granted", "stale"]
        row = await control.row(occurrence)
        assert (str(row["worker_id"]), str(row["claim_token"])) == (granted[0], answers[granted[0]].token)
        winners[granted[0]] += 1
    assert set(winners) == set(pair), winners


async def test_whoever_comes_while_the_last_place_is_given_back_gets_it(control: Control) -> None:
    job = await control.job(concurrency="queue")
    worker = await control.worker()
    running = await control.claim(worker, await triggered(control, job))
    for turn in range(TIMES):
        came: list[int] = []

        async def come(came: list[int] = came) -> None:
            came.append(await triggered(control, job))

        await race(turn, come, lambda r=running: control.report(worker, finished(r)))  # type: ignore[misc]
        assert (await control.row(came[0]))["state"] == "pending"
        running = await control.claim(worker, came[0])
        assert running.status == "granted"


async def test_ends_of_the_same_jobs_in_two_orders_do_not_wait_for_each_other(control: Control) -> None:
    """Each pair of batches ends one occurrence of each job, and the next in both lines begin."""
    lines = [await control.job(f"line-{n}", concurrency="queue", max_concurrent=2) for n in range(4)]
    worker = await control.worker()
    other = Ingestor(control.settings, control.db, control.hints)
    control_other = Control(control.db)
    control_other.ingestor = other
    for _ in range(TIMES // 6):
        batches: list[list[messages.Event]] = [[], []]
        waiting: list[int] = []
        for job in lines:
            for batch in batches:
                batch.append(finished(await control.claim(worker, await triggered(control, job))))
            waiting += [await triggered(control, job), await triggered(control, job)]
        batches[1].reverse()
        async with control.db.transaction() as gate:
            # Both come to a stop half way through their locks, so that an order of their own would be a deadlock.
            await gate.execute("select from job where id = any($1) for no key update", lines[1:3])
            both = [
                asyncio.create_task(who.report(worker, *batch))
                for who, batch in zip((control, control_other), batches, strict=True)
            ]
            await eventually(lambda: _stopped(control, 2), interval=0.002)
        await asyncio.gather(*both)
        for occurrence in waiting:
            assert (await control.row(occurrence))["state"] == "pending"
            await cancel_occurrence(control.db, occurrence, reason="next", actor="test")


async def _stopped(control: Control, count: int) -> None:
    waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    assert await control.db.pool.fetchval(waiting) == count


async def test_a_delete_and_a_trigger(control: Control) -> None:
    """Whatever was created before the delete is cancelled by it; afterwards nothing is created."""
    outcomes = Counter[str]()
    for turn in range(TIMES // 3):
        job = await control.job(f"job-{turn}", concurrency="queue")

        async def trigger(job: int = job) -> None:
            try:
                await triggered(control, job)
            except NotFound:
                outcomes["refused"] += 1
            else:
                outcomes["created"] += 1

        await race(turn, trigger, lambda j=job: job_changes.delete_job(control.db, j, actor="test"))  # type: ignore[misc]
        assert set(await control.states(job)) <= {"cancelled"}
    assert set(outcomes) == {"refused", "created"}, outcomes


async def test_a_place_given_to_what_ran_without_one_is_freed_under_the_lock_of_its_job(control: Control) -> None:
    """The job allows any number when an attempt's end looks for locks to take, and counts them when the end is written."""
    job = await control.job(concurrency="allow", max_concurrent=1)
    worker = await control.worker()
    answer = await control.claim(worker, await triggered(control, job))
    async with control.db.transaction() as ending:
        assert await ending.fetch(sql("slots/lock_jobs"), [answer.occurrence], [], [answer.occurrence]) == []
        changes = {"concurrency": "queue"}
        await job_changes.edit_job(control.db, job, changes, actor="test", version=None, payload_limit=1000)
        following = await triggered(control, job)
        assert (await control.row(following))["state"] == "waiting"
        ends = [[answer.occurrence], [1], [uuid.UUID(answer.token)], [9], [0.0], ["null"], []]
        (row,) = await ending.fetch(sql("attempts/finish_succeeded"), *ends)
        async with control.db.transaction() as other:
            await other.execute("select from job where id = $1 for no key update", job)
            releasing = asyncio.create_task(release(ending, [as_final(row)], []))
            await eventually(lambda: _stopped(control, 1), interval=0.002)
        assert await releasing == [following]


async def test_what_begins_to_wait_behind_an_end_without_the_lock_of_its_job_gets_the_place(control: Control) -> None:
    """The end, which found no lock to take, is written before another one waits, and commits after that."""
    job = await control.job(concurrency="allow", max_concurrent=1)
    worker = await control.worker()
    answer = await control.claim(worker, await triggered(control, job))
    async with control.db.transaction() as ending:
        changes = {"concurrency": "queue"}
        await job_changes.edit_job(control.db, job, changes, actor="test", version=None, payload_limit=1000)
        ends = [[answer.occurrence], [1], [uuid.UUID(answer.token)], [9], [0.0], ["null"], []]
        (row,) = await ending.fetch(sql("attempts/finish_succeeded"), *ends)
        assert (row["freed"], row["wanted"]) == (True, False)
        following = await triggered(control, job)
        assert (await control.row(following))["state"] == "waiting"
        final = as_final(row)._replace(wanted=row["wanted"])
        assert await release(ending, [final], []) == [following]


async def test_a_slot_that_is_held_although_the_load_says_otherwise_stops_the_transaction(control: Control) -> None:
    job = await control.job(concurrency="queue")
    stale = {job: QueueLoad(Limits("queue", 1, 10))}
    await triggered(control, job)
    planned = Planned(job_id=job, scheduled_for=datetime(2026, 1, 1, tzinfo=UTC), origin="manual")
    with pytest.raises(RuntimeError, match="a slot that was free is held by another occurrence"):
        async with control.db.transaction() as connection:
            await create(connection, [planned], stale)
    assert await control.states(job) == ["pending"]
