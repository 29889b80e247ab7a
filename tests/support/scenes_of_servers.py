"""Scenes of what every server does: stand for election, listen, answer workers."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from datetime import datetime
from typing import Any

from fakeredis import FakeAsyncRedis

from leveret_core import messages
from leveret_core.hints import Hints
from leveret_core.messages import (
    Ask,
    Claim,
    Declare,
    Goodbye,
    HandlerInfo,
    Heartbeat,
    Hello,
)
from leveret_core.settings import Settings
from leveret_core.supervision import Steps
from leveret_dispatcher.ends.progress_report import ProgressReport
from leveret_dispatcher.leadership.candidate import Candidate
from leveret_dispatcher.leadership.lock import LockUnknown, RedisLock
from leveret_dispatcher.leadership.term import Term
from leveret_dispatcher.schedule.commit_listener import CommitListener
from support.eventually import eventually
from support.scene import BEGIN, Act, Stage, every_kind_of_run, loop

# The term


class _Away(RedisLock):
    """A Redis that does not answer."""

    async def acquire(self) -> bool:
        raise LockUnknown

    renew = resign = acquire


async def stands(stage: Stage, lock: RedisLock) -> None:
    """A candidate that is elected, renews its term, and resigns."""
    dispatching = asyncio.Event()

    async def dispatch(_: Term) -> None:
        dispatching.set()
        await asyncio.Event().wait()

    settings = Settings(lock_ttl=30, lock_renew=0.01, lock_margin=0.1, lock_retry=0.01)
    candidate = Candidate(settings, stage.there.db, lock, Hints(None), dispatch, end_process=lambda: None)
    standing = asyncio.create_task(candidate.run())

    async def elected() -> None:
        # A lease that it took without knowing has to run out.
        await stage.at((stage.now - BEGIN).total_seconds() + 31)
        assert dispatching.is_set()

    async def renewed() -> None:
        await stage.at((stage.now - BEGIN).total_seconds() + 1)
        lease: datetime = await stage.sql("select lease_until from term")
        await asyncio.sleep(0.02)
        assert await stage.sql("select lease_until > $1 from term", lease)

    try:
        await eventually(elected)
        await eventually(renewed)
        assert candidate.term is not None
    finally:
        standing.cancel()
        await asyncio.gather(standing, return_exceptions=True)
    await stage.at((stage.now - BEGIN).total_seconds() + 31)


@loop
async def a_term(stage: Stage) -> Act:
    redis = FakeAsyncRedis()
    return lambda: stands(stage, RedisLock(redis, "mine", 30))


@loop
async def a_term_without_redis(stage: Stage) -> Act:
    await stage.at(120)
    return lambda: stands(stage, _Away(FakeAsyncRedis(), "mine", 30))


# What else listens and tells


@loop
async def how_far_events_are_read(stage: Stage) -> Act:
    async def act() -> None:
        task = asyncio.create_task(ProgressReport(stage.there.db, lambda: 0.0, 0.01).run())
        await eventually(lambda: stage.sql("select exists (select from ingestor)"))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    return act


@loop
async def the_listener_to_commits(stage: Stage) -> Act:
    async def act() -> None:
        heard = asyncio.Event()
        task = asyncio.create_task(CommitListener(stage.there.db.url, heard.set, Steps("listener", 60)).run())

        async def told() -> None:
            heard.clear()
            await stage.sql("select pg_notify('leveret_scheduled', '')")
            async with asyncio.timeout(0.2):
                await heard.wait()

        async def hears() -> bool:
            with contextlib.suppress(TimeoutError):
                # Twice, with a look at the connection in between.
                await told()
                await asyncio.sleep(0.1)
                await told()
                return True
            return False

        await eventually(hears)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    return act


# The claim desk


def hello(worker: str) -> Hello:
    handlers = [HandlerInfo(pattern="#", concurrency=10)]
    return Hello(worker=worker, name="w", host="h", pid=1, sdk="test", concurrency=10, handlers=handlers)


@loop
async def a_worker_comes(stage: Stage) -> Act:
    worker = str(uuid.uuid5(uuid.NAMESPACE_URL, "worker"))

    async def act() -> None:
        (reply,) = await stage.asks(hello(worker))
        assert isinstance(reply, messages.Welcome), reply

    return act


@loop
async def claims_and_heartbeats(stage: Stage) -> Act:
    worker, job = await stage.here.worker(), await stage.here.job(concurrency="allow")
    ids = await stage.run(job, {}, {}, {})
    asks = [Ask(id_, 1) for id_ in (*ids, 999_999)]

    async def act() -> None:
        claim = Claim(worker=worker, asks=asks, last_success=ids)
        (reply,) = await stage.asks(claim)
        assert isinstance(reply, messages.Claimed), reply
        assert [answer.status for answer in reply.answers] == ["granted", "granted", "granted", "stale"]
        (again,) = await stage.asks(claim)
        assert isinstance(again, messages.Claimed), again
        assert [answer.token for answer in again.answers] == [answer.token for answer in reply.answers]
        (nothing,) = await stage.asks(Claim(worker=worker, asks=asks[-1:]))
        assert isinstance(nothing, messages.Claimed), nothing
        (alive,) = await stage.asks(Heartbeat(worker=worker, running=3, holding=asks[:3]))
        assert isinstance(alive, messages.Alive), alive

    return act


@loop
async def a_worker_goes(stage: Stage) -> Act:
    worker = await stage.here.worker()
    await every_kind_of_run(stage, worker)

    async def act() -> None:
        (reply,) = await stage.asks(Goodbye(worker=worker))
        assert isinstance(reply, messages.Bye), reply

    return act


@loop
async def jobs_in_code(stage: Stage) -> Act:
    older, newer = await stage.here.worker(), await stage.here.worker()

    def jobs(every: int, **more: str) -> list[dict[str, Any]]:
        trigger = {"kind": "interval", "every": every}
        return [{"name": name, "type": "test.job", "trigger": trigger, **more} for name in ("one", "two")]

    await stage.here.desk.answer([Declare(worker=older, jobs=jobs(60))])
    await stage.run(await stage.sql("select id from job where name = 'one'"))

    async def act() -> None:
        for worker, declared in (
            (newer, jobs(70, concurrency="queue", concurrency_key="to")),
            (older, jobs(60)),
            (newer, jobs(80, concurrency="allow")),
            (newer, [*jobs(90, concurrency="queue"), {"name": "three", "type": "test.job", "trigger": {"kind": "manual"}}]),
        ):
            (reply,) = await stage.asks(Declare(worker=worker, jobs=declared))
            assert isinstance(reply, messages.Declared), reply
            assert reply.problems == []

    return act


@loop
async def refusals_are_kept(stage: Stage) -> Act:
    worker = await stage.here.worker()

    async def act() -> None:
        # A note of a mistake that is lost costs no job a run: it is in the log.
        stage.there.desk.refusals.note("claim", worker, "wrong")
        await stage.there.desk.refusals.keep()
        stage.there.desk.refusals.note("claim", worker, "wrong again")
        await stage.there.desk.refusals.stop()

    return act
