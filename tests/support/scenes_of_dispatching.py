"""Scenes of the dispatcher's services: what they create, admit and publish."""

from __future__ import annotations

from leveret_core.broker.base import Published
from leveret_core.store.backfills.commands import Wanted as WantedBackfill
from leveret_core.store.backfills.commands import start_backfill
from leveret_core.store.key_limits.limits import KeyLimit, put_key_limit
from leveret_core.store.planned.runs import Wanted, schedule_runs
from leveret_core.store.rate_limits.limits import RateLimit, put_rate_limit
from leveret_dispatcher.schedule.scheduler import Scheduler
from support.control import finished
from support.scene import BEGIN, EVERY_MINUTE, MINUTE, RETRY, Act, Stage, loop


def scheduler(stage: Stage, **more: int) -> Scheduler:
    return Scheduler(
        stage.term,
        batch=500,
        answer_timeout=60,
        room=lambda _: 0,
        publish=lambda _: None,
        changed=lambda _: None,
        patience=0,
        **more,
    )


# The scheduler


@loop
async def ticks_of_every_policy(stage: Stage) -> Act:
    here, worker = stage.here, await stage.here.worker()
    for policy in ("skip", "queue", "replace", "allow"):
        for busy in ("free", "pending", "running"):
            job = await here.job(
                f"{policy}.{busy}", trigger=EVERY_MINUTE, next_fire_at=BEGIN + MINUTE, concurrency=policy, catch_up="all"
            )
            if busy == "pending":
                await stage.run(job)
            elif busy == "running":
                await stage.claimed(worker, job)
    await stage.at(121)
    return lambda: stage.loops("scheduler", scheduler(stage).run_once)


@loop
async def ticks_that_came_too_late(stage: Stage) -> Act:
    every = EVERY_MINUTE | {"every": 1}
    await stage.here.job("late", trigger=every, next_fire_at=BEGIN + MINUTE, catch_up="none", concurrency="allow")
    await stage.here.job("all", trigger=every, next_fire_at=BEGIN + MINUTE, catch_up="all", concurrency="allow")
    await stage.at(1500)
    return lambda: stage.loops("scheduler", scheduler(stage, catch_up_limit=20).run_once)


@loop
async def ticks_that_exist_already(stage: Stage) -> Act:
    """As after the clock was set back."""
    await stage.here.job("again", trigger=EVERY_MINUTE, next_fire_at=BEGIN + MINUTE, concurrency="queue")
    await stage.sql(
        """insert into occurrence (job_id, job_name, job_version, type, payload, origin, scheduled_for, state, retry,
                                   finished_at)
           select id, name, version, type, payload, 'schedule', next_fire_at, 'succeeded', retry, next_fire_at from job"""
    )
    await stage.at(61)
    return lambda: stage.loops("scheduler", scheduler(stage).run_once)


@loop
async def a_trigger_that_cannot_be_evaluated(stage: Stage) -> Act:
    zone = {"kind": "cron", "expression": "* * * * *", "timezone": "No/Where"}
    await stage.here.job("broken", trigger=zone, next_fire_at=BEGIN + MINUTE)
    await stage.here.job("whole", trigger=EVERY_MINUTE, next_fire_at=BEGIN + MINUTE)
    await stage.at(61)
    return lambda: stage.loops("scheduler", scheduler(stage).run_once)


# The publisher, the retrier, the admitter, the look around


async def limited(stage: Stage) -> None:
    db = stage.here.db
    await put_rate_limit(db, RateLimit("limited.job", 2, 60), actor="test")
    await put_rate_limit(db, RateLimit("both.job", 3, 60), actor="test")
    for kind in ("keyed.job", "both.job"):
        await put_key_limit(db, KeyLimit(kind, "to", 1, 60), actor="test")
    for kind in ("free.job", "limited.job", "keyed.job", "both.job"):
        job = await stage.here.job(kind, type=kind, concurrency="allow")
        await stage.run(job, {"to": "ada"}, {"to": "ada"}, {"to": "bob"}, {"to": "cy"})


@loop
async def dispatch_messages_of_every_limit(stage: Stage) -> Act:
    await limited(stage)
    publisher = stage.there.publisher(stage.term)
    await stage.sql("update occurrence set ring_at = now() - interval '1 hour', rings = 1 where job_name = 'free.job'")
    # Its token is paid, and it did not reach a queue.
    await stage.sql("update occurrence set rings = 1 where id = (select min(id) from occurrence where job_name = 'keyed.job')")
    await stage.sql(
        "update occurrence set ring_at = moved.now() where id = (select max(id) from occurrence where job_name = 'limited.job')"
    )

    async def act() -> None:
        await stage.loops("publisher", publisher.begin)
        await stage.loops("publisher", publisher.run_once)

    return act


