"""Runs planned for later: they begin when they are due, once each, under the policy that their jobs have then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from leveret_core.errors import Conflict, InvalidInput, TermOver
from leveret_core.states import State
from leveret_core.store.commands.occurrences import cancel_occurrence, requeue_occurrence, trigger_job
from leveret_core.store.database import Database
from leveret_core.store.jobs.changes import delete_job, edit_job, pause_job
from leveret_core.store.occurrences.creation import Triggered
from leveret_core.store.planned.runs import Wanted, schedule_runs
from leveret_dispatcher.schedule.admitter import Admitter
from support.control import LONG_AGO, Control, finished
from support.eventually import eventually

TOMORROW = timedelta(days=1)


@pytest.fixture
async def control(database_url: str) -> AsyncGenerator[Control]:
    database = Database(database_url, pool_size=10)
    await database.start()
    made = Control(database)
    yield made
    violations = await made.violations()
    await database.stop()
    assert violations == []


async def plan(control: Control, *jobs: int | str, **fields: Any) -> list[int]:
    """One run of each of the jobs."""
    found = await schedule_runs(control.db, [Wanted(job=job, **fields) for job in jobs], actor="test")
    return [each.occurrence_id for each in found]


async def comes_due(control: Control, *ids: int) -> None:
    """Their time has come: the clock that tells it is the database's."""
    await control.db.pool.execute(
        "update occurrence set scheduled_for = now() - interval '1 second' + id * interval '1 microsecond' where id = any($1)",
        ids,
    )


async def admit(admitter: Admitter) -> float | None:
    """Run until there is nothing to do now; returns the seconds until the next look."""
    while (pause := await admitter.run_once()) is not None and pause <= 0:
        pass
    return pause


async def test_a_run_is_scheduled_until_it_is_due_and_then_begins(control: Control) -> None:
    job = await control.job(payload={"a": 1}, priority=3)
    (later,) = await plan(control, job, delay=3600, payload='{"b": 2}', priority=8)
    row = await control.row(later)
    assert (row["state"], row["payload"], row["priority"], row["origin"]) == ("scheduled", '{"b": 2}', 8, "manual")
    assert abs(row["scheduled_for"] - datetime.now(UTC) - timedelta(hours=1)) < timedelta(seconds=10)

    admitter = control.admitter(await control.term())
    pause = await admit(admitter)
    assert pause is not None
    assert 3590 < pause <= 3600, "it sleeps until the run is due"
    assert await control.states(job) == ["scheduled"]
    assert await control.db.pool.fetchval("select count(*) from slot") == 0, "it takes no place before it is due"

    await comes_due(control, later)
    assert await admit(admitter) is None
    assert await control.states(job) == ["pending"]
    assert [(d.occurrence, d.attempt, d.type) for d in control.exchange.published] == [(later, 1, "test.job")]
    worker = await control.worker()
    answer = await control.claim(worker, later)
    await control.report(worker, finished(answer))
    assert await control.states(job) == ["succeeded"]


async def test_runs_begin_in_the_order_of_their_times_in_bounded_batches(control: Control) -> None:
    job = await control.job(concurrency="allow")
    ids = await plan(control, *[job] * 25)
    admitter = control.admitter(await control.term(), batch=10)
    for expected in (10, 20, 25):
        assert await admitter.run_once() == 0.0
        assert [d.occurrence for d in control.exchange.published] == ids[:expected]
    assert await admitter.run_once() is None


async def test_without_room_at_the_broker_they_wait_for_the_publisher(control: Control) -> None:
    job = await control.job(concurrency="allow")
    ids = await plan(control, *[job] * 5)
    term = await control.term()
    await admit(control.admitter(term, room=2))
    assert [d.occurrence for d in control.exchange.published] == ids[:2]
    await control.publisher(term).run_once()
    assert [d.occurrence for d in control.exchange.published] == ids


