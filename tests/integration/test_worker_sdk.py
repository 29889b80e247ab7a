"""Workers on a real RabbitMQ, with a claim desk and an ingestor that a test scripts."""

from __future__ import annotations

import asyncio
import re
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from leveret import JobContext, Registry
from leveret.worker import Worker
from leveret_core.broker.rabbitmq_server import RabbitServerBroker
from leveret_core.broker.rabbitmq_worker import RabbitWorkerBroker
from leveret_core.errors import BrokerUnavailable
from leveret_core.messages import Cancel, Claim, Goodbye, Hello
from support.eventually import eventually
from support.given import GivenServer
from support.ports import free_port
from support.processes import LeveretProcess
from support.proxy import Direction, Proxy
from support.rabbitmq import RabbitServer
from support.scripted import Servers, left_in, working

StartLeveret = Callable[..., LeveretProcess]


@pytest.fixture
async def servers(amqp_url: str) -> AsyncIterator[Servers]:
    broker = RabbitServerBroker(amqp_url)
    servers = Servers(broker, lease=30, heartbeat=1)
    await servers.start()
    yield servers
    await broker.stop()


@pytest.fixture
async def proxy(amqp_url: str) -> AsyncIterator[Proxy]:
    async with Proxy(amqp_url) as proxy:
        yield proxy


@pytest.fixture
def registry() -> Registry:
    return Registry()


async def test_dispatch_messages_run_once_and_none_is_left_behind(amqp_url: str, servers: Servers, registry: Registry) -> None:
    begun: list[int] = []

    async def handler(ctx: JobContext, n: int) -> int:
        begun.append(ctx.occurrence)
        ctx.log.info("number %d", n)
        return n

    registry.job("mail.*", concurrency=50)(handler)
    registry.job("#", concurrency=50)(handler)
    async with working(amqp_url, registry) as worker:
        keys = [await servers.publish_for("mail.x", {"n": n}) for n in range(200)]
        await eventually(lambda: len(servers.finished) == 200, timeout=20)
        assert sorted(begun) == sorted(key[0] for key in keys)
        assert set(servers.outcomes()) == {"succeeded"}
        assert sorted(int(bytes(event.result)) for event in servers.finished) == list(range(200))
        assert len(servers.logs) == 200
        await worker.drain()
    assert await left_in(amqp_url, "mail.*") == 0
    assert await left_in(amqp_url, "#") == 0
    assert len(servers.of(Goodbye)) == 1


async def test_a_run_outlives_the_connection_it_came_by(
    proxy: Proxy, amqp_url: str, servers: Servers, registry: Registry
) -> None:
    begun: list[int] = []
    release = asyncio.Event()

    @registry.job("mail")
    async def mail(ctx: JobContext) -> None:
        begun.append(ctx.occurrence)
        await release.wait()

    async with working(proxy.url, registry) as worker:
        first = worker.id
        key = await servers.publish_for("mail")
        await eventually(lambda: begun == [key[0]])
        proxy.reset()
        again = await servers.publish_for("mail")
        # The dispatch message of the first comes again by the new connection, and starts nothing.
        await eventually(lambda: begun == [key[0], again[0]], timeout=20)
        release.set()
        await eventually(lambda: sorted(servers.outcomes()) == ["succeeded", "succeeded"], timeout=20)
        assert worker.id == first
        assert len(begun) == 2
        await worker.drain()
    assert await left_in(amqp_url, "mail") == 0


async def test_a_claim_whose_reply_is_lost_with_the_connection_runs_once(
    proxy: Proxy, servers: Servers, registry: Registry
) -> None:
    begun: list[int] = []

    @registry.job("mail")
    async def mail(ctx: JobContext) -> None:
        begun.append(ctx.occurrence)

    async with working(proxy.url, registry):
        lost = proxy.cut_after(rb'"kind":"claimed"', Direction.TO_CLIENT, reset=True)
        key = await servers.publish_for("mail")
        await asyncio.wait_for(lost.fired.wait(), 10)
        await eventually(lambda: servers.outcomes() == ["succeeded"], timeout=20)
        assert begun == [key[0]]
        assert len(servers.of(Claim)) >= 2
        assert set(servers.asks) == {key}


