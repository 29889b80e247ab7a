"""`replace`, where the newest wins and never overlaps, and slots for each value of a concurrency key."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leveret_core.messages import Answer
from leveret_core.store.commands.occurrences import cancel_occurrence, requeue_occurrence, trigger_job
from leveret_core.store.database import Database
from leveret_core.store.occurrences.creation import Triggered
from leveret_dispatcher.upkeep.pruner import Pruner
from support.control import LONG_AGO, Control, finished
from support.eventually import eventually

EVERY_TEN = {"kind": "interval", "every": 10, "start_at": LONG_AGO.isoformat()}


@pytest.fixture
async def control(database_url: str) -> AsyncGenerator[Control]:
    database = Database(database_url, pool_size=10)
    await database.start()
    made = Control(database)
    yield made
    violations = await made.violations()
    await database.stop()
    assert violations == []


async def trigger(control: Control, job: int, **payload: Any) -> Triggered:
    body = json.dumps(payload).encode() if payload else None
    return await trigger_job(control.db, job, payload=body, actor="test")


async def granted(control: Control, worker: str, occurrence: int, attempt: int = 1) -> Answer:
    answer = await control.claim(worker, occurrence, attempt)
    assert answer.status == "granted"
    return answer


# --- replace ----------------------------------------------------------------------------------------------------------


async def test_a_newer_occurrence_replaces_one_that_nobody_runs_at_once(control: Control) -> None:
    job = await control.job(concurrency="replace")
    first = (await trigger(control, job)).occurrence_id
    second = await trigger(control, job)
    old, new = await control.row(first), await control.row(second.occurrence_id)
    assert (old["state"], old["reason"]) == ("cancelled", f"replaced by occurrence {second.occurrence_id}")
    assert old["blocker_id"] == second.occurrence_id
    assert (new["state"], new["reason"]) == ("pending", None)
    assert [(r.id, r.tell) for r in second.replaced] == [(first, None)]


async def test_a_newer_occurrence_waits_until_the_one_that_runs_has_stopped(control: Control) -> None:
    worker = await control.worker()
    job = await control.job(concurrency="replace")
    first = (await trigger(control, job)).occurrence_id
    answer = await granted(control, worker, first)
    second = await trigger(control, job)
    (old,) = second.replaced
    assert old.tell is not None
    assert (old.tell.worker, old.tell.occurrence, old.tell.attempt) == (worker, first, 1)
    assert await control.states(job) == ["cancelling", "waiting"]
    assert (await control.row(second.occurrence_id))["blocker_id"] == first
    assert (await control.claim(worker, second.occurrence_id)).status == "not_yet"
    await control.report(worker, finished(answer, "cancelled"))
    assert await control.states(job) == ["cancelled", "pending"]
    assert "replaced by occurrence" in (await control.row(first))["reason"]


async def test_of_several_that_wait_only_the_newest_stays(control: Control) -> None:
    worker = await control.worker()
    job = await control.job(concurrency="replace")
    answer = await granted(control, worker, (await trigger(control, job)).occurrence_id)
    made = [await trigger(control, job) for _ in range(3)]
    assert await control.states(job) == ["cancelling", "cancelled", "cancelled", "waiting"]
    assert [len([r for r in m.replaced if r.tell]) for m in made] == [1, 0, 0]
    assert (await control.row(made[1].occurrence_id))["reason"] == f"replaced by occurrence {made[2].occurrence_id}"
    await control.report(worker, finished(answer))
    assert await control.states(job) == ["succeeded", "cancelled", "cancelled", "pending"]


async def test_a_retry_is_replaced_and_never_comes_back(control: Control) -> None:
    worker = await control.worker()
    job = await control.job(concurrency="replace")
    answer = await granted(control, worker, (await trigger(control, job)).occurrence_id)
    await control.report(worker, finished(answer, "failed"))
    assert await control.states(job) == ["retrying"]
    await trigger(control, job)
    await control.retrier(await control.term()).run_once()
    assert await control.states(job) == ["cancelled", "pending"]


async def test_a_replaced_occurrence_whose_worker_died_makes_room(control: Control) -> None:
    term = await control.term()
    job = await control.job(concurrency="replace")
    await granted(control, await control.worker(), (await trigger(control, job)).occurrence_id)
    await trigger(control, job)
    await control.db.pool.execute("update worker set lease_until = now() - interval '1 s'")
    await control.reaper(term).run_once()
    assert await control.states(job) == ["cancelled", "pending"]


async def test_ticks_replace_and_of_late_ones_only_the_newest_begins(control: Control) -> None:
    worker = await control.worker()
    now = datetime.now(UTC).replace(microsecond=0)
    due = now - timedelta(seconds=now.second % 10 + 20)
    job = await control.job(trigger=EVERY_TEN, next_fire_at=due, concurrency="replace")
    running = (await trigger(control, job)).occurrence_id
    await control.db.pool.execute("update occurrence set scheduled_for = '2026-01-01' where id = $1", running)
    await granted(control, worker, running)
    await control.scheduler(await control.term()).run_once()
    first, *skipped, last = await control.states(job)
    newest = control.created[-1]
    # Two, or three when a tick has come meanwhile: all from the first that was due up to the newest.
    assert len(skipped) == (newest.scheduled_for - due) / timedelta(seconds=10) >= 2
    assert (first, set(skipped), last) == ("cancelling", {"skipped"}, "waiting")
    assert [(r.id, r.tell is not None) for r in newest.replaced] == [(running, True)]
    blockers = await control.db.pool.fetch("select blocker_id from occurrence where state = 'skipped'")
    assert [row["blocker_id"] for row in blockers] == [newest.id] * len(skipped)


async def test_a_requeue_replaces_as_well(control: Control) -> None:
    job = await control.job(concurrency="replace")
    first = (await trigger(control, job)).occurrence_id
    await cancel_occurrence(control.db, first, reason="no", actor="test")
    second = (await trigger(control, job)).occurrence_id
    again = await requeue_occurrence(control.db, first, actor="test")
    assert [r.id for r in again.replaced] == [second]
    assert await control.states(job) == ["cancelled", "cancelled", "pending"]


async def test_with_several_slots_the_oldest_holder_is_replaced(control: Control) -> None:
    worker = await control.worker()
    job = await control.job(concurrency="replace", max_concurrent=2)
    first, second = [(await trigger(control, job)).occurrence_id for _ in range(2)]
    await granted(control, worker, first)
    await granted(control, worker, second)
    third = await trigger(control, job)
    fourth = await trigger(control, job)
    assert [r.id for r in third.replaced] == [first]
    assert [r.id for r in fourth.replaced] == [third.occurrence_id]
    assert await control.states(job) == ["cancelling", "running", "cancelled", "waiting"]


async def test_replacing_never_overlaps_when_everything_happens_at_once(control: Control) -> None:
    job = await control.job(concurrency="replace")
    done = asyncio.Event()
    overlaps: list[int] = []

    async def work() -> None:
        worker = await control.worker()
        live = "select count(*) from occurrence where job_id = $1 and state in ('running', 'cancelling')"
        while not done.is_set():
            rows = await control.db.pool.fetch("select id from occurrence where job_id = $1 and state = 'pending'", job)
            for row in rows:
                answer = await control.claim(worker, row["id"])
                if answer.status == "granted":
                    overlaps.append(await control.db.pool.fetchval(live, job))
                    await asyncio.sleep(0.002)
                    await control.report(worker, finished(answer, "cancelled"))
            await asyncio.sleep(0)

    async def pull() -> None:
        for _ in range(15):
            await trigger(control, job)

    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(work()) for _ in range(3)]
        async with asyncio.TaskGroup() as pulling:
            for _ in range(4):
                pulling.create_task(pull())
        left = "select count(*) from occurrence where job_id = $1 and finished_at is null"

        async def all_done() -> bool:
            return bool(await control.db.pool.fetchval(left, job) == 0)

        await eventually(all_done, timeout=20)
        done.set()
        await asyncio.gather(*workers)
    assert overlaps
    assert max(overlaps) == 1
    assert set(await control.states(job)) == {"cancelled"}


# --- concurrency key --------------------------------------------------------------------------------------------------


async def test_each_value_of_the_key_has_slots_of_its_own(control: Control) -> None:
    job = await control.job(concurrency="skip", concurrency_key="customer.id")
    ada, bob = [(await trigger(control, job, customer={"id": name})).occurrence_id for name in ("ada", "bob")]
    again = (await trigger(control, job, customer={"id": "ada"})).occurrence_id
    assert await control.states(job) == ["pending", "pending", "skipped"]
    assert (await control.row(again))["blocker_id"] == ada
    assert (await control.row(bob))["concurrency_key"] == "bob"


async def test_payloads_without_the_key_share_one_slot(control: Control) -> None:
    job = await control.job(concurrency="skip", concurrency_key="customer.id")
    bodies: list[dict[str, Any]] = [{"a": 1}, {"customer": {}}, {"customer": {"id": None}}, {"customer": 7}]
    for body in bodies:
        await trigger(control, job, **body)
    await trigger(control, job, customer={"id": 7})
    assert await control.states(job) == ["pending", "skipped", "skipped", "skipped", "pending"]


async def test_numbers_lists_and_very_long_values_can_be_keys(control: Control) -> None:
    job = await control.job(concurrency="skip", concurrency_key="k")
    # Postgres could not put this into an index as it is, nor compress it until it fits.
    long = random.Random(1).randbytes(50_000).hex()
    values: list[Any] = [7, True, [1, 2], long + "a", long + "b"]
    for value in (*values, *values):
        await trigger(control, job, k=value)
    assert await control.states(job) == ["pending"] * 5 + ["skipped"] * 5


async def test_each_key_has_a_line_of_its_own_in_order(control: Control) -> None:
    worker = await control.worker()
    job = await control.job(concurrency="queue", concurrency_key="who", max_waiting=2)
    order = ["a", "a", "b", "a", "b", "a"]
    ids = [(await trigger(control, job, who=who)).occurrence_id for who in order]
    assert await control.states(job) == ["pending", "waiting", "pending", "waiting", "waiting", "skipped"]
    await control.report(worker, finished(await granted(control, worker, ids[2])))
    assert await control.states(job) == ["pending", "waiting", "succeeded", "waiting", "pending", "skipped"]
    await control.report(worker, finished(await granted(control, worker, ids[0])))
    assert await control.states(job) == ["succeeded", "pending", "succeeded", "waiting", "pending", "skipped"]


async def test_replace_only_replaces_its_own_key(control: Control) -> None:
    job = await control.job(concurrency="replace", concurrency_key="who")
    for who in ("a", "b", "a"):
        await trigger(control, job, who=who)
    assert await control.states(job) == ["cancelled", "pending", "pending"]


async def test_max_concurrent_holds_for_each_key(control: Control) -> None:
    job = await control.job(concurrency="queue", concurrency_key="who", max_concurrent=2)
    for who in "aaabbb":
        await trigger(control, job, who=who)
    assert await control.states(job) == ["pending", "pending", "waiting"] * 2


async def test_ticks_take_the_key_of_the_job_s_own_payload(control: Control) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    job = await control.job(trigger={**EVERY_TEN, "every": 3600}, next_fire_at=now, concurrency_key="who", payload={"who": "a"})
    await trigger(control, job, who="b")
    blocker = (await trigger(control, job, who="a")).occurrence_id
    await control.scheduler(await control.term()).run_once()
    (tick,) = control.created
    row = await control.row(tick.id)
    assert (row["state"], row["concurrency_key"], row["blocker_id"]) == ("skipped", "a", blocker)


async def test_a_requeue_with_another_payload_stands_in_another_line(control: Control) -> None:
    job = await control.job(concurrency="skip", concurrency_key="who")
    first = (await trigger(control, job, who="a")).occurrence_id
    await cancel_occurrence(control.db, first, reason="no", actor="test")
    await trigger(control, job, who="a")
    same = (await requeue_occurrence(control.db, first, actor="test")).occurrence_id
    other = (await requeue_occurrence(control.db, first, payload=b'{"who":"b"}', actor="test")).occurrence_id
    assert (await control.row(same))["state"] == "skipped"
    assert (await control.row(other))["state"] == "pending"


async def test_the_repair_of_slots_admits_in_the_key_s_own_queue(control: Control) -> None:
    job = await control.job(concurrency="queue", concurrency_key="who")
    ids = [(await trigger(control, job, who=who)).occurrence_id for who in "abab"]
    await granted(control, await control.worker(), ids[0])
    await control.db.pool.execute("update occurrence set state = 'succeeded', finished_at = now() where id = $1", ids[0])
    assert await Pruner(await control.term(), 30).repair() == 1
    assert await control.states(job) == ["succeeded", "pending", "pending", "waiting"]


async def test_slots_of_keys_are_never_overdrawn_when_everything_happens_at_once(control: Control) -> None:
    worker = await control.worker()
    job = await control.job(concurrency="queue", concurrency_key="who", max_waiting=1000)

    async def run_all() -> None:
        while True:
            rows = await control.db.pool.fetch("select id from occurrence where job_id = $1 and state = 'pending'", job)
            left = "select count(*) from occurrence where job_id = $1 and finished_at is null"
            if not rows and await control.db.pool.fetchval(left, job) == 0:
                return
            answers = [await control.claim(worker, row["id"]) for row in rows]
            running = """select max(n) from (select count(*) as n from occurrence
                where job_id = $1 and state = 'running' group by concurrency_key) c"""
            assert (await control.db.pool.fetchval(running, job) or 0) <= 1
            await control.report(worker, *(finished(a) for a in answers if a.status == "granted"))
            await asyncio.sleep(0)

    await asyncio.gather(*(trigger(control, job, who=n % 3) for n in range(30)))
    await asyncio.gather(run_all(), run_all(), *(trigger(control, job, who=n % 4) for n in range(20)))
    assert set(await control.states(job)) == {"succeeded"}