@pytest.mark.parametrize(
    ("concurrency", "states"),
    [
        ("skip", ["pending", "skipped", "skipped"]),
        ("queue", ["pending", "waiting", "waiting"]),
        ("allow", ["pending", "pending", "pending"]),
        ("replace", ["skipped", "skipped", "pending"]),
    ],
)
async def test_the_policy_holds_among_runs_that_are_due_together(control: Control, concurrency: str, states: list[str]) -> None:
    job = await control.job(concurrency=concurrency)
    ids = await plan(control, job, job, job)
    await admit(control.admitter(await control.term()))
    assert await control.states(job) == states
    rows = [await control.row(id_) for id_ in ids]
    holder = ids[states.index("pending")]
    if concurrency != "allow":
        assert {row["blocker_id"] for row in rows if row["state"] != "pending"} == {holder}
    assert all((row["finished_at"] is not None) == (row["state"] == "skipped") for row in rows)
    assert await control.db.pool.fetchval("select count(*) from slot") == (concurrency != "allow")


async def test_a_due_run_is_skipped_for_what_holds_the_slot_and_under_replace_takes_it(control: Control) -> None:
    skip, replace = await control.job("skip"), await control.job("replace", concurrency="replace")
    worker = await control.worker()
    held = [(await trigger_job(control.db, job, actor="test")).occurrence_id for job in (skip, replace)]
    for occurrence in held:
        await control.claim(worker, occurrence)
    await plan(control, skip, replace)
    await admit(control.admitter(await control.term()))
    assert await control.states(skip) == ["running", "skipped"]
    assert await control.states(replace) == ["cancelling", "waiting"]
    words = [old.tell for made in control.created for old in made.replaced]
    assert [word.occurrence for word in words if word is not None] == [held[1]]


async def test_each_value_of_the_concurrency_key_has_a_place_of_its_own(control: Control) -> None:
    job = await control.job(concurrency="queue", concurrency_key="customer")
    payloads = [f'{{"customer": "{name}"}}' for name in "abaab"]
    await schedule_runs(control.db, [Wanted(job=job, payload=each) for each in payloads], actor="test")
    await admit(control.admitter(await control.term()))
    assert await control.states(job) == ["pending", "pending", "waiting", "waiting", "waiting"]
    slots = await control.db.pool.fetch("select key, count(*) from slot group by key order by key")
    assert [tuple(row) for row in slots] == [("a", 1), ("b", 1)]


async def test_the_key_and_policy_are_those_of_the_job_when_it_is_due(control: Control) -> None:
    job = await control.job(concurrency="skip", payload={"shop": "x", "customer": "y"})
    ids = await plan(control, job, job)
    changes = {"concurrency": "queue", "concurrency_key": "customer", "payload": {}, "priority": 1}
    await edit_job(control.db, job, changes, actor="test", version=None, payload_limit=1000)
    await admit(control.admitter(await control.term()))
    assert await control.states(job) == ["pending", "waiting"]
    row = await control.row(ids[0])
    assert (row["concurrency_key"], row["payload"], row["job_version"]) == ("y", '{"shop": "x", "customer": "y"}', 1)


async def test_a_paused_job_runs_what_was_planned_as_it_runs_what_is_triggered(control: Control) -> None:
    job = await control.job()
    await plan(control, job)
    await pause_job(control.db, job, reason=None, actor="test")
    await admit(control.admitter(await control.term()))
    assert await control.states(job) == ["pending"]


async def test_what_is_scheduled_is_cancelled_at_once_and_cannot_be_requeued(control: Control) -> None:
    job = await control.job()
    (later,) = await plan(control, job, delay=60)
    with pytest.raises(Conflict, match="is scheduled; only one that has ended"):
        await requeue_occurrence(control.db, later, actor="test")
    cancelled = await cancel_occurrence(control.db, later, reason="not today", actor="test")
    assert (cancelled.state, cancelled.tell) == (State.CANCELLED, None)
    row = await control.row(later)
    assert (row["reason"], row["finished_at"] is not None) == ("not today", True)
    await comes_due(control, later)
    assert await admit(control.admitter(await control.term())) is None
    assert await control.states(job) == ["cancelled"]


async def test_a_deleted_job_takes_what_was_planned_along(control: Control) -> None:
    job = await control.job()
    (later,) = await plan(control, job, delay=60)
    async with control.db.transaction() as connection:
        # A transaction that is still open does not see that the job is deleted, nor is it seen.
        open_ = await connection.fetchval("select leveret_trigger('job')")
        await delete_job(control.db, job, actor="test")
        assert (await control.row(later))["reason"] == "job deleted"
    await admit(control.admitter(await control.term()))
    row = await control.row(open_)
    assert (row["state"], row["reason"], row["finished_at"] is not None) == ("cancelled", "job deleted", True)
    assert control.exchange.published == []


