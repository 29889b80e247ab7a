"""Scenes of the ingestor."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from leveret_core import messages
from leveret_core.messages import (
    Checkpoint,
    Event,
    Finished,
    Log,
    Progress,
)
from support.control import finished
from support.scene import BEGIN, RETRY, Act, Stage, loop


@loop
async def everything_a_worker_reports(stage: Stage) -> Act:
    worker = await stage.here.worker()
    jobs = [await stage.here.job(f"job {n}", concurrency="queue", retry=RETRY, disable_after=5) for n in range(6)]
    done, again, cancelled, snoozed, running, backwards = [(await stage.claimed(worker, job))[0] for job in jobs]
    for job in jobs[:3]:
        await stage.run(job)
    await stage.sql("update job set failures = 2 where name = 'job 0'")
    claim: dict[str, Any] = {"occurrence": running.occurrence, "attempt": 1, "token": running.token}
    events: list[Event] = [
        Log(seq=1, at=BEGIN, level="info", message="said", **claim),
        Progress(seq=2, fraction=0.5, message="half", **claim),
        Checkpoint(seq=3, data=msgspec.Raw(b'{"at": 1}'), **claim),
        finished(done),
        finished(again, "failed", retry_after=600),
        finished(cancelled, "cancelled"),
        finished(snoozed, "snoozed", retry_after=600),
        finished(backwards, "skipped"),
    ]
    return lambda: stage.reports(worker, *events)


@loop
async def an_end_that_comes_again(stage: Stage) -> Act:
    worker, job = await stage.here.worker(), await stage.here.job()
    (answer,) = await stage.claimed(worker, job)
    await stage.here.report(worker, finished(answer))
    await stage.sql("update job set failures = 2")
    return lambda: stage.reports(worker, finished(answer))


@loop
async def ends_that_pause_their_job(stage: Stage) -> Act:
    worker = await stage.here.worker()
    job = await stage.here.job(disable_after=1, retry=RETRY | {"max_attempts": 1}, concurrency="queue")
    (answer,) = await stage.claimed(worker, job)
    await stage.run(job)
    return lambda: stage.reports(worker, finished(answer, "failed"))


@loop
async def events_that_are_wrong(stage: Stage) -> Act:
    worker = await stage.here.worker()
    # Of three jobs: a success that comes again begins the count of failures anew, also of those told with it.
    jobs = [await stage.here.job(name) for name in ("good", "mended", "wrong")]
    good, refused, unreadable = [(await stage.claimed(worker, job))[0] for job in jobs]
    end: Finished = finished(unreadable)
    body = json.loads(messages.encode(messages.Events(worker=worker, events=[finished(good), finished(refused), end])))
    body["events"][1]["result"] = "\ud83d"
    body["events"][2]["outcome"] = "success"
    raw = json.dumps(body).encode()
    return lambda: stage.brings(raw, b"no batch")