@loop
async def dispatch_messages_that_the_broker_does_not_take(stage: Stage) -> Act:
    await limited(stage)
    stage.there.exchange.outcome = Published.UNROUTABLE
    publisher = stage.there.publisher(stage.term)

    async def act() -> None:
        await stage.loops("publisher", publisher.run_once, limit=1)
        # Whatever became of it, the broker is there again, and the answer timeout is over.
        stage.there.exchange.outcome = Published.CONFIRMED
        publisher.worker_came()
        await stage.at(3600)
        for _ in range(3):
            await stage.loops("publisher", publisher.run_once, limit=2)
        told = {dispatch.occurrence for dispatch in stage.there.exchange.published}
        assert told == {row["id"] for row in await stage.here.db.pool.fetch("select id from occurrence where rings > 0")}

    return act


@loop
async def retries(stage: Stage) -> Act:
    worker, job = await stage.here.worker(), await stage.here.job(retry=RETRY, concurrency="allow")
    for delay in (0.0, 600.0):
        (answer,) = await stage.claimed(worker, job)
        await stage.here.report(worker, finished(answer, "failed", retry_after=delay))
    await stage.at(1)
    return lambda: stage.loops("retrier", stage.there.retrier(stage.term).run_once)


@loop
async def planned_runs_of_every_policy(stage: Stage) -> Act:
    worker = await stage.here.worker()
    for policy in ("skip", "queue", "replace", "allow"):
        for busy in ("free", "pending", "running"):
            job = await stage.here.job(f"{policy}.{busy}", concurrency=policy)
            if busy == "pending":
                await stage.run(job)
            elif busy == "running":
                await stage.claimed(worker, job)
            await schedule_runs(stage.here.db, [Wanted(job=job, delay=1), Wanted(job=job, delay=2)], actor="test")
    gone = await stage.here.job("gone")
    await schedule_runs(stage.here.db, [Wanted(job=gone, delay=1)], actor="test")
    await stage.sql("update job set deleted_at = now() where id = $1", gone)
    await stage.at(10)
    return lambda: stage.loops("admitter", stage.there.admitter(stage.term, room=0).run_once)


@loop
async def the_look_for_lost_hints(stage: Stage) -> Act:
    await limited(stage)
    look = stage.dispatcher._look  # pyright: ignore[reportPrivateUsage]
    return lambda: stage.loops("dispatcher", look)


# Backfills


@loop
async def a_backfill(stage: Stage) -> Act:
    job = await stage.here.job(
        trigger=EVERY_MINUTE, next_fire_at=BEGIN + 10 * MINUTE, concurrency="allow", retry=RETRY, catch_up="none"
    )
    await stage.at(450)
    range_ = WantedBackfill(start_at=BEGIN.isoformat(), end_at=(BEGIN + 5 * MINUTE).isoformat())
    await start_backfill(stage.here.db, job, range_, limit=100, actor="test")
    # One was missed, one has run.
    for minute, state in ((1, "missed"), (2, "succeeded")):
        await stage.sql(
            """insert into occurrence (job_id, job_name, job_version, type, payload, origin, scheduled_for, state, retry,
                   finished_at) select id, name, 1, type, payload, 'schedule', $2, $3::text::occurrence_state, retry, now()
               from job where id = $1""",
            job,
            BEGIN + minute * MINUTE,
            state,
        )
    backfiller, worker = stage.there.backfiller(stage.term, ahead=3), await stage.here.worker()

    async def act() -> None:
        for _ in range(20):
            await stage.loops("backfiller", backfiller.run_once, limit=1)
            # Its runs are done by a worker.
            while (run := await stage.sql("select min(id) from occurrence where state = 'pending'")) is not None:
                await stage.here.report(worker, finished(await stage.here.claim(worker, run)))
        assert await stage.sql("select state from backfill") == "completed"

    return act


@loop
async def a_backfill_of_a_deleted_job(stage: Stage) -> Act:
    job = await stage.here.job(trigger=EVERY_MINUTE)
    range_ = WantedBackfill(start_at=(BEGIN - 5 * MINUTE).isoformat(), end_at=BEGIN.isoformat())
    await start_backfill(stage.here.db, job, range_, limit=100, actor="test")
    await stage.sql("update job set deleted_at = now()")
    return lambda: stage.loops("backfiller", stage.there.backfiller(stage.term).run_once)
