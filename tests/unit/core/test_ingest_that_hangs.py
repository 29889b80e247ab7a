# pyright: reportPrivateUsage=false
"""A batch of events that hangs is ended and tried again; a process in which that does not help is ended."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Sequence

import asyncpg
import pytest
from fakeredis import FakeAsyncRedis

from leveret_core import supervision
from leveret_core.broker import events_feed
from leveret_core.broker.base import EventMessage
from leveret_core.broker.events_feed import Arrived, EventsFeed
from leveret_core.broker.memory import MemoryBroker
from leveret_core.hints import Hints
from leveret_core.settings import Settings
from leveret_core.store.database import Database
from leveret_core.supervision import Supervisor
from leveret_dispatcher import control_plane
from leveret_dispatcher.control_plane import ControlPlane
from leveret_dispatcher.ends.ingestor import Ingestor
from leveret_dispatcher.leadership.watchdog import Watchdog
from support.eventually import eventually


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, seconds in (
        (events_feed, "BATCH_LIMIT", 0.03),
        (events_feed, "END_TIMEOUT", 0.05),
        (events_feed, "RETRY_MIN", 0.0),
        (events_feed, "RETRY_MAX", 0.0),
        (control_plane, "BEYOND", 0.05),
        (control_plane, "BLOCKED", 2.0),
    ):
        monkeypatch.setattr(module, name, seconds)


async def acked() -> None: ...


def an_event(body: bytes = b"an end") -> Arrived:
    return Arrived(EventMessage(body, acked), lambda: False)


class Ingesting:
    """An ingestor of which each call does as told; the last one again and again."""

    def __init__(self, *calls: str) -> None:
        self.left = list(calls)
        self.calls = 0
        self.taken: list[bytes] = []
        self.free = asyncio.Event()

    async def ingest(self, batch: Sequence[EventMessage]) -> None:
        self.calls += 1
        match self.left.pop(0) if len(self.left) > 1 else self.left[0]:
            case "hangs":
                await asyncio.Event().wait()
            case "never ends":
                while not self.free.is_set():
                    with contextlib.suppress(asyncio.CancelledError):
                        await self.free.wait()
            case "Postgres is away":
                raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
            case _:
                self.taken += [message.body for message in batch]


@pytest.fixture
async def supervisor() -> AsyncGenerator[Supervisor]:
    made = Supervisor()
    yield made
    await made.stop(*made._kept)


async def feeding(supervisor: Supervisor, ingesting: Ingesting) -> EventsFeed:
    feed = EventsFeed(ingesting.ingest)
    supervisor.keep("events", feed.run, steps=feed.steps)
    feed.inbox.put(an_event())
    return feed


async def test_a_batch_that_hangs_is_ended_and_handed_over_again(supervisor: Supervisor) -> None:
    ingesting = Ingesting("hangs", "takes")
    await feeding(supervisor, ingesting)
    await eventually(lambda: ingesting.taken == [b"an end"], timeout=2)
    (state,) = supervisor.states()
    assert (state.failures, state.failing, state.healthy, supervisor.stuck()) == (1, 0.0, True, None)


async def test_batches_that_all_hang_are_a_matter_for_the_watchdog(supervisor: Supervisor) -> None:
    await feeding(supervisor, Ingesting("hangs"))
    await eventually(lambda: supervisor.stuck() == "events", timeout=2)
    assert (supervisor.states()[0].error or "").startswith("TimeoutError")


async def test_a_postgres_that_is_away_for_however_long_is_none(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "PATIENCE", 0.02)
    ingesting = Ingesting(*["hangs"] * (supervision.MAX_HUNG - 1), "Postgres is away")
    await feeding(supervisor, ingesting)
    await eventually(lambda: ingesting.calls > 3 * supervision.MAX_HUNG, timeout=2)
    assert supervisor.stuck(beyond=0.05) is None
    assert not supervisor.states()[0].healthy, "but it shows"


@pytest.mark.parametrize("call", ["hangs", "never ends"])
async def test_a_process_whose_ingest_does_not_come_on_is_ended_whether_it_holds_the_term_or_not(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    ingesting = Ingesting(call)

    async def ingest(_: Ingestor, batch: Sequence[EventMessage]) -> None:
        await ingesting.ingest(batch)

    monkeypatch.setattr(Ingestor, "ingest", ingest)
    ended, supervisor, memory = threading.Event(), Supervisor(), MemoryBroker()
    broker = memory.server(supervisor)
    control = ControlPlane(
        Settings(),
        Database("postgresql://127.0.0.1:1/nowhere"),
        broker,
        FakeAsyncRedis(),
        Hints(None),
        supervisor=supervisor,
        dispatcher=False,
        end_process=ended.set,
    )
    await broker.start()
    await control.start()
    await asyncio.sleep(0.5)
    assert not ended.is_set(), "there is nothing to ingest"
    worker = memory.worker()
    await worker.start()
    await worker.send_events(b"an end", 1)
    await eventually(ended.is_set, timeout=5)
    ingesting.free.set()
    await control.stop()
    await broker.stop()


async def test_a_process_that_ingests_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ended, supervisor = threading.Event(), Supervisor()
    await feeding(supervisor, Ingesting("hangs", "takes"))
    watchdog = Watchdog(0.4, ended.set, lambda awake: supervisor.stuck(beyond=0.05, awake_since=awake))
    watchdog.start()
    await asyncio.sleep(0.5)
    watchdog.stop()
    assert not ended.is_set()
