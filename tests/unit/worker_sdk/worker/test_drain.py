"""Ending a worker without losing anything."""

from __future__ import annotations

import asyncio
import threading

import pytest

from leveret import JobContext, Registry
from leveret_core.messages import Claim, Goodbye, Heartbeat, Hello
from support.eventually import eventually
from support.fake_broker import FakeServers
from support.workers import serving


@pytest.fixture
def servers() -> FakeServers:
    return FakeServers()


@pytest.fixture
def registry() -> Registry:
    return Registry()


async def test_what_runs_may_end_and_what_was_not_claimed_goes_back(registry: Registry) -> None:
    servers = FakeServers(heartbeat=0.05)
    release = asyncio.Event()

    @registry.job("mail", concurrency=1)
    async def mail() -> None:
        await release.wait()

    registry.job("other", concurrency=1)(mail)
    async with serving(servers, registry, concurrency=1) as worker:
        running, waiting = servers.publish("mail"), servers.publish("other")
        await eventually(lambda: worker.running == 1)
        draining = asyncio.create_task(worker.drain(5))
        await eventually(lambda: servers.requeued == [waiting])
        await eventually(lambda: any(beat.draining for beat in servers.of(Heartbeat)))
        assert not draining.done()
        servers.publish("mail", occurrence=99)
        release.set()
        await asyncio.wait_for(draining, 5)
        assert servers.outcomes() == ["succeeded"]
        assert servers.acked == [running]
        assert (99, 1) not in servers.asks
        assert isinstance(servers.of(Claim, Goodbye)[-1], Goodbye)


async def test_after_the_grace_the_rest_is_interrupted_and_handed_back(servers: FakeServers, registry: Registry) -> None:
    cleaned: list[bool] = []

    @registry.job("mail")
    async def mail(ctx: JobContext) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.append(ctx.cancelled)

    async with serving(servers, registry) as worker:
        key = servers.publish("mail")
        await eventually(lambda: worker.running == 1)
        await asyncio.wait_for(worker.drain(0.1), 5)
        assert servers.outcomes() == ["released"]
        assert servers.acked == [key]
        assert cleaned == [True]
        assert len(servers.of(Goodbye)) == 1


async def test_a_claim_that_is_answered_during_the_drain_is_handed_back_unrun(servers: FakeServers, registry: Registry) -> None:
    begun: list[int] = []

    @registry.job("mail")
    async def mail(ctx: JobContext) -> None:
        begun.append(ctx.occurrence)

    async with serving(servers, registry) as worker:
        servers.delay = 0.15
        key = servers.publish("mail")
        await eventually(lambda: servers.asks == [key])
        await asyncio.wait_for(worker.drain(5), 5)
        assert begun == []
        assert servers.outcomes() == ["released"]
        assert servers.acked == [key]


async def test_a_claim_that_is_not_answered_does_not_hold_up_the_drain(servers: FakeServers, registry: Registry) -> None:
    @registry.job("mail")
    async def mail() -> None: ...

    async with serving(servers, registry, ask_timeout=0.1) as worker:
        servers.mute = True
        key = servers.publish("mail")
        await eventually(lambda: servers.asks == [key])
        await asyncio.wait_for(worker.drain(30), 5)
        assert servers.requeued == [key]


async def test_a_thread_that_does_not_stop_does_not_hold_up_the_drain(servers: FakeServers, registry: Registry) -> None:
    release = threading.Event()

    @registry.job("crunch")
    def crunch() -> None:
        release.wait(10)

    async with serving(servers, registry, stop_grace=0.1) as worker:
        servers.publish("crunch")
        await eventually(lambda: worker.running == 1)
        await asyncio.wait_for(worker.drain(0.05), 5)
        assert servers.outcomes() == ["released"]
        assert worker.stuck == 1
        release.set()


async def test_events_held_up_by_the_broker_are_sent_before_the_goodbye(servers: FakeServers, registry: Registry) -> None:
    @registry.job("mail")
    async def mail() -> None: ...

    async with serving(servers, registry, send_timeout=0.05) as worker:
        servers.hold_events = True
        servers.publish("mail")
        await eventually(lambda: len(servers.asks) == 1)
        draining = asyncio.create_task(worker.drain(5))
        await asyncio.sleep(0.2)
        assert servers.of(Goodbye) == []
        servers.hold_events = False
        await asyncio.wait_for(draining, 5)
        assert servers.outcomes() == ["succeeded"]
        assert len(servers.of(Goodbye)) == 1


async def test_draining_twice_is_draining_once(servers: FakeServers, registry: Registry) -> None:
    @registry.job("mail")
    async def mail() -> None: ...

    async with serving(servers, registry) as worker:
        await asyncio.gather(worker.drain(1), worker.drain(1))
        assert len(servers.of(Goodbye)) == 1


async def test_a_worker_that_said_goodbye_does_not_come_back(registry: Registry, caplog: pytest.LogCaptureFixture) -> None:
    servers = FakeServers(lease=0.5, heartbeat=0.02)
    release = threading.Event()

    @registry.job("crunch")
    def crunch() -> None:
        release.wait(10)

    async with serving(servers, registry, stop_grace=0.05) as worker:
        servers.publish("crunch")
        await eventually(lambda: worker.running == 1)
        await worker.drain(0)
        await asyncio.sleep(0.7)  # longer than the lease
        assert len(servers.of(Hello)) == 1
        assert "lease is over" not in caplog.text
        release.set()
