"""A Postgres that breaks off in the middle of things: nothing goes into quarantine, nothing fails, nothing runs twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest
from fakeredis import FakeAsyncRedis

from leveret.config import WorkerConfig
from leveret.registry import Registry
from leveret.worker import Worker
from leveret_api.app import create_app
from leveret_api.services import Services
from leveret_core.broker import events_feed
from leveret_core.broker.memory import MemoryBroker
from leveret_core.hints import Hints
from leveret_core.settings import Settings
from leveret_core.store.database import Database
from leveret_core.supervision import Supervisor
from leveret_dispatcher import loops
from leveret_dispatcher.control_plane import ControlPlane
from support.eventually import eventually
from support.proxy import Direction, Proxy

RUNS = 40
END_OTHERS = (
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
)


class Stack:
    """All of Leveret in this process, over a broker in memory; Postgres is reached through `url`."""

    def __init__(self, http: httpx.AsyncClient, supervisor: Supervisor, ran: list[int]) -> None:
        self.http = http
        self.supervisor = supervisor
        self.ran = ran
        self.statuses: list[int] = []

    async def ask(self, method: str, path: str, **body: Any) -> httpx.Response:
        """A request that is repeated as long as the server says that it should be."""
        while True:
            answer = await self.http.request(method, f"/api/v1{path}", **body)
            self.statuses.append(answer.status_code)
            assert answer.status_code < 500 or answer.status_code == 503, answer.text
            if answer.status_code != 503:
                return answer
            assert answer.headers["retry-after"]
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(url: str) -> AsyncGenerator[Stack]:
    settings = Settings(
        database_url=url,
        allowed_hosts="leveret.test",
        heartbeat=0.5,
        lease=20,
        lock_ttl=6,
        lock_renew=0.3,
        lock_margin=1,
        lock_retry=0.2,
        # What was marked as published, and the answer to that commit lost, goes out when this is over.
        ring_timeout=5,
    )
    registry, ran = Registry(), list[int]()

    @registry.job("hiccup.run")
    async def run(number: int) -> None:
        ran.append(number)
        await asyncio.sleep(0.01)

    async with AsyncExitStack() as stack:
        supervisor, memory = Supervisor(), MemoryBroker()
        broker, hints = memory.server(supervisor), Hints(None, supervisor)
        database, requests = Database(url, pool_size=4), Database(url, pool_size=4)
        for each in (database, requests):
            await each.start()
            stack.push_async_callback(each.stop)
        await broker.start()
        stack.push_async_callback(broker.stop)
        control = ControlPlane(settings, database, broker, FakeAsyncRedis(), hints, supervisor=supervisor)
        await control.start()
        stack.push_async_callback(control.stop)
        services = Services(settings, requests, broker, hints, None, supervisor=supervisor)
        transport = httpx.ASGITransport(create_app(services))
        http = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://leveret.test"))
        worker = Worker(registry.handlers, memory.worker(), config=WorkerConfig(name="w", concurrency=8))
        await worker.start()
        stack.push_async_callback(worker.stop)
        await worker.serving.wait()
        yield Stack(http, supervisor, ran)


async def all_succeed(stack: Stack, database_url: str, break_it: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Some load, while `break_it` is called again and again; afterwards all is as if nothing had been."""
    job = {
        "name": "hiccup",
        "type": "hiccup.run",
        "trigger": {"kind": "manual"},
        "concurrency": "allow",
        "max_concurrent": 1000,
    }
    every = {"name": "ticks", "type": "hiccup.run", "trigger": {"kind": "interval", "every": 1}, "payload": {"number": -1}}
    for body in (job, every):
        answer = await stack.ask("POST", "/jobs", json=body)
        assert answer.status_code == 201, answer.text

    faults: list[asyncio.Task[None]] = []
    for number in range(RUNS):
        if number % 2:
            # While the request and all the loops are at it; how many there are does not hang on the speed of the machine.
            faults.append(asyncio.create_task(break_it()))
        body = {"payload": {"number": number}, "idempotency_key": f"run {number}"}
        answer = await stack.ask("POST", "/jobs/hiccup/trigger", json=body)
        assert answer.status_code in (200, 202), answer.text
        await stack.ask("GET", "/overview")
    await asyncio.gather(*faults)
    assert 503 in stack.statuses

    observer = await asyncpg.connect(database_url)

    async def ended() -> None:
        rows = await observer.fetch(
            "select state, attempt, lost_count, count(*) from occurrence o join job j on j.id = o.job_id"
            " where j.name = 'hiccup' group by 1, 2, 3"
        )
        assert [tuple(row) for row in rows] == [("succeeded", 1, 0, RUNS)]

    await eventually(ended, timeout=30, interval=0.1)
    assert sorted(number for number in stack.ran if number >= 0) == list(range(RUNS))
    assert await observer.fetchval("select count(*) from dead_event") == 0
    bad = await observer.fetch("select state, error from occurrence where state in ('failed', 'timed_out')")
    assert [tuple(row) for row in bad] == []
    # Schedules go on by themselves.
    ticks = await observer.fetchval("select count(*) from occurrence o join job j on j.id = o.job_id where j.name = 'ticks'")

    async def ticks_again() -> bool:
        now: int = await observer.fetchval(
            "select count(*) from occurrence o join job j on j.id = o.job_id where j.name = 'ticks' and state = 'succeeded'"
        )
        return now > int(ticks)

    await eventually(ticks_again, timeout=20, interval=0.1)
    await observer.close()
    assert [state for state in stack.supervisor.states() if state.restarts or not state.healthy] == []


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "FAILURE_PAUSE", 0.05)
    monkeypatch.setattr(events_feed, "RETRY_MIN", 0.05)