async def test_a_confirmation_that_is_lost_does_not_lose_the_end(proxy: Proxy, servers: Servers, registry: Registry) -> None:
    @registry.job("mail")
    async def mail() -> None: ...

    async with working(proxy.url, registry):
        cut = proxy.cut_after(rb'"kind":"finished"', Direction.TO_SERVER)
        await servers.publish_for("mail")
        await asyncio.wait_for(cut.fired.wait(), 10)
        await eventually(lambda: len(servers.finished) >= 1, timeout=20)
        assert set(servers.outcomes()) == {"succeeded"}


async def test_a_worker_cut_off_stops_what_it_runs_in_time_and_comes_back_as_another(
    proxy: Proxy, amqp_url: str, registry: Registry
) -> None:
    broker = RabbitServerBroker(amqp_url)
    servers = Servers(broker, lease=3, heartbeat=0.5)
    await servers.start()
    interrupted: list[float] = []
    clock = asyncio.get_running_loop().time

    @registry.job("mail")
    async def mail() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            interrupted.append(clock())
            raise

    async with working(proxy.url, registry) as worker:
        first = worker.id
        await servers.publish_for("mail")
        await eventually(lambda: worker.running == 1)
        proxy.blackhole()
        cut = clock()
        await eventually(lambda: len(interrupted) == 1)
        assert interrupted[0] - cut < 3
        await proxy.heal()
        proxy.reset()
        await eventually(lambda: len(servers.of(Hello)) == 2, timeout=30)
        assert worker.id != first
        assert servers.finished == []
        await servers.publish_for("mail", occurrence=50)
        await eventually(lambda: worker.running == 1, timeout=20)
    await broker.stop()


async def test_a_word_of_the_servers_cancels_a_run(amqp_url: str, servers: Servers, registry: Registry) -> None:
    server = RabbitServerBroker(amqp_url)
    await server.start()

    @registry.job("mail")
    async def mail() -> None:
        await asyncio.sleep(60)

    async with working(amqp_url, registry) as worker:
        key = await servers.publish_for("mail")
        await eventually(lambda: worker.running == 1)
        await server.tell_workers(Cancel(worker=worker.id, occurrence=key[0], attempt=1))
        await eventually(lambda: servers.outcomes() == ["cancelled"])
    await server.stop()


async def test_the_broker_may_be_away_for_a_while_before_the_end_is_told(
    proxy: Proxy, servers: Servers, registry: Registry
) -> None:
    done = asyncio.Event()

    @registry.job("mail")
    async def mail(ctx: JobContext) -> None:
        await asyncio.sleep(0.5)
        ctx.log.info("said while nobody could hear")
        done.set()

    async with working(proxy.url, registry) as worker:
        await servers.publish_for("mail")
        await eventually(lambda: worker.running == 1)
        proxy.refuse()
        proxy.reset()
        await done.wait()
        await asyncio.sleep(0.5)
        await proxy.heal()
        await eventually(lambda: servers.outcomes() == ["succeeded"], timeout=20)
        assert [log.message for log in servers.logs] == ["said while nobody could hear"]


# The process