async def test_a_stale_term_admits_nothing(control: Control) -> None:
    job = await control.job()
    await plan(control, job)
    old = await control.term()
    await control.term()
    with pytest.raises(TermOver, match="epoch 1 is over"):
        await control.admitter(old).run_once()
    assert await control.states(job) == ["scheduled"]


async def test_admitters_of_one_term_admit_each_run_once(control: Control) -> None:
    job, other = await control.job(concurrency="allow"), await control.job("other", concurrency="queue", max_concurrent=10)
    await plan(control, *[job, other] * 100)
    term = await control.term()
    await asyncio.gather(*(admit(control.admitter(term, batch=20)) for _ in range(4)))
    await admit(control.admitter(term))
    assert await control.states(job) == ["pending"] * 100
    assert await control.states(other) == ["pending"] * 10 + ["waiting"] * 90
    published = [d.occurrence for d in control.exchange.published]
    assert len(published) == len(set(published)) == 110


async def test_a_job_that_another_transaction_holds_keeps_no_other_waiting(control: Control) -> None:
    held, free = await control.job("held"), await control.job("free")
    await plan(control, held, free)
    admitter = control.admitter(await control.term())
    async with control.db.transaction() as connection:
        await connection.execute("select from job where id = $1 for no key update", held)
        assert await admitter.run_once() == 0.0
        assert (await control.states(held), await control.states(free)) == (["scheduled"], ["pending"])
        pauses = [await admitter.run_once() or 0.0 for _ in range(3)]
        assert pauses == sorted(pauses)
        assert pauses[0] > 0, "it does not spin"
    await admit(admitter)
    assert await control.states(held) == ["pending"]


async def test_a_tick_is_never_swallowed_by_a_run_planned_for_the_same_instant(control: Control) -> None:
    tick = datetime.now(UTC).replace(microsecond=0)
    hourly = {"kind": "interval", "every": 3600, "start_at": LONG_AGO.isoformat()}
    job = await control.job(concurrency="allow", trigger=hourly, next_fire_at=tick + timedelta(hours=1))
    await plan(control, *[job] * 3, at=tick + timedelta(hours=1))
    async with control.db.transaction() as connection:
        await connection.fetchval("select leveret_trigger('job', at => $1)", tick + timedelta(hours=1))
    planned = await control.db.pool.fetch("select scheduled_for from occurrence order by id")
    away = [(row["scheduled_for"] - tick - timedelta(hours=1)) / timedelta(microseconds=1) for row in planned]
    assert away[:3] == [1, 2, 3]
    assert 3 < away[3] < 1000
    await control.db.pool.execute("update job set next_fire_at = $1", tick)
    await control.scheduler(await control.term()).run_once()
    assert [made.scheduled_for for made in control.created] == [tick]


async def test_many_at_one_instant_all_find_a_place_also_from_many_transactions_at_once(control: Control) -> None:
    job = await control.job(concurrency="allow")
    at = datetime.now(UTC) + TOMORROW

    async def thirty() -> None:
        await plan(control, *[job] * 30, at=at)

    async def one_by_one() -> None:
        async with control.db.transaction() as connection:
            for _ in range(30):
                await connection.fetchval("select leveret_trigger('job', at => $1)", at)

    await asyncio.gather(*(thirty() for _ in range(4)), *(one_by_one() for _ in range(4)))
    times = [row[0] for row in await control.db.pool.fetch("select scheduled_for from occurrence")]
    assert len(set(times)) == 240
    assert timedelta(0) <= min(times) - at <= max(times) - at < timedelta(milliseconds=100)


async def test_a_key_finds_the_same_run_whoever_used_it_first(control: Control) -> None:
    job = await control.job(concurrency="allow")
    first, second = await plan(control, job, job, idempotency_key="k", delay=60)
    assert first == second
    assert await plan(control, job, idempotency_key="k") == [first]
    assert await trigger_job(control.db, job, idempotency_key="k", actor="test") == Triggered(first, created=False)
    now = await trigger_job(control.db, job, idempotency_key="n", actor="test")
    assert await plan(control, job, idempotency_key="n", delay=60) == [now.occurrence_id]
    audit = await control.db.pool.fetch("select occurrence_id from audit where action = 'trigger' order by occurrence_id")
    assert [row[0] for row in audit] == sorted({first, now.occurrence_id})


