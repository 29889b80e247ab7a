# pyright: reportPrivateUsage=false
"""Whatever a call raises, the loop that made it goes on: no list of errors is complete."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from fakeredis import FakeAsyncRedis

from leveret_core import hints as hints_module
from leveret_core.broker.base import EventMessage
from leveret_core.broker.events_feed import Arrived, EventsFeed
from leveret_core.errors import TermOver
from leveret_core.hints import CHANNEL, Hint, Hints
from leveret_core.settings import Settings
from leveret_core.store.database import Database
from leveret_core.supervision import Steps, Supervisor
from leveret_dispatcher import loops as loops_module
from leveret_dispatcher.leadership.candidate import Candidate
from leveret_dispatcher.leadership.lock import RedisLock
from leveret_dispatcher.leadership.term import Term
from leveret_dispatcher.loops import Errand, Loop
from leveret_dispatcher.schedule import commit_listener
from leveret_dispatcher.schedule.commit_listener import CommitListener
from support.eventually import eventually

ERRORS: list[Exception] = [
    asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress"),
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.ReadOnlySQLTransactionError("cannot execute UPDATE in a read-only transaction"),
    asyncpg.DiskFullError("could not extend file"),
    asyncpg.OutOfMemoryError("out of shared memory"),
    asyncpg.InvalidPasswordError("password authentication failed"),
    asyncpg.UndefinedTableError("no such table"),
    asyncpg.InvalidCachedStatementError("cached statement plan is invalid"),
    asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
    asyncpg.NotNullViolationError("null value"),
    ConnectionResetError("reset"),
    TimeoutError(),
    AttributeError("'NoneType' object has no attribute 'decode'"),
    RuntimeError("of any other kind"),
]
SETTINGS = Settings(lock_ttl=2, lock_renew=0.01, lock_margin=0.1, lock_retry=0.01)


class Failing:
    """Raises every error once, and then does what it is asked to."""

    def __init__(self, then: Callable[..., Awaitable[Any]]) -> None:
        self.left = list(ERRORS)
        self.then = then

    async def __call__(self, *args: object, **options: object) -> Any:
        if self.left:
            raise self.left.pop(0)
        return await self.then(*args, **options)


async def _none(*_: object, **__: object) -> None:
    return None


@pytest.fixture
async def supervisor() -> AsyncGenerator[Supervisor]:
    kept = Supervisor()
    yield kept
    assert [state for state in kept.states() if state.restarts] == []  # each goes on by itself
    await kept.stop(*kept._kept)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops_module, "FAILURE_PAUSE", 0.0)
    monkeypatch.setattr(commit_listener, "RETRY", 0.0)
    monkeypatch.setattr(hints_module, "RETRY", 0.0)


async def test_a_loop_of_the_dispatcher() -> None:
    step = Failing(_none)
    assert await Loop("scheduler", step, Steps("scheduler", 60), lambda: None).once() is None
    assert step.left == []


async def test_a_loop_ends_with_its_term() -> None:
    async def over() -> float:
        raise TermOver("another holds it")

    with pytest.raises(TermOver):
        await Loop("scheduler", over, Steps("scheduler", 60), lambda: None).run()


async def test_the_timetable_of_the_dispatcher() -> None:
    step = Failing(_none)
    errand = Errand("reaper", step, 5.0, Steps("reaper", 60))
    while step.left:
        await errand.run_once()


async def test_the_listener_to_commits(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    listening = asyncio.Event()

    async def listen() -> None:
        listening.set()
        await asyncio.Event().wait()

    listener = CommitListener("postgresql://127.0.0.1:1/nowhere", lambda: None, Steps("listener", 60))
    monkeypatch.setattr(listener, "_listen", Failing(listen))
    supervisor.keep("listener", listener.run)
    await asyncio.wait_for(listening.wait(), 5)


async def test_the_candidate(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(name: str, *_: object, **__: object) -> int | None:
        return {"term/raise_epoch": 1, "term/renew": 1}.get(name)

    database = Database("postgresql://127.0.0.1:1/nowhere")
    electing = Failing(answer)
    monkeypatch.setattr(database, "fetchval", electing)
    monkeypatch.setattr(database, "execute", Failing(_none))
    redis = FakeAsyncRedis()
    dispatching = asyncio.Event()

    async def dispatch(_: Term) -> None:
        dispatching.set()
        await asyncio.Event().wait()

    candidate = Candidate(SETTINGS, database, RedisLock(redis, "mine", 2), Hints(None), dispatch)
    supervisor.keep("candidate", candidate.run)
    await asyncio.wait_for(dispatching.wait(), 5)
    electing.left = list(ERRORS)
    await eventually(lambda: electing.left == [])
    assert candidate.term is not None  # renewed by the lock alone meanwhile
    # And Redis, with the lease alone.
    failing = Failing(redis.eval)
    monkeypatch.setattr(redis, "eval", failing)
    await eventually(lambda: failing.left == [])
    assert candidate.term is not None


async def test_the_ingestor_s_feed(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leveret_core.broker.events_feed.RETRY_MIN", 0.0)
    taken: list[bytes] = []

    async def ingest(batch: list[EventMessage]) -> None:
        taken.extend(message.body for message in batch)

    feed = EventsFeed(Failing(ingest))
    supervisor.keep("events", feed.run, steps=feed.steps)
    feed.inbox.put(Arrived(EventMessage(b"an end", _none), lambda: False))
    await eventually(lambda: taken == [b"an end"], timeout=60)


async def test_hints_go_on_whatever_stands_in_their_channel(supervisor: Supervisor) -> None:
    redis = FakeAsyncRedis()
    heard: list[Hint] = []
    hints = Hints(redis, supervisor)

    def breaks(_: Hint) -> None:
        raise KeyError("a subscriber's own")

    hints.subscribe(breaks)
    hints.subscribe(heard.append)
    await hints.start()

    async def listens() -> None:
        assert await redis.publish(CHANNEL, b"x {}") > 0

    await eventually(listens)
    for foreign in (
        b"\xff\xfe {}",
        b"",
        b" ",
        b"x",
        b"x \xff\xfe",
        b"x null",
        b'x {"topic": 5}',
        b'x {"topic": "jobs", "ids": [9223372036854775808]}',
        b'x {"topic": "jobs", "ids": [0]}',
        b'x {"topic": "jobs", "ids": ["1"]}',
        b'x {"topic": "jobs", "ids": [' + b"1," * 10_000 + b"1]}",
        b'x {"topic": "unheard of"}',
        b"x " + b"[" * 10_000,
        b"x " + b"1" * 100_000,
    ):
        await redis.publish(CHANNEL, foreign)
    await redis.publish(CHANNEL, b'another {"topic": "jobs", "ids": [7]}')
    await eventually(lambda: heard == [Hint("jobs", (7,))])
    await hints.stop()


async def test_hints_go_on_after_any_error(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", "leveret_core.hints")
    here, there = FakeAsyncRedis(), FakeAsyncRedis()
    hints = Hints(here, supervisor)
    sending = Failing(hints._flush)
    monkeypatch.setattr(hints, "_flush", sending)
    opening, pubsub = list(ERRORS), here.pubsub

    def failing_pubsub(**options: Any) -> Any:
        subscription = pubsub(**options)
        if opening:
            error = opening.pop(0)

            async def subscribe(*_: object) -> None:
                raise error

            monkeypatch.setattr(subscription, "subscribe", subscribe)
        return subscription

    monkeypatch.setattr(here, "pubsub", failing_pubsub)
    await hints.start()
    hints.send(Hint("jobs", (1,)))
    await eventually(lambda: not opening and not sending.left)
    await eventually(lambda: "answers again" in caplog.text)
    away = [r for r in caplog.records if "does not answer" in r.message]
    assert len(away) == 1  # once when it goes, not with each try
    await there.aclose()
    await hints.stop()