HANDLERS = """
import time
from leveret import JobContext, job

@job("quick")
async def quick(): ...

@job("wait")
def wait(ctx: JobContext, seconds: float = 60):
    ctx.log.info("waiting")
    until = time.monotonic() + seconds
    while not ctx.cancelled and time.monotonic() < until:
        time.sleep(0.02)

@job("stubborn")
def stubborn():
    time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app_jobs.py").write_text(HANDLERS)
    (tmp_path / "app_empty.py").write_text("")
    (tmp_path / "app_wrong.py").write_text("from leveret import job\n@job('send*')\ndef f(): ...\n")
    return tmp_path


async def ended(process: LeveretProcess) -> int:
    return await asyncio.to_thread(process.wait, 20)


async def test_sigterm_lets_runs_end_and_exits_with_0(
    amqp_url: str, servers: Servers, start_leveret: StartLeveret, folder: Path
) -> None:
    process = start_leveret("worker", "app_jobs", env={"LEVERET_AMQP_URL": amqp_url}, cwd=folder, cold=True)
    await eventually(lambda: len(servers.of(Hello)) == 1, timeout=20)
    await servers.publish_for("quick")
    await servers.publish_for("wait", {"seconds": 1.0})
    await eventually(lambda: len(servers.logs) == 1, timeout=20)
    process.terminate()
    assert await ended(process) == 0
    assert sorted(servers.outcomes()) == ["succeeded", "succeeded"]
    assert len(servers.of(Goodbye)) == 1


async def test_what_does_not_end_within_the_grace_is_handed_back(
    amqp_url: str, servers: Servers, start_leveret: StartLeveret, folder: Path
) -> None:
    process = start_leveret("worker", "app_jobs", "--grace", "0.5", env={"LEVERET_AMQP_URL": amqp_url}, cwd=folder)
    await eventually(lambda: len(servers.of(Hello)) == 1, timeout=20)
    await servers.publish_for("wait")
    await servers.publish_for("stubborn")
    await eventually(lambda: len(servers.asks) == 2 and len(servers.logs) == 1, timeout=20)
    process.terminate()
    assert await ended(process) == 0
    assert servers.outcomes() == ["released", "released"]
    assert "still ignore their interruption" in process.output()


async def test_a_second_signal_ends_the_process_at_once(
    amqp_url: str, servers: Servers, start_leveret: StartLeveret, folder: Path
) -> None:
    process = start_leveret("worker", "app_jobs", env={"LEVERET_AMQP_URL": amqp_url}, cwd=folder)
    await eventually(lambda: len(servers.of(Hello)) == 1, timeout=20)
    await servers.publish_for("stubborn")
    await eventually(lambda: len(servers.asks) == 1, timeout=20)
    process.interrupt()
    await eventually(lambda: "draining" in process.output())
    process.terminate()
    assert await ended(process) == 128 + signal.SIGINT
    assert servers.finished == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no module 'nowhere'"),
        (["app_empty"], "no handlers in app_empty"),
        (["app_wrong"], "send\\*"),
        (["app_jobs.py"], "give the module's name: app_jobs"),
        (["app_jobs", "--only", "no.such"], "leaves no handler; there are: quick, wait, stubborn"),
    ],
)
async def test_a_wrong_command_is_answered_with_one_line_and_exit_code_2(
    start_leveret: StartLeveret, folder: Path, arguments: list[str], message: str
) -> None:
    process = start_leveret("worker", *arguments, env={"LEVERET_AMQP_URL": "amqp://127.0.0.1:9/"}, cwd=folder)
    assert await ended(process) == 2
    (line,) = process.output().splitlines()
    assert re.search(message, line)


@pytest.mark.parametrize(
    ("url", "code"),
    [("http://127.0.0.1:5672", 2), ("amqp://127.0.0.1:{free}/", 1), ("amqp://nobody:wrong@127.0.0.1:{port}/", 2)],
)
async def test_a_broker_that_cannot_be_used_is_named_with_what_to_check(
    amqp_url: str, start_leveret: StartLeveret, folder: Path, url: str, code: int
) -> None:
    port = re.search(r":(\d+)/", amqp_url)
    assert port is not None
    url = url.format(free=free_port(), port=port[1])
    process = start_leveret("worker", "app_jobs", "--wait", "0", env={"LEVERET_AMQP_URL": url}, cwd=folder)
    assert await ended(process) == code
    last = process.output().splitlines()[-1]
    assert last.startswith("leveret: ")
    assert "check" in last or "must look like" in last
    assert "wrong" not in last
    assert "Traceback" not in process.output()


async def test_a_user_without_the_rights_of_a_worker_is_told_so(
    amqp_url: str,
    servers: Servers,
    rabbit_server: RabbitServer | GivenServer,
    start_leveret: StartLeveret,
    folder: Path,
) -> None:
    if isinstance(rabbit_server, GivenServer):
        pytest.skip("TEST_AMQP_URL names a broker whose users tests do not change")
    vhost = urlsplit(amqp_url).path.removeprefix("/")
    name = f"weak-{secrets.token_hex(4)}"
    await asyncio.to_thread(rabbit_server.ctl, "add_user", name, "pass")
    await asyncio.to_thread(rabbit_server.ctl, "set_permissions", "-p", vhost, name, r"^leveret\.control", ".*", ".*")
    url = re.sub(r"//[^@]+@", f"//{name}:pass@", amqp_url)
    process = start_leveret("worker", "app_jobs", env={"LEVERET_AMQP_URL": url}, cwd=folder)
    assert await ended(process) == 2
    last = process.output().splitlines()[-1]
    assert last.startswith("leveret: queue jobs.")
    assert "lacks a permission" in last


async def test_starting_without_a_broker_raises(registry: Registry) -> None:
    @registry.job("mail")
    async def mail() -> None: ...

    worker = Worker(registry.handlers, RabbitWorkerBroker(f"amqp://127.0.0.1:{free_port()}/"))
    with pytest.raises(BrokerUnavailable):
        await worker.start()
    await worker.stop()