async def test_all_backends_are_ended_again_and_again(database_url: str) -> None:
    """What a failover does to everybody at once."""
    killer = await asyncpg.connect(database_url)

    async def end_all() -> None:
        await asyncio.sleep(random.uniform(0, 0.02))
        async with one_at_a_time:
            await killer.execute(END_OTHERS)

    one_at_a_time = asyncio.Lock()
    async with running(database_url) as stack:
        await all_succeed(stack, database_url, end_all)
    await killer.close()


async def test_connections_break_at_any_byte(database_url: str) -> None:
    async with Proxy(database_url) as proxy, running(proxy.url) as stack:

        async def cut_somewhere() -> None:
            direction = random.choice(list(Direction))
            proxy.cut_after(random.randint(1, 4000), direction, reset=random.random() < 0.5)

        await all_succeed(stack, database_url, cut_somewhere)


async def test_a_read_only_spell_ends_nothing(database_url: str) -> None:
    """A demoted primary, or a managed Postgres whose disk is full: everything goes on by itself afterwards."""
    async with running(database_url) as stack:
        switch = await asyncpg.connect(database_url)
        name = await switch.fetchval("select current_database()")
        job = {"name": "ticks", "type": "hiccup.run", "trigger": {"kind": "interval", "every": 1}, "payload": {"number": 1}}
        assert (await stack.ask("POST", "/jobs", json=job)).status_code == 201
        await eventually(lambda: len(stack.ran) > 0)
        await switch.execute(f'alter database "{name}" set default_transaction_read_only = on')
        await switch.execute(END_OTHERS)

        async def refused() -> None:
            answer = await stack.http.post("/api/v1/jobs/ticks/trigger", json={})
            assert (answer.status_code, answer.headers.get("retry-after")) == (503, "2"), answer.text

        await eventually(refused)
        await asyncio.sleep(3)  # longer than a renewal, several ticks, every loop once
        await switch.execute("set default_transaction_read_only = off")
        await switch.execute(f'alter database "{name}" reset default_transaction_read_only')
        before = len(stack.ran)
        await eventually(lambda: len(stack.ran) > before + 1, timeout=15)
        assert [state for state in stack.supervisor.states() if state.restarts] == []
        await switch.close()
