"""A worker that may have lost its claims stops by itself, before another worker can have them."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from leveret import JobContext, Registry
from leveret_core.messages import Claim, Heartbeat, Hello
from support.eventually import eventually
from support.fake_broker import FakeServers
from support.workers import serving


class Sleeper:
    """A handler that sleeps until it is interrupted, and notes when that was."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.interrupted: list[float] = []
        self.linger = 0.0

    async def __call__(self, ctx: JobContext) -> None:
        self.begun.append(ctx.occurrence)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.interrupted.append(time.monotonic())
            await asyncio.sleep(self.linger)
            raise


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def sleeper(registry: Registry) -> Sleeper:
    return registry.job("sleep", concurrency=5)(Sleeper())


async def test_without_an_answered_heartbeat_handlers_stop_before_the_lease_is_over(
    registry: Registry, sleeper: Sleeper
) -> None:
    servers = FakeServers(lease=1.0, heartbeat=0.1)
    async with serving(servers, registry) as worker:
        first = worker.id
        key = servers.publish("sleep")
        await eventually(lambda: worker.running == 1 and len(servers.of(Heartbeat)) >= 3)
        servers.away = True
        cut = time.monotonic()
        await eventually(lambda: len(sleeper.interrupted) == 1)
        assert 0.5 < sleeper.interrupted[0] - cut < 1.0
        servers.away = False
        await eventually(lambda: len(servers.of(Hello)) == 2)
        assert worker.id != first
        assert servers.of(Hello)[-1].worker == worker.id
        assert servers.finished == []
        assert servers.acked == [key]
        servers.publish("sleep", occurrence=key[0], attempt=2)
        await eventually(lambda: worker.running == 1)
        assert servers.of(Claim)[-1].worker == worker.id


@pytest.mark.parametrize("who", ["heartbeat", "claim"])
async def test_a_worker_that_the_servers_do_not_know_stops_everything_and_begins_anew(
    registry: Registry, sleeper: Sleeper, who: str
) -> None:
    servers = FakeServers(heartbeat=0.05 if who == "heartbeat" else 5.0)
    async with serving(servers, registry) as worker:
        first = worker.id
        servers.publish("sleep")
        await eventually(lambda: worker.running == 1)
        servers.unknown.add(first)
        if who == "claim":
            servers.publish("sleep", occurrence=50)
        await eventually(lambda: len(servers.of(Hello)) == 2)
        assert len(sleeper.interrupted) == 1
        assert servers.finished == []
        if who == "claim":
            # What was asked for and not granted is asked for again by the new incarnation.
            await eventually(lambda: sleeper.begun == [1, 50])
            assert servers.of(Claim)[-1].worker == worker.id != first


async def test_hello_waits_until_what_ran_has_stopped(registry: Registry, sleeper: Sleeper) -> None:
    servers = FakeServers(heartbeat=0.05)
    sleeper.linger = 0.3
    async with serving(servers, registry, stop_grace=1) as worker:
        servers.publish("sleep")
        await eventually(lambda: worker.running == 1)
        servers.unknown.add(worker.id)
        await eventually(lambda: len(sleeper.interrupted) == 1)
        assert len(servers.of(Hello)) == 1
        await eventually(lambda: len(servers.of(Hello)) == 2)
        assert worker.running == 0
        assert time.monotonic() - sleeper.interrupted[0] >= 0.3


async def test_a_thread_that_outlives_the_lease_reports_nothing(registry: Registry) -> None:
    servers = FakeServers(heartbeat=0.05)
    release = threading.Event()

    @registry.job("crunch")
    def crunch() -> str:
        release.wait(10)
        return "too late"

    async with serving(servers, registry, stop_grace=0.1) as worker:
        servers.publish("crunch")
        await eventually(lambda: worker.running == 1)
        servers.unknown.add(worker.id)
        await eventually(lambda: len(servers.of(Hello)) == 2)
        assert worker.stuck == 1
        release.set()
        await eventually(lambda: worker.running == 0)
        await asyncio.sleep(0.05)
        assert servers.finished == []


async def test_ends_from_before_the_loss_are_still_sent_under_the_old_name(registry: Registry) -> None:
    servers = FakeServers(lease=0.5, heartbeat=0.05)
    done = asyncio.Event()

    @registry.job("mail")
    async def mail() -> None:
        done.set()

    async with serving(servers, registry) as worker:
        first = worker.id
        servers.hold_events = True
        servers.publish("mail")
        await done.wait()
        servers.away = True
        await eventually(lambda: worker.id != first)
        servers.away = servers.hold_events = False
        await eventually(lambda: servers.outcomes() == ["succeeded"])
        assert servers.event_workers == [first]


async def test_an_answer_to_a_former_self_is_not_run(registry: Registry, sleeper: Sleeper) -> None:
    servers = FakeServers(heartbeat=0.05)
    async with serving(servers, registry) as worker:
        first = worker.id
        servers.delay = 0.3
        servers.publish("sleep", occurrence=7)
        await eventually(lambda: servers.asks == [(7, 1)])
        servers.unknown.add(first)
        await eventually(lambda: worker.id != first)
        await eventually(lambda: sleeper.begun == [7])
        assert [claim.worker for claim in servers.of(Claim)] == [first, worker.id]


async def test_a_process_that_was_asleep_past_its_lease_runs_and_reports_nothing(registry: Registry, sleeper: Sleeper) -> None:
    servers = FakeServers(lease=1.0, heartbeat=0.2)
    asleep: list[str] = []

    @registry.job("awake")
    async def awake() -> None: ...

    @registry.job("nap")
    async def nap() -> str:
        # Nothing of this process goes on, its heartbeat neither, as after SIGSTOP or on a laptop with its lid shut.
        servers.away = True
        time.sleep(1.2)  # noqa: ASYNC251
        servers.away = False
        asleep.append("over")
        return "another worker's by now"

    async with serving(servers, registry) as worker:
        first = worker.id
        servers.publish("nap")
        await eventually(lambda: asleep == ["over"])
        await eventually(lambda: len(servers.of(Hello)) == 2)
        assert worker.id != first
        servers.publish("awake", occurrence=99)
        await eventually(lambda: servers.finished != [])
        assert [event.occurrence for event in servers.finished] == [99]
