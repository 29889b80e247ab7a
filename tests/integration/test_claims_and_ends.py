"""Claims, ends of attempts, loss, cancel: the rules in Postgres, each called by hand."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import asyncpg
import pytest

from leveret_core.errors import Conflict
from leveret_core.messages import (
    Alive,
    Answer,
    Ask,
    Bye,
    Claim,
    Event,
    Finished,
    Goodbye,
    Heartbeat,
    JobError,
    Log,
    Progress,
    Unknown,
)
from leveret_core.states import TRANSITIONS, State
from leveret_core.store.commands.occurrences import cancel_occurrence, requeue_occurrence, trigger_job
from leveret_core.store.database import Database
from leveret_core.store.jobs import changes as job_changes
from support.control import Control, finished


@pytest.fixture
async def control(database_url: str) -> AsyncGenerator[Control]:
    database = Database(database_url, pool_size=10)
    await database.start()
    made = Control(database)
    yield made
    violations = await made.violations()
    await database.stop()
    assert violations == []


async def triggered(control: Control, job: int, **more: str) -> int:
    return (await trigger_job(control.db, job, actor="test", **more)).occurrence_id  # type: ignore[arg-type]


# --- states -----------------------------------------------------------------------------------------------------------


async def test_the_table_of_transitions_in_sql_is_the_one_in_python(control: Control) -> None:
    rows = await control.db.pool.fetch("select from_state, to_state from occurrence_transition")
    in_sql = {(row["from_state"], row["to_state"]) for row in rows}
    assert in_sql == {(a.value, b.value) for a, following in TRANSITIONS.items() for b in following}


async def test_postgres_refuses_every_transition_that_is_not_in_the_table(control: Control) -> None:
    job = await control.job(concurrency="allow")
    for before, after in itertools.permutations(State, 2):
        occurrence = await triggered(control, job)
        await control.db.pool.execute("alter table occurrence disable trigger occurrence_state_guard")
        await control.db.pool.execute(
            "update occurrence set state = $2, finished_at = now(), worker_id = $3, claim_token = $3 where id = $1",
            occurrence,
            before.value,
            uuid.uuid4(),
        )
        await control.db.pool.execute("alter table occurrence enable trigger occurrence_state_guard")
        change = control.db.pool.execute("update occurrence set state = $2 where id = $1", occurrence, after.value)
        if after in TRANSITIONS[before]:
            await change
        else:
            with pytest.raises(asyncpg.CheckViolationError, match="cannot become"):
                await change
        await control.db.pool.execute("delete from occurrence where id = $1", occurrence)


# --- claims -----------------------------------------------------------------------------------------------------------


async def test_of_many_workers_that_ask_at_once_exactly_one_may_run(control: Control) -> None:
    workers = [await control.worker() for _ in range(8)]
    job = await control.job(concurrency="allow")
    for _ in range(25):
        occurrence = await triggered(control, job)
        asks = [control.desk.answer([Claim(worker=w, asks=[Ask(occurrence, 1)])]) for w in workers]
        replies = [reply for (reply,) in await asyncio.gather(*asks)]
        statuses = [a.status for r in replies for a in getattr(r, "answers", [])]
        assert statuses.count("granted") == 1
        (row,) = [await control.row(occurrence)]
        assert row["state"] == "running"


async def test_asking_again_gets_the_same_answer_as_a_reply_may_be_lost(control: Control) -> None:
    worker = await control.worker()
    occurrence = await triggered(control, await control.job(payload={"to": "ada"}))
    first = await control.claim(worker, occurrence)
    assert first.status == "granted"
    assert bytes(first.payload) == b'{"to": "ada"}'
    assert await control.claim(worker, occurrence) == first
    assert (await control.claim(await control.worker(), occurrence)).status == "stale"


async def test_a_dispatch_message_of_an_earlier_attempt_is_stale(control: Control) -> None:
    worker = await control.worker()
    occurrence = await triggered(control, await control.job())
    await control.report(worker, finished(await control.claim(worker, occurrence), "failed"))
    await control.retrier(await control.term()).run_once()
    assert (await control.claim(worker, occurrence, attempt=1)).status == "stale"
    assert (await control.claim(worker, occurrence, attempt=2)).status == "granted"


async def test_an_unknown_worker_gets_nothing(control: Control) -> None:
    occurrence = await triggered(control, await control.job())
    (reply,) = await control.desk.answer([Claim(worker=str(uuid.uuid4()), asks=[Ask(occurrence, 1)])])
    assert isinstance(reply, Unknown)
    assert (await control.row(occurrence))["state"] == "pending"


async def test_a_waiting_occurrence_cannot_be_claimed(control: Control) -> None:
    job = await control.job(concurrency="queue")
    await triggered(control, job)
    second = await triggered(control, job)
    answer = await control.claim(await control.worker(), second)
    assert answer.status == "not_yet"


# --- ends of attempts -------------------------------------------------------------------------------------------------


async def test_events_of_an_attempt_give_the_same_row_in_any_order_and_however_often(control: Control) -> None:
    outcomes: set[tuple[object, ...]] = set()
    for order in itertools.permutations(range(3)):
        worker = await control.worker()
        occurrence = await triggered(control, await control.job(f"job-{''.join(map(str, order))}"))
        answer = await control.claim(worker, occurrence)
        base = {"occurrence": occurrence, "attempt": 1, "token": answer.token}
        at = datetime.now(UTC)
        events: list[Event] = [
            Progress(**base, seq=2, fraction=0.5),  # type: ignore[arg-type]
            Log(**base, seq=1, at=at, level="info", message="hello"),  # type: ignore[arg-type]
            finished(answer, result=b"42"),
        ]
        for index in order:
            await control.report(worker, events[index])
            await control.report(worker, events[index])
        row = await control.row(occurrence)
        logs = await control.db.pool.fetchval("select count(*) from occurrence_log where occurrence_id = $1", occurrence)
        outcomes.add((row["state"], row["result"], row["seq"], logs))
    assert outcomes == {("succeeded", "42", 9, 1)}


async def test_a_word_with_a_wrong_token_changes_nothing(control: Control) -> None:
    worker = await control.worker()
    occurrence = await triggered(control, await control.job())
    answer = await control.claim(worker, occurrence)
    forged = Answer(occurrence=occurrence, attempt=1, status="granted", token=str(uuid.uuid4()))
    await control.report(worker, finished(forged), finished(forged, "failed"))
    assert (await control.row(occurrence))["state"] == "running"
    await control.report(worker, finished(answer))
    assert (await control.row(occurrence))["state"] == "succeeded"


async def test_a_late_word_of_a_lost_attempt_neither_counts_nor_hides_the_current_one(control: Control) -> None:
    worker = await control.worker()
    occurrence = await triggered(control, await control.job())
    first = await control.claim(worker, occurrence)
    await control.report(worker, finished(first, "failed"))
    await control.retrier(await control.term()).run_once()
    second = await control.claim(worker, occurrence, attempt=2)
    await control.report(worker, finished(second, result=b'"second"'), finished(first, result=b'"first"'))
    row = await control.row(occurrence)
    assert (row["state"], row["result"], row["attempt"]) == ("succeeded", '"second"', 2)


async def test_a_failure_is_retried_and_its_last_attempt_fails_the_occurrence(control: Control) -> None:
    worker = await control.worker()
    occurrence = await triggered(control, await control.job())
    error = JobError(type="ValueError", message="no \x00 such thing", traceback="Traceback…")
    await control.report(worker, finished(await control.claim(worker, occurrence), "failed", error=error))
    assert (await control.row(occurrence))["state"] == "retrying"
    await control.retrier(await control.term()).run_once()
    await control.report(worker, finished(await control.claim(worker, occurrence, 2), "failed", error=error))
    assert (await control.row(occurrence))["state"] == "failed"
    kept = await control.db.pool.fetch("select attempt, state from attempt where occurrence_id = $1", occurrence)
    assert [tuple(row.values()) for row in kept] == [(1, "failed")]


async def test_a_final_state_is_never_left(control: Control) -> None:
    worker = await control.worker()
    occurrence = await triggered(control, await control.job())
    answer = await control.claim(worker, occurrence)
    await control.report(worker, finished(answer, "failed", retry=False))
    await control.report(worker, finished(answer), finished(answer, "cancelled"), finished(answer, "released"))
    assert (await control.row(occurrence))["state"] == "failed"


async def test_a_poison_event_goes_into_quarantine_with_its_bytes_and_its_neighbours_commit(control: Control) -> None:
    worker = await control.worker()
    job = await control.job(concurrency="allow")
    answers = [await control.claim(worker, await triggered(control, job)) for _ in range(5)]
    too_large_a_number = b"1e400000"
    events: list[Finished] = [finished(a) for a in answers]
    events[2] = finished(answers[2], result=too_large_a_number)
    await control.report(worker, *events)
    assert [(await control.row(a.occurrence))["state"] for a in answers] == [
        "succeeded",
        "succeeded",
        "failed",
        "succeeded",
        "succeeded",
    ]
    assert await control.db.pool.fetchval("select count(*) from dead_event") == 1
    assert await control.ingest(b"not json", b'{"v":1}', b'{"v":99,"worker":"x","events":[]}') == 3
    assert await control.db.pool.fetchval("select count(*) from dead_event") == 4


async def test_results_that_postgres_would_refuse_are_stored_cleaned(control: Control) -> None:
    worker = await control.worker()
    occurrence = await triggered(control, await control.job())
    await control.report(worker, finished(await control.claim(worker, occurrence), result=b'{"k":"a\\u0000b"}'))
    assert (await control.row(occurrence))["result"] == '{"k": "a\ufffdb"}'


# --- workers come and go ----------------------------------------------------------------------------------------------


async def test_a_lost_worker_s_attempts_run_again_and_a_job_that_kills_its_workers_fails(control: Control) -> None:
    term = await control.term()
    occurrence = await triggered(control, await control.job())
    for attempt in (1, 2):
        worker = await control.worker()
        answer = await control.claim(worker, occurrence, attempt)
        assert answer.status == "granted"
        await control.db.pool.execute("update worker set lease_until = now() - interval '1 s'")
        assert await control.reaper(term).run_once() == 1
        await control.report(worker, finished(answer))
        assert (await control.row(occurrence))["state"] == ("retrying" if attempt == 1 else "failed")
        await control.retrier(term).run_once()
    row = await control.row(occurrence)
    assert row["lost_count"] == 2
    assert "worker died 2 times" in row["reason"]


async def test_nobody_is_reaped_before_workers_had_a_lease_of_time_to_be_heard(control: Control) -> None:
    term = await control.term()
    worker = await control.worker()
    await control.claim(worker, await triggered(control, await control.job()))
    await control.db.pool.execute("update worker set lease_until = now() - interval '1 s'")
    assert await control.reaper(term, lease=30).run_once() == 0
    (reply,) = await control.desk.answer([Heartbeat(worker=worker, running=1, holding=None)])
    assert isinstance(reply, Alive)


async def test_a_goodbye_hands_back_what_is_held_without_charging_the_attempt(control: Control) -> None:
    occurrence = await triggered(control, await control.job())
    for attempt in range(1, 5):
        worker = await control.worker()
        answer = await control.claim(worker, occurrence, attempt)
        assert answer.status == "granted"
        (reply,) = await control.desk.answer([Goodbye(worker=worker)])
        assert reply == Bye(released=1)
        assert (await control.row(occurrence))["state"] == "pending"
        (unknown,) = await control.desk.answer([Claim(worker=worker, asks=[Ask(occurrence, attempt + 1)])])
        assert isinstance(unknown, Unknown)


async def test_an_attempt_far_past_its_timeout_is_ended_by_the_server(control: Control) -> None:
    term = await control.term()
    worker = await control.worker()
    occurrence = await triggered(control, await control.job(timeout=0.001, retry={"max_attempts": 1}))
    await control.claim(worker, occurrence)
    await control.db.pool.execute("update occurrence set started_at = now() - interval '1 second' where id = $1", occurrence)
    (reply,) = await control.desk.answer([Heartbeat(worker=worker, running=1, holding=None)])
    assert isinstance(reply, Alive)
    assert await control.reaper(term).run_once() == 1
    row = await control.row(occurrence)
    assert (row["state"], row["lost_count"]) == ("timed_out", 0)


async def test_what_a_worker_ran_that_was_silent_since_before_its_timeout_is_lost_not_late(control: Control) -> None:
    term = await control.term()
    occurrence = await triggered(control, await control.job(timeout=6, retry={"max_attempts": 1, "delay": 0, "max_lost": 3}))
    await control.claim(await control.worker(), occurrence)
    # It was killed in its third second; its last heartbeat came in the second before.
    await control.db.pool.execute("update occurrence set started_at = now() - interval '29 seconds'")
    await control.db.pool.execute(
        "update worker set heartbeat_at = now() - interval '28 seconds', lease_until = now() + interval '2 seconds'"
    )
    reaper = control.reaper(term)
    assert await reaper.run_once() == 0
    assert (await control.row(occurrence))["state"] == "running"
    await control.db.pool.execute("update worker set lease_until = now() - interval '1 second'")
    assert await reaper.run_once() == 1
    row = await control.row(occurrence)
    assert (row["state"], row["lost_count"]) == ("retrying", 1)
    await control.retrier(term).run_once()
    # An attempt that was lost is not charged: it runs again although the job allows one attempt.
    answer = await control.claim(worker := await control.worker(), occurrence, attempt=2)
    await control.report(worker, finished(answer))
    assert (await control.row(occurrence))["state"] == "succeeded"


# --- cancel, requeue, trigger -----------------------------------------------------------------------------------------


async def test_what_does_not_run_is_cancelled_at_once_and_never_runs(control: Control) -> None:
    occurrence = await triggered(control, await control.job())
    made = await cancel_occurrence(control.db, occurrence, reason="not today", actor="test")
    assert (made.state, made.tell) == (State.CANCELLED, None)
    assert (await control.claim(await control.worker(), occurrence)).status == "stale"
    with pytest.raises(Conflict, match="too late"):
        await cancel_occurrence(control.db, occurrence, reason="again", actor="test")


async def test_what_runs_is_cancelled_when_its_worker_says_so(control: Control) -> None:
    worker = await control.worker()
    occurrence = await triggered(control, await control.job())
    answer = await control.claim(worker, occurrence)
    made = await cancel_occurrence(control.db, occurrence, reason="stop", actor="test")
    assert made.state is State.CANCELLING
    assert made.tell is not None
    assert made.tell.worker == worker
    (alive,) = await control.desk.answer([Heartbeat(worker=worker, running=1, holding=None)])
    assert isinstance(alive, Alive)
    assert alive.cancel == [Ask(occurrence, 1)]
    await control.report(worker, finished(answer, "cancelled"))
    assert (await control.row(occurrence))["state"] == "cancelled"


async def test_a_cancel_that_races_the_end_of_the_attempt_wins_or_is_too_late_but_never_both(control: Control) -> None:
    worker = await control.worker()
    job = await control.job(concurrency="allow")
    seen: set[str] = set()
    for _ in range(40):
        answer = await control.claim(worker, await triggered(control, job))
        cancel, report = await asyncio.gather(
            cancel_occurrence(control.db, answer.occurrence, reason="race", actor="test"),
            control.report(worker, finished(answer)),
            return_exceptions=True,
        )
        assert report is None
        assert isinstance(cancel, Conflict) or getattr(cancel, "state", None) is State.CANCELLING
        seen.add((await control.row(answer.occurrence))["state"])
    assert seen == {"succeeded"}


async def test_requeue_makes_a_new_occurrence_that_names_the_old_one(control: Control) -> None:
    occurrence = await triggered(control, await control.job(payload={"n": 1}))
    with pytest.raises(Conflict, match="only one that has ended"):
        await requeue_occurrence(control.db, occurrence, actor="test")
    await cancel_occurrence(control.db, occurrence, reason="no", actor="test")
    again = await requeue_occurrence(control.db, occurrence, payload=b'{"n":2}', actor="test")
    row = await control.row(again.occurrence_id)
    assert (row["requeue_of"], row["payload"], row["state"]) == (occurrence, '{"n": 2}', "pending")
    assert (await control.row(occurrence))["state"] == "cancelled"


async def test_one_idempotency_key_from_many_clients_makes_one_occurrence(control: Control) -> None:
    job = await control.job(concurrency="allow")
    calls = [trigger_job(control.db, job, idempotency_key="once", actor="test") for _ in range(20)]
    made = await asyncio.gather(*calls)
    assert len({m.occurrence_id for m in made}) == 1
    assert [m.created for m in made].count(True) == 1


async def test_skip_leaves_a_row_that_names_its_blocker(control: Control) -> None:
    job = await control.job(concurrency="skip")
    first = await triggered(control, job)
    row = await control.row(await triggered(control, job))
    assert (row["state"], row["blocker_id"]) == ("skipped", first)


@pytest.mark.parametrize(("outcome", "state"), [("failed", "failed"), ("released", "cancelled"), ("succeeded", "succeeded")])
async def test_what_runs_of_a_deleted_job_may_finish_and_does_not_begin_again(
    control: Control, outcome: str, state: str
) -> None:
    job = await control.job(retry={"max_attempts": 5, "delay": 0})
    worker = await control.worker()
    made = await trigger_job(control.db, job, actor="test")
    answer = await control.claim(worker, made.occurrence_id)
    await job_changes.delete_job(control.db, job, actor="test")
    await control.report(worker, finished(answer, outcome))
    row = await control.row(made.occurrence_id)
    assert row["state"] == state
    assert row["reason"] == (None if outcome == "succeeded" else "its job was deleted, so it is not tried again")


async def test_queue_runs_one_after_another_in_order_also_across_retries(control: Control) -> None:
    worker = await control.worker()
    job = await control.job(concurrency="queue")
    term = await control.term()
    ids = [await triggered(control, job) for _ in range(3)]
    assert await control.states(job) == ["pending", "waiting", "waiting"]
    await control.report(worker, finished(await control.claim(worker, ids[0]), "failed"))
    assert await control.states(job) == ["retrying", "waiting", "waiting"]
    await control.retrier(term).run_once()
    await control.report(worker, finished(await control.claim(worker, ids[0], 2)))
    assert await control.states(job) == ["succeeded", "pending", "waiting"]
    await cancel_occurrence(control.db, ids[1], reason="next", actor="test")
    assert await control.states(job) == ["succeeded", "cancelled", "pending"]


async def test_slots_are_never_overdrawn_when_everything_happens_at_once(control: Control) -> None:
    worker = await control.worker()
    job = await control.job(concurrency="queue", max_concurrent=2, max_waiting=1000)

    async def run_all() -> None:
        while True:
            rows = await control.db.pool.fetch(
                "select id, attempt from occurrence where job_id = $1 and state = 'pending'", job
            )
            if not rows:
                left = "select count(*) from occurrence where job_id = $1 and finished_at is null"
                if await control.db.pool.fetchval(left, job) == 0:
                    return
                await asyncio.sleep(0.01)
                continue
            for row in rows:
                answer = await control.claim(worker, row["id"], row["attempt"] + 1)
                if answer.status == "granted":
                    running = "select count(*) from occurrence where job_id = $1 and state = 'running'"
                    assert await control.db.pool.fetchval(running, job) <= 2
                    await control.report(worker, finished(answer))

    await asyncio.gather(*(triggered(control, job) for _ in range(40)))
    await asyncio.gather(run_all(), run_all(), *(triggered(control, job) for _ in range(20)))
    assert set(await control.states(job)) == {"succeeded"}


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
async def test_an_end_lies_not_in_the_future_however_long_its_worker_says_it_took(control: Control, outcome: str) -> None:
    occurrence = await triggered(control, await control.job(retry={"max_attempts": 1, "delay": 0, "max_lost": 1}))
    worker = await control.worker()
    answer = await control.claim(worker, occurrence)
    error = JobError(type="E", message="") if outcome == "failed" else None
    await control.report(worker, finished(answer, outcome, duration=3600.0, error=error))
    row = await control.row(occurrence)
    assert row["state"] == outcome
    assert row["started_at"] <= row["finished_at"] <= await control.db.pool.fetchval("select now()")
