"""What handlers share while their worker lives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest

import leveret.worker.run.lifespans as lifespan_module
from leveret import InvalidInput, JobContext, Registry
from leveret.config import WorkerConfig
from leveret.errors import LeveretError, LifespanError
from leveret.worker import Worker
from support.eventually import eventually
from support.fake_broker import FakeBroker, FakeServers
from support.workers import serving


@dataclass
class Pool:
    name: str


@dataclass
class Cache:
    size: int


def a_worker(registry: Registry, servers: FakeServers) -> Worker:
    return Worker(registry.handlers, FakeBroker(servers), config=WorkerConfig(stop_grace=0.1))


async def test_handlers_find_what_was_yielded_by_its_type_in_tasks_and_threads() -> None:
    servers, registry, story = FakeServers(), Registry(), list[str]()

    @registry.lifespan
    async def pool() -> AsyncIterator[Pool]:
        story.append("pool opens")
        yield Pool("main")
        story.append("pool closes")

    @registry.lifespan
    async def cache() -> AsyncIterator[Cache]:
        story.append("cache opens")
        yield Cache(7)
        story.append("cache closes")

    @registry.job("a")
    async def asynchronous(ctx: JobContext) -> str:
        story.append("run")
        return ctx.state[Pool].name

    @registry.job("b")
    def threaded(ctx: JobContext) -> int:
        return ctx.state[Cache].size

    async with serving(servers, registry):
        servers.publish("a")
        servers.publish("b")
        await eventually(lambda: len(servers.finished) == 2)
    assert sorted(bytes(event.result) for event in servers.finished) == [b'"main"', b"7"]
    assert story == ["pool opens", "cache opens", "run", "cache closes", "pool closes"]


async def test_nothing_is_served_before_the_lifespans_have_started() -> None:
    servers, registry, gate = FakeServers(), Registry(), asyncio.Event()

    @registry.lifespan
    async def slow() -> AsyncIterator[None]:
        await gate.wait()
        yield

    @registry.job("a")
    async def handler() -> None: ...

    worker = a_worker(registry, servers)
    await worker.start()
    await asyncio.sleep(0.05)
    assert servers.requests == []
    assert servers.queues == {}
    gate.set()
    await asyncio.wait_for(worker.serving.wait(), 5)
    await worker.stop()


async def test_a_worker_can_be_stopped_while_a_lifespan_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifespan_module, "LEAVE_TIMEOUT", 5.0)
    registry, told = Registry(), asyncio.Event()

    @registry.lifespan
    async def endless() -> AsyncIterator[None]:
        try:
            await asyncio.Event().wait()
            yield
        finally:
            told.set()

    @registry.job("a")
    async def handler() -> None: ...

    worker = a_worker(registry, FakeServers())
    await worker.start()
    await asyncio.sleep(0.01)
    await asyncio.wait_for(worker.stop(), 3)
    assert told.is_set()


@pytest.mark.parametrize(
    ("message", "kind"),
    [("ConnectionError: no database", ConnectionError), ("it ended without a yield", None)],
)
async def test_a_lifespan_that_does_not_start_ends_the_worker_and_the_ones_before(
    message: str, kind: type[Exception] | None, caplog: pytest.LogCaptureFixture
) -> None:
    registry, left = Registry(), asyncio.Event()

    @registry.lifespan
    async def first() -> AsyncIterator[None]:
        yield
        left.set()

    @registry.lifespan
    async def second() -> AsyncIterator[None]:
        if kind is not None:
            raise kind("no database")
        if not left:
            yield

    @registry.job("a")
    async def handler() -> None: ...

    worker = a_worker(registry, FakeServers())
    await worker.start()
    with pytest.raises(LifespanError, match=rf"second did not start: {message}"):
        await asyncio.wait_for(worker.wait(), 5)
    await worker.stop()
    assert left.is_set()
    assert [record.exc_info is not None for record in caplog.records if "did not start" in record.message] == [True]


async def test_it_ends_after_the_runs_that_a_drain_lets_finish() -> None:
    servers, registry, story = FakeServers(), Registry(), list[str]()
    begun, go_on = asyncio.Event(), asyncio.Event()

    @registry.lifespan
    async def pool() -> AsyncIterator[Pool]:
        yield Pool("main")
        story.append("pool closes")

    @registry.job("a")
    async def handler() -> None:
        begun.set()
        await go_on.wait()
        story.append("run ends")

    worker = a_worker(registry, servers)
    await worker.start()
    await worker.serving.wait()
    servers.publish("a")
    await begun.wait()
    draining = asyncio.create_task(worker.drain(5))
    await asyncio.sleep(0.05)
    go_on.set()
    await draining
    await worker.stop()
    assert story == ["run ends", "pool closes"]
    assert servers.outcomes() == ["succeeded"]


async def test_it_may_hold_a_task_group_open() -> None:
    registry, ended = Registry(), asyncio.Event()

    async def background() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    @registry.lifespan
    async def group() -> AsyncIterator[asyncio.TaskGroup]:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(background())
            yield tasks
            task.cancel()

    @registry.job("a")
    async def handler() -> None: ...

    async with serving(FakeServers(), registry):
        pass
    assert ended.is_set()


async def test_one_that_fails_at_the_end_is_logged_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    registry = Registry()

    @registry.lifespan
    async def pool() -> AsyncIterator[None]:
        yield
        raise RuntimeError("cannot close")

    @registry.job("a")
    async def handler() -> None: ...

    async with serving(FakeServers(), registry):
        pass
    assert "a lifespan did not end in order" in caplog.text
    assert "cannot close" in caplog.text


async def test_state_that_no_lifespan_yields_is_named() -> None:
    servers, registry = FakeServers(), Registry()

    @registry.job("a")
    async def handler(ctx: JobContext) -> str:
        return ctx.state[Pool].name

    async with serving(servers, registry):
        servers.publish("a")
        await eventually(lambda: len(servers.finished) == 1)
    error = servers.finished[0].error
    assert error is not None
    assert error.message == "ctx.state holds no Pool: no lifespan of this worker yields one"


def process_handler(ctx: JobContext) -> str:
    try:
        return ctx.state[Pool].name
    except LeveretError as error:
        return str(error)


async def test_a_handler_in_a_process_has_none_and_is_told_why() -> None:
    servers, registry = FakeServers(), Registry()

    @registry.lifespan
    async def pool() -> AsyncIterator[Pool]:
        yield Pool("main")

    registry.job("a", process=True)(process_handler)
    async with serving(servers, registry):
        servers.publish("a")
        await eventually(lambda: len(servers.finished) == 1, timeout=30)
    assert b"a handler with process=True runs in a process of its own" in bytes(servers.finished[0].result)


async def _plain() -> None: ...


def _generator() -> Any:
    yield


async def _wants(pool: Pool) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize(
    ("function", "complaint"),
    [(_plain, "must be on an `async def` that yields once"), (_generator, "must be on"), (_wants, "has a parameter 'pool'")],
)
def test_what_is_no_lifespan_is_refused_where_it_is_written(function: Callable[..., Any], complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        Registry().lifespan(function)


async def test_a_module_that_is_loaded_again_replaces_its_lifespan() -> None:
    servers, registry = FakeServers(), Registry()
    for name in ("old", "new"):

        @registry.lifespan
        async def pool(name: str = name) -> AsyncIterator[Pool]:
            yield Pool(name)

    @registry.job("a")
    async def handler(ctx: JobContext) -> str:
        return ctx.state[Pool].name

    async with serving(servers, registry):
        servers.publish("a")
        await eventually(lambda: len(servers.finished) == 1)
    assert bytes(servers.finished[0].result) == b'"new"'
