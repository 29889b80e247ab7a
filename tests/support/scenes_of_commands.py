"""One scene for each thing that clients ask for, in the form in which asking twice is safe."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

from leveret_core.errors import Conflict, NotFound
from leveret_core.job_definition import define
from leveret_core.store.backfills.commands import Wanted as WantedBackfill
from leveret_core.store.backfills.commands import cancel_backfill, start_backfill
from leveret_core.store.commands.occurrences import cancel_occurrence, trigger_job
from leveret_core.store.dead_letters.commands import DeadLetterFilter, discard_dead_letters, requeue_dead_letters
from leveret_core.store.jobs.changes import create_job, delete_job, edit_job, pause_job, put_job, resume_job
from leveret_core.store.key_limits.limits import KeyLimit, delete_key_limit, put_key_limit
from leveret_core.store.planned.runs import Wanted, schedule_runs
from leveret_core.store.rate_limits.limits import RateLimit, delete_rate_limit, put_rate_limit
from leveret_core.store.workers.drain import drain_worker
from support.control import finished
from support.scene import BEGIN, EVERY_MINUTE, Act, Stage, command

JOB = {"name": "job", "type": "test.job", "trigger": EVERY_MINUTE}


def once(stage: Stage, *commands: Callable[[], Awaitable[object]]) -> Act:
    """Each until it is answered; what was done by a try whose answer got lost may be refused afterwards."""

    async def act() -> None:
        for each in commands:
            with contextlib.suppress(Conflict, NotFound):
                await stage.client(each)

    return act


@command
async def jobs_are_made_and_changed(stage: Stage) -> Act:
    db = stage.there.db

    async def made() -> None:
        await create_job(db, define(JOB), actor="test")

    async def put() -> None:
        await put_job(db, define(JOB | {"concurrency": "queue", "max_concurrent": 2}), actor="test")

    async def edited() -> None:
        changes = {"concurrency": "skip", "concurrency_key": "to"}
        await edit_job(db, "job", changes, actor="test", version=None, payload_limit=1000)

    async def paused() -> None:
        await pause_job(db, "job", reason="test", actor="test")

    async def resumed() -> None:
        await resume_job(db, "job", actor="test")

    async def deleted() -> None:
        await delete_job(db, "job", actor="test")

    return once(stage, made, put, edited, paused, resumed, deleted)


@command
async def runs_are_asked_for(stage: Stage) -> Act:
    db, worker = stage.there.db, await stage.here.worker()
    jobs = [await stage.here.job(policy, concurrency=policy) for policy in ("skip", "queue", "replace", "allow")]
    for job in jobs[1:3]:
        await stage.claimed(worker, job)
        await schedule_runs(stage.here.db, [Wanted(job=job, delay=1)], actor="test")
    await stage.at(5)

    async def act() -> None:
        for job in jobs:

            async def ask(job: int = job) -> None:
                await trigger_job(db, job, idempotency_key="once", actor="test")

            await stage.client(ask)
        planned = [Wanted(job=job, delay=60, idempotency_key="later") for job in jobs]
        await stage.client(lambda: schedule_runs(db, planned, actor="test"))

    return act


@command
async def runs_are_cancelled(stage: Stage) -> Act:
    db, worker, job = stage.there.db, await stage.here.worker(), await stage.here.job(concurrency="queue")
    (running,) = await stage.claimed(worker, job)
    (waiting,) = await stage.run(job)
    other = await stage.here.job("other", concurrency="queue")
    pending, _ = await stage.run(other, {}, {})
    ids = (running.occurrence, waiting, pending)
    return once(stage, *(lambda id_=id_: cancel_occurrence(db, id_, reason="test", actor="test") for id_ in ids))


@command
async def dead_letters_are_dealt_with(stage: Stage) -> Act:
    db, worker = stage.there.db, await stage.here.worker()
    job = await stage.here.job(retry={"max_attempts": 1, "delay": 0, "max_lost": 1}, concurrency="allow")
    for answer in await stage.claimed(worker, job, {}, {}, {}):
        await stage.here.report(worker, finished(answer, "failed"))
    first = await stage.sql("select min(id) from occurrence")

    async def requeued() -> None:
        await requeue_dead_letters(db, [first], limit=1, edit=lambda old: old, actor="test")

    async def discarded() -> None:
        await discard_dead_letters(db, DeadLetterFilter(), limit=10, reason=None, actor="test")

    return once(stage, requeued, discarded)


@command
async def backfills_begin_and_are_cancelled(stage: Stage) -> Act:
    db, job = stage.there.db, await stage.here.job(trigger=EVERY_MINUTE, concurrency="allow")
    range_ = WantedBackfill(start_at=(BEGIN - timedelta(minutes=5)).isoformat(), end_at=BEGIN.isoformat())
    first = await start_backfill(stage.here.db, job, range_, limit=100, actor="test")
    await stage.here.backfiller(stage.term).run_once()
    return once(stage, lambda: cancel_backfill(db, first, running=True, reason=None, actor="test"))


@command
async def limits_come_and_go(stage: Stage) -> Act:
    db = stage.there.db
    job = await stage.here.job(concurrency="allow")
    await put_key_limit(stage.here.db, KeyLimit("test.job", "to", 1, 60), actor="test")
    await stage.run(job, {"to": "ada"}, {"to": "ada"}, {"to": "bob"})
    await stage.here.publisher(stage.term).run_once()
    return once(
        stage,
        lambda: put_rate_limit(db, RateLimit("test.job", 2, 60), actor="test"),
        lambda: delete_rate_limit(db, "test.job", actor="test"),
        lambda: put_key_limit(db, KeyLimit("test.job", "to", 2, 60), actor="test"),
        lambda: put_key_limit(db, KeyLimit("test.job", "for", 2, 60), actor="test"),
        lambda: delete_key_limit(db, "test.job", actor="test"),
    )


@command
async def a_worker_is_asked_to_end(stage: Stage) -> Act:
    worker = UUID(await stage.here.worker())

    async def tell(_: object) -> None: ...

    return once(stage, lambda: drain_worker(stage.there.db, worker, tell=tell, actor="test"))
