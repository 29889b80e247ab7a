"""Scenes of what the dispatcher does by its timetable."""

from __future__ import annotations

from datetime import timedelta

from leveret_core.messages import (
    Heartbeat,
)
from leveret_core.store.key_limits.limits import KeyLimit, put_key_limit
from leveret_core.store.planned.runs import Wanted, schedule_runs
from leveret_core.store.rate_limits.limits import RateLimit, put_rate_limit
from leveret_dispatcher.ends.progress_report import ProgressReport
from leveret_dispatcher.leadership.term import Term
from leveret_dispatcher.upkeep.pruner import Pruner
from leveret_dispatcher.upkeep.reconciler import Reconciler
from support.control import finished
from support.scene import BEGIN, EVERY_MINUTE, MINUTE, RETRY, Act, Stage, every_kind_of_run, loop


@loop
async def a_worker_that_is_dead(stage: Stage) -> Act:
    await every_kind_of_run(stage, await stage.here.worker())
    await stage.at(60)
    return lambda: stage.tidies("reaper", stage.there.reaper(stage.term).run_once)


@loop
async def runs_past_their_timeout(stage: Stage) -> Act:
    worker = await stage.here.worker()
    await every_kind_of_run(stage, worker)
    await stage.at(10)
    await stage.here.desk.answer([Heartbeat(worker=worker, running=3, holding=None)])
    return lambda: stage.tidies("reaper", stage.there.reaper(stage.term).run_once)


@loop
async def ends_that_got_lost(stage: Stage) -> Act:
    worker = await stage.here.worker()
    await every_kind_of_run(stage, worker)
    reconciler = Reconciler(stage.term, grace=0, backlog=stage.there.exchange.events_backlog, changed=lambda _: None)
    report = ProgressReport(stage.here.db, lambda: 0.0, 1)

    async def act() -> None:
        seconds = 0
        while await stage.sql("select exists (select from occurrence where state = 'running')"):
            assert seconds < 200, "they are never given up"
            seconds += 5
            await stage.at(seconds)
            await stage.here.desk.answer([Heartbeat(worker=worker, running=0, holding=[])])
            await report.run_once()
            await stage.tidies("reconciler", reconciler.run_once)
        await stage.at(200)
        await stage.here.desk.answer([Heartbeat(worker=worker, running=0, holding=[])])

    return act


@loop
async def what_is_past_its_time(stage: Stage) -> Act:
    worker, job = await stage.here.worker(), await stage.here.job()
    (answer,) = await stage.claimed(worker, job)
    await stage.here.report(worker, finished(answer))
    await stage.here.ingest(b"no batch")
    await stage.run(job)
    await stage.at(60)
    await stage.there.reaper(await stage.here.term()).run_once()
    for statement in (
        "update occurrence set finished_at = finished_at - interval '60 days' where state = 'succeeded'",
        "update dead_event set at = '2020-01-01'",
        "update audit set at = '2020-01-01' where id = (select min(id) from audit)",
        "update worker set stopped_at = '2020-01-01', state = 'lost'",
        "insert into ingestor values (gen_random_uuid(), '2020-01-01')",
        "insert into rate_bucket values ('gone.job', 'ada', 1, '2020-01-01', null)",
        "insert into rate_line values (999999, 'gone.job', 'ada', 5, true)",
    ):
        await stage.sql(statement)
    pruner = Pruner(stage.term, history_days=30)
    stage.term.epoch = await stage.sql("select epoch from term")
    return lambda: stage.tidies("pruner", pruner.run_once)


@loop
async def slots_that_should_not_be_there(stage: Stage) -> Act:
    job = await stage.here.job(concurrency="queue")
    first, _ = await stage.run(job, {}, {})
    await stage.sql("update occurrence set state = 'cancelled', finished_at = now() where id = $1", first)
    return lambda: stage.tidies("repair", Pruner(stage.term, 30).repair)


@loop
async def what_is_nobodys(stage: Stage) -> Act:
    here = stage.here
    worker = await here.worker()
    await every_kind_of_run(stage, worker)
    await stage.sql("delete from worker")
    worker = await here.worker()
    free = await here.job("free place", concurrency="queue")
    first, _ = await stage.run(free, {}, {})
    await stage.sql("delete from slot where occurrence_id = $1", first)
    await stage.sql("update occurrence set state = 'cancelled', finished_at = now() where id = $1", first)
    await put_key_limit(here.db, KeyLimit("keyed.job", "to", 1, 3600), actor="test")
    keyed = await here.job("keyed.job", type="keyed.job", concurrency="allow")
    await stage.run(keyed, {"to": "ada"}, {"to": "ada"}, {"to": "bob"})
    publisher = here.publisher(Term(here.db, stage.term.epoch, stage.term.trusted_until))
    await publisher.run_once()
    await stage.sql("update rate_bucket set ready_at = null where key = 'ada'")
    (outside,) = await stage.run(keyed, {"to": "cy"})
    await stage.sql("update occurrence set ring_at = 'infinity' where id = $1", outside)
    retrying = await here.job("retrying", retry=RETRY)
    (answer,) = await stage.claimed(worker, retrying)
    await here.report(worker, finished(answer, "failed", retry_after=600))
    await stage.sql("update occurrence set retry_at = null where job_name = 'retrying'")
    (far,) = await stage.run(await here.job("far"))
    await stage.sql("update occurrence set rings = 1, ring_at = moved.now() + interval '1 year' where id = $1", far)
    await stage.run(await here.job("unpublished", type="unpublished.job"))
    checker = stage.there.liveness(stage.term)

    async def act() -> None:
        for _ in range(3):
            await stage.tidies("liveness", checker.run_once)

    return act


@loop
async def a_clock_that_was_set_back(stage: Stage) -> Act:
    watch = stage.there.clock(stage.term)
    await stage.at(86400)
    here = stage.here
    await here.clock(Term(here.db, stage.term.epoch, stage.term.trusted_until)).run_once()
    ahead = BEGIN + timedelta(days=1)
    await here.job("ticks", trigger=EVERY_MINUTE, next_fire_at=ahead + MINUTE)
    missed = await here.job("missed", trigger=EVERY_MINUTE, next_fire_at=ahead + MINUTE)
    await stage.sql(
        """insert into occurrence (job_id, job_name, job_version, type, payload, origin, scheduled_for, state, retry,
               finished_at, missed_count, reason)
           select id, name, 1, type, payload, 'schedule', $2, 'missed', retry, now(), 9, 'late' from job where id = $1""",
        missed,
        BEGIN + MINUTE,
    )
    await put_rate_limit(here.db, RateLimit("limited.job", 2, 60), actor="test")
    await every_kind_of_run(stage, await here.worker())
    await schedule_runs(here.db, [Wanted(job="queue", delay=5)], actor="test")
    await stage.at(1)
    return lambda: stage.tidies("clock", watch.run_once)
