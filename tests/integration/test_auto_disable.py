"""A job that fails again and again is paused, with the reason; a success or a resume begins the count anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leveret_core.failpoints import FailpointError, arm
from leveret_core.messages import JobError
from leveret_core.store.commands.occurrences import cancel_occurrence, trigger_job
from leveret_core.store.database import Database
from leveret_core.store.jobs.changes import resume_job
from support.control import LONG_AGO, Control, finished
from support.eventually import eventually

EVERY_HOUR = {"kind": "interval", "every": 3600, "start_at": LONG_AGO.isoformat()}
ONE_TRY = {"max_attempts": 1}
ERROR = JobError(type="ValueError", message="no such customer")


@pytest.fixture
async def control(database_url: str) -> AsyncGenerator[Control]:
    database = Database(database_url, pool_size=10)
    await database.start()
    made = Control(database)
    yield made
    violations = await made.violations()
    await database.stop()
    assert violations == []


async def ends(control: Control, worker: str, job: int, outcome: str = "failed", **more: Any) -> int:
    """Trigger the job, and end its only attempt so."""
    occurrence = (await trigger_job(control.db, job, actor="test")).occurrence_id
    if outcome in ("failed", "timed_out"):
        more = {"error": ERROR} | more
    await control.report(worker, finished(await control.claim(worker, occurrence), outcome, **more))
    return occurrence


async def job_row(control: Control, job: int) -> dict[str, Any]:
    row = await control.db.pool.fetchrow("select * from job where id = $1", job)
    assert row is not None
    return dict(row)


async def failing_job(control: Control, **more: Any) -> int:
    soon = datetime.now(UTC) + timedelta(hours=1)
    values: dict[str, Any] = {
        "disable_after": 3,
        "trigger": EVERY_HOUR,
        "next_fire_at": soon,
        "retry": ONE_TRY,
        "concurrency": "allow",
    }
    return await control.job(**(values | more))


async def test_too_many_failures_in_a_row_pause_the_job_and_tell_why(control: Control) -> None:
    worker = await control.worker()
    job = await failing_job(control)
    await ends(control, worker, job)
    await ends(control, worker, job, "timed_out")
    row = await job_row(control, job)
    assert (row["failures"], row["paused_at"]) == (2, None)
    await ends(control, worker, job)
    row = await job_row(control, job)
    assert row["failures"] == 3
    assert row["paused_at"] is not None
    assert row["next_fire_at"] is None
    assert row["pause_reason"] == "disabled after 3 failures in a row; the last: ValueError: no such customer"
    assert ("jobs", (job,)) in [(hint.topic, hint.ids) for hint in control.sent]
    audit = await control.db.pool.fetchrow("select actor, action from audit where job_id = $1 and action = 'disable'", job)
    assert audit is not None


async def test_a_success_begins_the_count_anew(control: Control) -> None:
    worker = await control.worker()
    job = await failing_job(control)
    for outcome in ("failed", "failed", "succeeded", "failed", "failed"):
        await ends(control, worker, job, outcome)
    row = await job_row(control, job)
    assert (row["failures"], row["paused_at"]) == (2, None)


async def test_only_final_failures_count(control: Control) -> None:
    worker = await control.worker()
    job = await failing_job(control, disable_after=1, retry={"max_attempts": 2, "delay": 0})
    occurrence = await ends(control, worker, job)
    assert (await job_row(control, job))["failures"] == 0
    await control.retrier(await control.term()).run_once()
    answer = await control.claim(worker, occurrence, 2)
    await ends(control, worker, job, "cancelled")
    await ends(control, worker, job, "released")
    cancelled = (await trigger_job(control.db, job, actor="test")).occurrence_id
    await cancel_occurrence(control.db, cancelled, reason="no", actor="test")
    assert (await job_row(control, job))["paused_at"] is None
    await control.report(worker, finished(answer, "failed", error=ERROR))
    row = await job_row(control, job)
    assert (row["failures"], row["pause_reason"]) == (
        1,
        "disabled after 1 failure in a row; the last: ValueError: no such customer",
    )


async def test_a_job_without_a_limit_is_never_paused(control: Control) -> None:
    worker = await control.worker()
    job = await failing_job(control, disable_after=None)
    for _ in range(8):
        await ends(control, worker, job)
    row = await job_row(control, job)
    assert (row["failures"], row["paused_at"]) == (8, None)


async def test_a_job_that_kills_its_workers_is_paused_too(control: Control) -> None:
    term = await control.term()
    job = await failing_job(control, disable_after=1, retry={"max_lost": 1})
    occurrence = (await trigger_job(control.db, job, actor="test")).occurrence_id
    await control.claim(await control.worker(), occurrence)
    await control.db.pool.execute("update worker set lease_until = now() - interval '1 s'")
    await control.reaper(term).run_once()
    assert "the last: WorkerLost" in (await job_row(control, job))["pause_reason"]


async def test_failures_of_one_batch_count_each(control: Control) -> None:
    worker = await control.worker()
    job = await failing_job(control)
    ids = [(await trigger_job(control.db, job, actor="test")).occurrence_id for _ in range(5)]
    answers = [await control.claim(worker, id_) for id_ in ids]
    await control.report(worker, *(finished(a, "failed", error=ERROR) for a in answers))
    row = await job_row(control, job)
    assert row["failures"] == 5
    assert row["paused_at"] is not None


async def test_a_batch_with_a_success_of_the_job_never_pauses_it(control: Control) -> None:
    worker = await control.worker()
    job = await failing_job(control, disable_after=2)
    ids = [(await trigger_job(control.db, job, actor="test")).occurrence_id for _ in range(3)]
    first, second, third = [await control.claim(worker, id_) for id_ in ids]
    await control.report(worker, finished(first, "failed"), finished(second), finished(third, "failed"))
    row = await job_row(control, job)
    assert (row["failures"], row["paused_at"]) == (0, None)


async def test_a_success_that_comes_again_forgets_no_failure_that_was_counted_since(control: Control) -> None:
    worker = await control.worker()
    job = await failing_job(control)
    await ends(control, worker, job)
    occurrence = (await trigger_job(control.db, job, actor="test")).occurrence_id
    success = finished(await control.claim(worker, occurrence))
    await control.report(worker, success)
    assert (await job_row(control, job))["failures"] == 0
    assert ("jobs", (job,)) in [(hint.topic, hint.ids) for hint in control.sent]
    await ends(control, worker, job)
    await control.report(worker, success)
    assert (await job_row(control, job))["failures"] == 1


async def test_a_success_that_is_not_committed_leaves_the_count(control: Control) -> None:
    worker = await control.worker()
    job = await failing_job(control)
    await ends(control, worker, job)
    occurrence = (await trigger_job(control.db, job, actor="test")).occurrence_id
    success = finished(await control.claim(worker, occurrence))
    arm("before_ingest_commit=raise")
    with pytest.raises(FailpointError):
        await control.report(worker, success)
    assert (await job_row(control, job))["failures"] == 1
    await control.report(worker, success)
    assert (await job_row(control, job))["failures"] == 0


async def test_a_job_paused_by_somebody_keeps_their_reason(control: Control) -> None:
    worker = await control.worker()
    job = await failing_job(control, disable_after=1, paused_at=datetime.now(UTC), pause_reason="until noon", next_fire_at=None)
    await ends(control, worker, job)
    assert (await job_row(control, job))["pause_reason"] == "until noon"


async def test_resuming_a_disabled_job_counts_anew_and_never_fires_the_past(control: Control) -> None:
    worker = await control.worker()
    job = await failing_job(control, disable_after=1, catch_up="all")
    await ends(control, worker, job)
    await control.db.pool.execute("update job set paused_at = now() - interval '1 day' where id = $1", job)
    await resume_job(control.db, job, actor="test")
    row = await job_row(control, job)
    assert (row["failures"], row["paused_at"], row["pause_reason"]) == (0, None, None)
    assert row["next_fire_at"] > datetime.now(UTC)
    await control.scheduler(await control.term()).run_once()
    assert control.created == []


async def test_failures_ticks_and_triggers_of_many_jobs_at_once_neither_wait_for_each_other_nor_miscount(
    control: Control,
) -> None:
    jobs = [
        await failing_job(control, name=f"job-{n}", disable_after=7, concurrency="allow" if n % 2 else "queue")
        for n in range(6)
    ]

    async def fail_all(worker: str, order: list[int]) -> None:
        for _ in range(10):
            answers = []
            for job in order:
                made = await trigger_job(control.db, job, actor="test")
                answers.append(await control.claim(worker, made.occurrence_id))
            await control.report(worker, *(finished(a, "failed") for a in answers if a.status == "granted"))

    workers = [await control.worker() for _ in range(4)]
    await asyncio.gather(*(fail_all(w, jobs if n % 2 else jobs[::-1]) for n, w in enumerate(workers)))
    rows = [await job_row(control, job) for job in jobs]
    ended = "select count(*) from occurrence where job_id = $1 and state = 'failed'"
    assert [row["failures"] for row in rows] == [await control.db.pool.fetchval(ended, job) for job in jobs]
    assert all(row["paused_at"] is not None for row in rows if row["failures"] >= 7)


async def test_the_end_of_a_failed_attempt_locks_the_job_before_the_occurrence_as_a_cancel_does(control: Control) -> None:
    worker = await control.worker()
    job = await failing_job(control)
    occurrence = (await trigger_job(control.db, job, actor="test")).occurrence_id
    answer = await control.claim(worker, occurrence)
    async with control.db.transaction() as cancelling:
        await cancelling.execute("select from job where id = $1 for no key update", job)
        reporting = asyncio.create_task(control.report(worker, finished(answer, "failed")))

        async def blocked() -> bool:
            waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
            return bool(await control.db.pool.fetchval(waiting))

        await eventually(blocked)
        await cancelling.execute("select from occurrence where id = $1 for update nowait", occurrence)
    await reporting
    assert (await job_row(control, job))["failures"] == 1
