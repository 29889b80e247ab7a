"""What RabbitMQ and the network do to a worker, on a RabbitMQ to be hurt: its runs go on, once, and their ends arrive."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest

from leveret import JobContext, Registry
from leveret_core.broker.rabbitmq_server import RabbitServerBroker
from leveret_core.messages import Heartbeat, Hello
from support.available import new_rabbit
from support.eventually import eventually
from support.processes import StartLeveret
from support.proxy import Direction, Proxy
from support.rabbitmq import USER, RabbitServer
from support.scripted import Servers, left_in, working
from support.servers import NotAvailable

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def node() -> Iterator[RabbitServer]:
    """A broker that these tests may hurt; each leaves it as it was."""
    try:
        node = new_rabbit()
    except NotAvailable as error:
        pytest.skip(str(error))
    try:
        node.start()
        yield node
    finally:
        node.remove()


class Held:
    """A handler that runs until it is let go, and counts its runs."""

    def __init__(self, registry: Registry, pattern: str = "mail", concurrency: int = 5) -> None:
        self.begun: Counter[int] = Counter()
        self.interrupted = 0
        self.let_go = asyncio.Event()
        registry.job(pattern, concurrency=concurrency)(self.run)

    async def run(self, ctx: JobContext) -> int:
        self.begun[ctx.occurrence] += 1
        ctx.log.info("begun")
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.interrupted += 1
            raise
        ctx.log.info("let go")
        return ctx.occurrence


@pytest.fixture
def registry() -> Registry:
    return Registry()


def permit(vhost: str) -> str:
    return f'rabbit_auth_backend_internal:set_permissions(<<"{USER}">>, <<"{vhost}">>, <<".*">>, <<".*">>, <<".*">>, <<"t">>)'


@pytest.fixture
async def url(node: RabbitServer) -> str:
    """A fresh virtual host."""
    vhost = f"own-{random.getrandbits(32):x}"
    await ctl(node, "eval", f'rabbit_vhost:add(<<"{vhost}">>, <<"t">>), {permit(vhost)}, ok.')
    return node.url + vhost


@pytest.fixture
async def servers(url: str) -> AsyncIterator[Servers]:
    broker = RabbitServerBroker(url)
    servers = Servers(broker, lease=30, heartbeat=0.5)
    await servers.start()
    yield servers
    await broker.stop()


async def ctl(node: RabbitServer, *args: str) -> str:
    return await asyncio.to_thread(node.ctl, *args)


def ends(servers: Servers) -> dict[int, str]:
    """Occurrence → outcome; an end may come twice, but not with two outcomes."""
    found: dict[int, str] = {event.occurrence: event.outcome for event in servers.finished}
    assert len({(event.occurrence, event.outcome) for event in servers.finished}) == len(found)
    return found


async def test_a_run_outlives_a_restart_of_the_broker(
    node: RabbitServer, url: str, servers: Servers, registry: Registry
) -> None:
    held = Held(registry)
    async with working(url, registry) as worker:
        first = worker.id
        key = await servers.publish_for("mail")
        await eventually(lambda: worker.running == 1)
        await ctl(node, "stop_app")
        await ctl(node, "start_app")
        held.let_go.set()
        await eventually(lambda: ends(servers) == {key[0]: "succeeded"}, timeout=30)
        again = await eventually(lambda: publish(servers), timeout=20)
        await eventually(lambda: ends(servers).get(again) == "succeeded", timeout=20)
        assert (held.begun, worker.id) == (Counter({key[0]: 1, again: 1}), first)


async def publish(servers: Servers) -> int:
    """Publish one more; the servers' own connection and the queue have to be back for that."""
    return (await servers.publish_for("mail"))[0]


async def test_a_frozen_broker_that_comes_back_within_the_lease_interrupts_nothing(
    node: RabbitServer, url: str, servers: Servers, registry: Registry
) -> None:
    held = Held(registry)
    async with working(url, registry) as worker:
        first = worker.id
        keys = [await servers.publish_for("mail") for _ in range(3)]
        await eventually(lambda: worker.running == 3)
        node.freeze()
        try:
            held.let_go.set()
            await eventually(lambda: worker.running == 0)
            await asyncio.sleep(2.5)  # longer than a batch of events may take
        finally:
            node.thaw()
        await eventually(lambda: ends(servers) == {key[0]: "succeeded" for key in keys}, timeout=20)
        assert (worker.id, held.interrupted, set(held.begun.values())) == (first, 0, {1})


