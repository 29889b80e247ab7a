"""Skip, snooze, checkpoints and the last success, in Postgres."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from leveret_core.messages import Answer, Ask, Checkpoint, Claim, Claimed, JobError, Progress
from leveret_core.store.commands.occurrences import cancel_occurrence, requeue_occurrence, trigger_job
from leveret_core.store.database import Database
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


async def begun(control: Control, worker: str, job: int) -> Answer:
    """A granted first attempt of a new occurrence."""
    occurrence = (await trigger_job(control.db, job, actor="test")).occurrence_id
    return await control.claim(worker, occurrence)


async def again(control: Control, worker: str, answer: Answer) -> Answer:
    """The next attempt, whose time has come."""
    await control.db.pool.execute("update occurrence set retry_at = now() where id = $1", answer.occurrence)
    await control.retrier(await control.term()).run_once()
    return await control.claim(worker, answer.occurrence, answer.attempt + 1)


def checkpoint(answer: Answer, seq: int, data: Any, **other: Any) -> Checkpoint:
    fields: dict[str, Any] = {"occurrence": answer.occurrence, "attempt": answer.attempt, "token": answer.token} | other
    return Checkpoint(seq=seq, data=msgspec.Raw(json.dumps(data).encode()), **fields)


# Skip


async def test_a_skipped_attempt_ends_the_occurrence_with_its_reason_and_frees_its_slot(control: Control) -> None:
    worker, job = await control.worker(), await control.job(concurrency="queue")
    first = await begun(control, worker, job)
    second = (await trigger_job(control.db, job, actor="test")).occurrence_id
    error = JobError(type="Skip", message="nothing new")
    await control.report(worker, finished(first, "skipped", error=error))
    row = await control.row(first.occurrence)
    assert (row["state"], row["reason"], row["error"]) == ("skipped", "nothing new", None)
    assert row["finished_at"] >= row["started_at"]
    assert (await control.row(second))["state"] == "pending"
    await control.report(worker, finished(first, "succeeded"))  # too late
    assert (await control.row(first.occurrence))["state"] == "skipped"


async def test_a_skip_is_neither_a_failure_nor_a_success(control: Control) -> None:
    worker, job = await control.worker(), await control.job(failures=2, disable_after=3)
    await control.report(worker, finished(await begun(control, worker, job), "skipped"))
    failures = await control.db.pool.fetchval("select failures from job where id = $1", job)
    assert failures == 2


async def test_a_cancel_that_came_first_wins_over_a_skip(control: Control) -> None:
    worker, job = await control.worker(), await control.job()
    answer = await begun(control, worker, job)
    await cancel_occurrence(control.db, answer.occurrence, reason="stop", actor="test")
    await control.report(worker, finished(answer, "skipped"))
    assert (await control.row(answer.occurrence))["state"] == "cancelled"


# Snooze


async def test_a_snooze_waits_keeps_its_slot_and_charges_nothing(control: Control) -> None:
    worker = await control.worker()
    job = await control.job(concurrency="skip", retry={"max_attempts": 2, "delay": 0})
    answer = await begun(control, worker, job)
    why = JobError(type="Snooze", message="the file is not there")
    await control.report(worker, finished(answer, "snoozed", retry_after=300.0, error=why))
    row = await control.row(answer.occurrence)
    assert (row["state"], row["snoozed_count"]) == ("retrying", 1)
    assert timedelta(seconds=290) < row["retry_at"] - row["started_at"] < timedelta(seconds=310)
    other = await control.row((await trigger_job(control.db, job, actor="test")).occurrence_id)
    assert (other["state"], other["blocker_id"]) == ("skipped", answer.occurrence)
    kept = await control.db.pool.fetchrow("select state, error from attempt where occurrence_id = $1", answer.occurrence)
    assert kept is not None
    assert (kept["state"], json.loads(kept["error"])["message"]) == ("snoozed", "the file is not there")
    # Both attempts that the policy allows are still there.
    second = await again(control, worker, answer)
    await control.report(worker, finished(second, "failed"))
    assert (await control.row(answer.occurrence))["state"] == "retrying"
    await control.report(worker, finished(await again(control, worker, second), "failed"))
    assert (await control.row(answer.occurrence))["state"] == "failed"


async def test_one_snooze_too_many_fails_the_occurrence_and_says_why(control: Control) -> None:
    worker, job = await control.worker(), await control.job(retry={"max_attempts": 5}, disable_after=1)
    answer = await begun(control, worker, job)
    for _ in range(3):
        await control.report(worker, finished(answer, "snoozed", retry_after=0.0, max_snoozes=3))
        answer = await again(control, worker, answer)
    await control.report(worker, finished(answer, "snoozed", retry_after=0.0, max_snoozes=3))
    row = await control.row(answer.occurrence)
    assert (row["state"], row["reason"]) == ("failed", "snoozed 3 times, as often as its handler allows")
    assert await control.db.pool.fetchval("select paused_at is not null from job where id = $1", job)


async def test_a_snooze_for_longer_than_a_month_is_cut(control: Control) -> None:
    worker, job = await control.worker(), await control.job()
    answer = await begun(control, worker, job)
    await control.report(worker, finished(answer, "snoozed", retry_after=1e300))
    row = await control.row(answer.occurrence)
    assert row["retry_at"] - row["started_at"] < timedelta(days=31)


# Checkpoints


async def test_the_latest_checkpoint_reaches_the_next_attempt(control: Control) -> None:
    worker, job = await control.worker(), await control.job()
    first = await begun(control, worker, job)
    assert first.checkpoint is msgspec.UNSET
    await control.report(worker, checkpoint(first, 1, {"row": 1}), checkpoint(first, 2, {"row": 2}))
    await control.report(worker, checkpoint(first, 1, {"row": 1}))  # once more, and late
    await control.report(worker, finished(first, "failed"))
    second = await again(control, worker, first)
    assert json.loads(bytes(second.checkpoint or b"")) == {"row": 2}
    # The second begins to count anew, and its word counts.
    await control.report(worker, checkpoint(first, 9, {"row": "of a former attempt"}), checkpoint(second, 1, {"row": 3}))
    await control.report(worker, checkpoint(second, 2, {"row": 4}, token=str(uuid.uuid4())))
    assert json.loads((await control.row(first.occurrence))["checkpoint"]) == {"row": 3}


async def test_a_checkpoint_survives_the_death_of_the_worker_and_a_hand_back(control: Control) -> None:
    worker, job = await control.worker(), await control.job()
    first = await begun(control, worker, job)
    await control.report(worker, checkpoint(first, 1, {"row": 1}))
    await control.db.pool.execute("update worker set lease_until = now() - interval '1 s'")
    await control.reaper(await control.term()).run_once()
    other = await control.worker()
    second = await again(control, other, first)
    await control.report(other, finished(second, "released"))
    third = await control.claim(other, first.occurrence, 3)
    assert [json.loads(bytes(answer.checkpoint or b"null")) for answer in (second, third)] == [{"row": 1}, {"row": 1}]
    # An answer that is asked for again is the same.
    assert await control.claim(other, first.occurrence, 3) == third


async def test_a_checkpoint_of_a_lost_worker_is_ignored(control: Control) -> None:
    worker, job = await control.worker(), await control.job()
    first = await begun(control, worker, job)
    await control.db.pool.execute("update worker set lease_until = now() - interval '1 s'")
    await control.reaper(await control.term()).run_once()
    await control.report(worker, checkpoint(first, 1, {"row": 1}))
    assert (await control.row(first.occurrence))["checkpoint"] is None


async def test_progress_and_checkpoints_of_one_batch_both_count(control: Control) -> None:
    worker, job = await control.worker(), await control.job()
    answer = await begun(control, worker, job)
    progress = Progress(occurrence=answer.occurrence, attempt=1, token=answer.token, seq=2, fraction=0.5)
    await control.report(worker, checkpoint(answer, 1, {"text": "a\x00b"}), progress, finished(answer, "failed"))
    row = await control.row(answer.occurrence)
    assert json.loads(row["checkpoint"]) == {"text": "a\ufffdb"}
    assert json.loads(row["progress"])["fraction"] == 0.5


async def test_a_checkpoint_that_is_too_large_goes_into_quarantine_and_its_neighbours_commit(control: Control) -> None:
    worker, job = await control.worker(), await control.job()
    answer = await begun(control, worker, job)
    await control.report(worker, checkpoint(answer, 1, "x" * 70_000), finished(answer))
    row = await control.row(answer.occurrence)
    assert (row["state"], row["checkpoint"]) == ("succeeded", None)
    assert "at most 65536" in await control.db.pool.fetchval("select reason from dead_event")


async def test_a_requeued_occurrence_begins_from_the_beginning(control: Control) -> None:
    worker, job = await control.worker(), await control.job(retry={"max_attempts": 1})
    answer = await begun(control, worker, job)
    await control.report(worker, checkpoint(answer, 1, {"row": 1}), finished(answer, "failed"))
    made = await requeue_occurrence(control.db, answer.occurrence, actor="test")
    assert (await control.claim(worker, made.occurrence_id)).checkpoint is msgspec.UNSET


# The last success


async def claim_with_history(control: Control, worker: str, occurrence: int) -> Answer:
    claim = Claim(worker=worker, asks=[Ask(occurrence, 1)], last_success=[occurrence])
    (reply,) = await control.desk.answer([claim])
    assert isinstance(reply, Claimed)
    return reply.answers[0]


async def test_the_last_success_is_what_the_latest_one_before_was_scheduled_for(control: Control) -> None:
    worker, job, other = await control.worker(), await control.job(), await control.job("other")
    await control.report(worker, finished(await begun(control, worker, other)))
    first = (await trigger_job(control.db, job, actor="test")).occurrence_id
    answer = await claim_with_history(control, worker, first)
    assert answer.last_success_at is None
    await control.report(worker, finished(answer))
    for outcome in ("cancelled", "skipped"):
        await control.report(worker, finished(await begun(control, worker, job), outcome))
    second = (await trigger_job(control.db, job, actor="test")).occurrence_id
    assert (await claim_with_history(control, worker, second)).last_success_at == answer.scheduled_for
    # One that is planned for a time before the success looks at what was before itself.
    await control.db.pool.execute(
        "update occurrence set scheduled_for = $2 where id = $1",
        second,
        answer.scheduled_for and answer.scheduled_for - timedelta(1),
    )
    assert (await claim_with_history(control, worker, second)).last_success_at is None


async def test_a_claim_that_does_not_ask_is_told_nothing_about_the_past(control: Control) -> None:
    worker, job = await control.worker(), await control.job()
    await control.report(worker, finished(await begun(control, worker, job)))
    assert (await begun(control, worker, job)).last_success_at is None