async def test_a_key_that_an_open_transaction_uses_is_waited_for(control: Control) -> None:
    job = await control.job(concurrency="allow")
    async with control.db.transaction() as connection:
        first = await connection.fetchval("select leveret_trigger('job', idempotency_key => 'k')")
        triggering = asyncio.create_task(trigger_job(control.db, job, idempotency_key="k", actor="test"))
        planning = asyncio.create_task(plan(control, job, idempotency_key="k"))
        waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"

        async def both_wait() -> None:
            assert await control.db.pool.fetchval(waiting) == 2

        await eventually(both_wait, timeout=5, interval=0.02)
    assert await triggering == Triggered(first, created=False)
    assert await planning == [first]


async def test_one_unknown_job_and_nothing_is_planned(control: Control) -> None:
    job = await control.job()
    with pytest.raises(InvalidInput) as wrong:
        await plan(control, job, "nobody", job, 4711)
    assert [(p.field, p.message) for p in wrong.value.problems] == [
        ("items.1.job", "there is no job named nobody"),
        ("items.3.job", "there is no job 4711"),
    ]
    assert await control.states(job) == []


async def test_what_is_scheduled_is_not_the_last_occurrence_of_its_job(control: Control) -> None:
    job = await control.job(concurrency="allow")
    now = await trigger_job(control.db, job, actor="test")
    await plan(control, job, delay=60)
    row = await control.db.fetchrow("reads/job", job)
    assert row is not None
    assert row["last_id"] == now.occurrence_id


async def test_the_table_refuses_a_way_back(control: Control) -> None:
    job = await control.job()
    (later,) = await plan(control, job)
    for state in ("running", "succeeded", "failed", "missed", "retrying"):
        with pytest.raises(asyncpg.CheckViolationError, match="scheduled cannot become"):
            await control.db.pool.execute("update occurrence set state = $2 where id = $1", later, state)
    await admit(control.admitter(await control.term()))
    with pytest.raises(asyncpg.CheckViolationError, match="cannot become scheduled"):
        await control.db.pool.execute("update occurrence set state = 'scheduled' where id = $1", later)


async def test_due_runs_are_found_through_their_index(control: Control) -> None:
    job = await control.job(concurrency="allow")
    await control.db.pool.execute(
        """insert into occurrence (job_id, job_name, job_version, type, payload, origin, scheduled_for, state, retry)
        select $1, 'job', 1, 'test.job', '{}', 'manual', now() + n * interval '1 s', 'scheduled', '{}'
        from generate_series(1, 20000) n""",
        job,
    )
    await control.db.pool.execute("analyze occurrence")
    for statement in (
        "select min(scheduled_for) from occurrence where state = 'scheduled'",
        "select id from occurrence where state = 'scheduled' and scheduled_for <= now() order by scheduled_for, id limit 500",
    ):
        text = "\n".join(row[0] for row in await control.db.pool.fetch(f"explain {statement}"))
        assert "occurrence_scheduled" in text
        assert "Sort" not in text


@pytest.mark.parametrize("requeued", [False, True])
async def test_a_single_trigger_stands_behind_a_batch_that_was_made_while_nobody_dispatched(
    control: Control, requeued: bool
) -> None:
    job = await control.job(concurrency="queue")
    worker = await control.worker()
    old = (await trigger_job(control.db, job, actor="test")).occurrence_id
    await control.report(worker, finished(await control.claim(worker, old)))
    batch = [run.occurrence_id for run in await schedule_runs(control.db, [Wanted(job=job) for _ in range(3)], actor="test")]
    if requeued:
        single = (await requeue_occurrence(control.db, old, actor="test")).occurrence_id
    else:
        single = (await trigger_job(control.db, job, actor="test")).occurrence_id
    ran: list[int] = []
    while pending := await control.db.pool.fetch("select id from occurrence where state = 'pending'"):
        (row,) = pending
        await control.report(worker, finished(await control.claim(worker, row["id"])))
        ran.append(row["id"])
    assert ran == [*batch, single]