@pytest.mark.parametrize("alarm", ["memory", "disk"])
async def test_in_an_alarm_of_the_broker_ends_wait_on_disk_and_arrive_when_it_is_over(
    node: RabbitServer, url: str, servers: Servers, registry: Registry, tmp_path: Path, alarm: str
) -> None:
    raised, cleared = {
        "memory": (("set_vm_memory_high_watermark", "absolute", "1MB"), ("set_vm_memory_high_watermark", "0.9")),
        "disk": (("set_disk_free_limit", "100000GB"), ("set_disk_free_limit", "1MB")),
    }[alarm]
    held = Held(registry)
    async with working(url, registry, spool_dir=tmp_path, send_timeout=0.5) as worker:
        first = worker.id
        keys = [await servers.publish_for("mail") for _ in range(3)]
        await eventually(lambda: len(servers.logs) == 3)
        await ctl(node, *raised)
        try:
            held.let_go.set()
            await eventually(lambda: any(file.stat().st_size > 500 for file in files(tmp_path)), timeout=20)
            assert servers.finished == []
        finally:
            await ctl(node, *cleared)
        await eventually(lambda: ends(servers) == {key[0]: "succeeded" for key in keys}, timeout=20)
        await eventually(lambda: len({(log.occurrence, log.seq) for log in servers.logs}) == 6)
        assert (worker.id, set(held.begun.values())) == (first, {1})
        # What has arrived may still lack the broker's word, which comes late while its disk is busy; it is sent until then.
        await eventually(lambda: not any(file.stat().st_size > 500 for file in files(tmp_path)), timeout=20)
    assert files(tmp_path) == []


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


@pytest.mark.parametrize("early_ack", [0.5, 60.0], ids=["acknowledged early", "not acknowledged"])
async def test_a_run_longer_than_the_brokers_time_limit_runs_once(
    node: RabbitServer, url: str, servers: Servers, registry: Registry, caplog: pytest.LogCaptureFixture, early_ack: float
) -> None:
    limits = "application:set_env(rabbit, {}), application:set_env(rabbit, {}), ok."
    await ctl(node, "eval", limits.format("consumer_timeout, 2000", "channel_tick_interval, 500"))
    try:
        held = Held(registry)
        async with working(url, registry, early_ack=early_ack) as worker:
            key = await servers.publish_for("mail")
            await eventually(lambda: worker.running == 1)
            if early_ack < 2:
                await asyncio.sleep(5)  # more than the limit and a look of the broker
            else:
                await eventually(lambda: "worker dispatch messages lost" in caplog.text, timeout=20)
            held.let_go.set()
            await eventually(lambda: ends(servers) == {key[0]: "succeeded"}, timeout=20)
            await eventually(lambda: nothing_left(url), timeout=20)
            await worker.drain()
            assert held.begun == Counter({key[0]: 1})
            assert ("worker dispatch messages lost" in caplog.text) == (early_ack > 2)
        await nothing_left(url)
    finally:
        await ctl(node, "eval", limits.format("consumer_timeout, 1800000", "channel_tick_interval, 60000"))


async def nothing_left(url: str) -> None:
    assert await left_in(url, "mail") == 0


async def test_everything_is_made_again_after_the_virtual_host_was_lost(
    node: RabbitServer, url: str, servers: Servers, registry: Registry
) -> None:
    vhost = url.rpartition("/")[2]
    held = Held(registry)
    async with working(url, registry) as worker:
        first = worker.id
        key = await servers.publish_for("mail")
        await eventually(lambda: worker.running == 1)
        await ctl(node, "delete_vhost", vhost)
        await ctl(node, "eval", f'rabbit_vhost:add(<<"{vhost}">>, <<"t">>), {permit(vhost)}, ok.')
        held.let_go.set()
        await eventually(lambda: ends(servers) == {key[0]: "succeeded"}, timeout=30)
        again = await eventually(lambda: publish(servers), timeout=30, interval=0.2)
        await eventually(lambda: ends(servers).get(again) == "succeeded", timeout=20)
        assert (held.begun[key[0]], worker.id) == (1, first)


@pytest.mark.parametrize("direction", [*Direction, None], ids=["to server", "to client", "both"])
async def test_a_half_open_connection_is_noticed_and_replaced_while_runs_go_on(
    url: str, servers: Servers, registry: Registry, direction: Direction | None
) -> None:
    held = Held(registry)
    async with Proxy(url) as proxy, working(proxy.url + "?heartbeat=1", registry) as worker:
        first = worker.id
        key = await servers.publish_for("mail")
        await eventually(lambda: worker.running == 1)
        beats = len(servers.of(Heartbeat))
        before = proxy.accepted
        proxy.blackhole(direction)
        held.let_go.set()
        # Four connections: dispatch messages, events, control, and the heartbeat's own.
        await eventually(lambda: proxy.accepted >= before + 4, timeout=20)
        await proxy.heal()
        await eventually(lambda: ends(servers) == {key[0]: "succeeded"}, timeout=20)
        await eventually(lambda: len(servers.of(Heartbeat)) > beats + 2, timeout=20)
        again = await servers.publish_for("mail")
        await eventually(lambda: ends(servers).get(again[0]) == "succeeded", timeout=20)
        assert (worker.id, len(servers.of(Hello)), held.begun[key[0]]) == (first, 1, 1)


async def test_a_dispatch_message_that_comes_two_hundred_times_runs_once_and_leaves_nothing_behind(
    url: str, servers: Servers, registry: Registry
) -> None:
    held = Held(registry, concurrency=20)
    async with working(url, registry, early_ack=0.5) as worker:
        key = await servers.publish_for("mail")
        for _ in range(100):
            await servers.publish_for("mail", occurrence=key[0])
        await eventually(lambda: worker.running == 1)
        held.let_go.set()
        await eventually(lambda: ends(servers) == {key[0]: "succeeded"})
        for _ in range(100):
            await servers.publish_for("mail", occurrence=key[0])
        await eventually(lambda: nothing_left(url))
        await worker.drain()
        assert (held.begun, len(servers.finished)) == (Counter({key[0]: 1}), 1)
    await nothing_left(url)


async def test_sigterm_while_a_claim_is_unanswered_gives_the_message_back(
    url: str, servers: Servers, start_leveret: StartLeveret, tmp_path: Path
) -> None:
    (tmp_path / "waiting_jobs.py").write_text("from leveret import job\n\n@job('mail')\ndef mail(): print('it ran')\n")
    process = start_leveret("worker", "waiting_jobs", "--grace", "1", env={"LEVERET_AMQP_URL": url}, cwd=tmp_path)
    await eventually(lambda: len(servers.of(Hello)) == 1, timeout=20)
    servers.mute = True
    await servers.publish_for("mail")
    await eventually(lambda: len(servers.asks) >= 1)
    servers.mute = False
    servers.answers[1, 1] = "busy"  # it is asked again, and never answered
    process.terminate()
    assert await asyncio.to_thread(process.wait, 20) == 0
    assert (await left_in(url, "mail"), servers.finished) == (1, [])
    assert "it ran" not in process.output()


def succeeded(servers: Servers, occurrence: int) -> bool:
    return ends(servers).get(occurrence) == "succeeded"


async def test_events_sent_twice_because_their_confirmation_was_lost_tell_the_same(
    url: str, servers: Servers, registry: Registry, tmp_path: Path
) -> None:
    held = Held(registry)
    async with Proxy(url) as proxy, working(proxy.url, registry, spool_dir=tmp_path) as worker:
        held.let_go.set()
        for _ in range(5):
            cut = proxy.cut_after(rb'"kind":"finished"', Direction.TO_SERVER, reset=True)
            key = await servers.publish_for("mail")
            await asyncio.wait_for(cut.fired.wait(), 20)
            await eventually(partial(succeeded, servers, key[0]), timeout=20)
        await worker.drain()
    assert set(held.begun.values()) == {1}
    assert files(tmp_path) == []
