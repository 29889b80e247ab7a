"""What RabbitMQ can do to its clients, and that Leveret's get over it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import re
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any, cast

import aiormq
import pytest
from aiormq.channel import Channel
from pamqp.commands import Basic

from leveret_core import topology
from leveret_core.broker import rabbitmq_connection
from leveret_core.broker.base import Delivery, EventMessage, Published
from leveret_core.broker.rabbitmq_server import RabbitServerBroker
from leveret_core.broker.rabbitmq_worker import RabbitWorkerBroker
from leveret_core.errors import BrokerUnavailable, ConfigurationError
from leveret_core.messages import (
    Alive,
    Control,
    DispatchMessage,
    Drain,
    Heartbeat,
    Refused,
    Reply,
    Request,
    decode_reply,
    encode,
)
from leveret_core.patterns import matches
from support.available import new_rabbit
from support.eventually import eventually
from support.proxy import Direction, Proxy
from support.rabbitmq import RabbitServer
from support.servers import NotAvailable

pytestmark = pytest.mark.timeout(60)


def dispatch(number: int, job_type: str = "sendemail.welcome") -> DispatchMessage:
    return DispatchMessage(occurrence=number + 1, attempt=1, type=job_type)


class Taken(list[Delivery]):
    """Deliveries of a worker, acknowledged at once if `acking`."""

    def __init__(self, *, acking: bool = True) -> None:
        super().__init__()
        self._acking = acking
        self._acks: set[asyncio.Future[None]] = set()

    def __call__(self, delivery: Delivery) -> None:
        self.append(delivery)
        if self._acking:
            self._acks.add(asyncio.ensure_future(delivery.ack()))

    @property
    def numbers(self) -> list[int]:
        return [delivery.dispatch.occurrence - 1 for delivery in self]


class Rabbit:
    """Brokers on one virtual host, stopped at the end; and the broker itself, spoken to without Leveret."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self.url = url
        self._stack = stack

    async def server(self, url: str | None = None, **options: Any) -> RabbitServerBroker:
        broker = RabbitServerBroker(url or self.url, **options)
        self._stack.push_async_callback(broker.stop)
        await broker.start()
        return broker

    async def worker(self, url: str | None = None) -> RabbitWorkerBroker:
        broker = RabbitWorkerBroker(url or self.url)
        self._stack.push_async_callback(broker.stop)
        await broker.start()
        return broker

    async def channel(self) -> Channel:
        connection = await aiormq.connect(self.url)
        self._stack.push_async_callback(connection.close)
        return cast(Channel, await connection.channel())

    async def put(self, body: bytes, queue: str, **properties: Any) -> None:
        channel = await self.channel()
        await channel.basic_publish(body, routing_key=queue, properties=Basic.Properties(**properties))
        await channel.connection.close()

    async def get(self, queue: str) -> bytes | None:
        channel = await self.channel()
        message = await channel.basic_get(queue, no_ack=True)
        await channel.connection.close()
        return None if isinstance(message.delivery, Basic.GetEmpty) else message.body


@pytest.fixture
async def rabbit(amqp_url: str) -> AsyncIterator[Rabbit]:
    async with AsyncExitStack() as stack:
        yield Rabbit(amqp_url, stack)


@pytest.fixture(scope="module")
def _node() -> Iterator[RabbitServer]:
    try:
        node = new_rabbit()
    except NotAvailable as error:
        pytest.skip(str(error))
    try:
        node.start()
        yield node
    finally:
        node.remove()


class OwnRabbit(Rabbit):
    """A virtual host of a broker that the test may hurt."""

    def __init__(self, node: RabbitServer, vhost: str, stack: AsyncExitStack) -> None:
        super().__init__(node.url + vhost, stack)
        self.node = node

    async def ctl(self, *args: str) -> str:
        return await asyncio.to_thread(self.node.ctl, *args)

    async def close_all_connections(self) -> None:
        await self.ctl("close_all_connections", "--global", "test")


@pytest.fixture
async def own(_node: RabbitServer) -> AsyncIterator[OwnRabbit]:
    vhost = f"own-{random.getrandbits(32):x}"
    _node.ctl(
        "eval",
        f'rabbit_vhost:add(<<"{vhost}">>, <<"leveret">>), rabbit_auth_backend_internal:set_permissions('
        f'<<"leveret">>, <<"{vhost}">>, <<".*">>, <<".*">>, <<".*">>, <<"leveret">>), ok.',
    )
    async with AsyncExitStack() as stack:
        yield OwnRabbit(_node, vhost, stack)


class Load:
    """Publishes all the time, as a context manager; knows which dispatch messages the broker confirmed."""

    def __init__(self, server: RabbitServerBroker) -> None:
        self.confirmed: list[int] = []
        self._server = server
        self._numbers = itertools.count()
        self._stopping = False

    async def __aenter__(self) -> Load:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        await self._task

    async def _run(self) -> None:
        while not self._stopping:
            # Not faster than a worker can take them while both share a core.
            await asyncio.sleep(0.05)
            batch = [dispatch(next(self._numbers)) for _ in range(200)]
            outcomes = await self._server.publish(batch)
            self.confirmed += [
                each.occurrence - 1 for each, outcome in zip(batch, outcomes, strict=True) if outcome is Published.CONFIRMED
            ]


async def answer_all(requests: Sequence[Request]) -> Sequence[Reply]:
    return [Alive(lease=1) for _ in requests]


# Loss of the broker and of connections


@pytest.mark.parametrize("fault", ["killed", "stopped", "connections closed"])
async def test_nothing_confirmed_is_lost_when_the_broker_goes_under_load(own: OwnRabbit, fault: str) -> None:
    server, worker, taken = await own.server(), await own.worker(), Taken()
    await worker.serve("sendemail.*", 500, taken)
    async with Load(server) as load:
        await eventually(lambda: len(load.confirmed) > 2000)
        if fault == "killed":
            await asyncio.to_thread(own.node.kill)
            await asyncio.to_thread(own.node.start)
        elif fault == "stopped":
            await own.ctl("stop_app")
            await own.ctl("start_app")
        else:
            await own.close_all_connections()
        before = len(load.confirmed)
        await eventually(lambda: len(load.confirmed) > before + 1000, timeout=20)
    missing = set(load.confirmed)
    assert len(missing) == len(load.confirmed)

    def all_came() -> bool:
        missing.difference_update(taken.numbers)
        return not missing

    await eventually(all_came, timeout=30, interval=0.2)
    await eventually(lambda: server.connected and worker.connected)


async def test_everything_is_back_after_all_connections_were_closed(own: OwnRabbit, caplog: pytest.LogCaptureFixture) -> None:
    server, worker, taken, heard = await own.server(), await own.worker(), Taken(), list[Control]()
    ingested: list[bytes] = []

    async def ingest(messages: Sequence[EventMessage]) -> None:
        for message in messages:
            ingested.append(message.body)
            await message.ack()

    await server.serve_claims(answer_all)
    await server.consume_events(ingest)
    await worker.serve("sendemail.*", 10, taken)
    await worker.listen(heard.append)
    await worker.request(Heartbeat(worker="w", running=0, holding=None), 5)
    await worker.send_events(b"1", 5)
    await eventually(lambda: ingested == [b"1"])

    caplog.clear()
    await own.close_all_connections()
    await eventually(lambda: caplog.text.count(" lost: ") == 6)
    await eventually(lambda: server.connected and worker.connected)

    await worker.request(Heartbeat(worker="w", running=0, holding=None), 5)
    await worker.send_events(b"2", 10)
    assert await server.publish([dispatch(1)]) == [Published.CONFIRMED]
    await server.tell_workers(Drain(worker="w"))
    await eventually(lambda: ingested == [b"1", b"2"] and taken.numbers == [1] and heard == [Drain(worker="w")])


async def test_settling_deliveries_of_a_lost_connection_does_nothing(rabbit: Rabbit) -> None:
    server, taken = await rabbit.server(), Taken(acking=False)
    async with Proxy(rabbit.url) as proxy:
        worker = await rabbit.worker(proxy.url)
        await worker.serve("sendemail.*", 10, taken)
        await server.publish([dispatch(1), dispatch(2)])
        await eventually(lambda: taken.numbers == [1, 2])

        proxy.reset()
        await taken[0].ack()
        await taken[1].requeue()
        await eventually(lambda: taken.numbers == [1, 2, 1, 2])
        await taken[0].ack()
        await taken[1].requeue()
        await taken[2].ack()
        await taken[3].ack()

        await server.publish([dispatch(3)])
        await eventually(lambda: taken.numbers == [1, 2, 1, 2, 3])
        await worker.stop()


async def test_a_request_under_way_learns_at_once_that_its_connection_is_lost(rabbit: Rabbit) -> None:
    await rabbit.server()
    async with Proxy(rabbit.url) as proxy:
        worker = await rabbit.worker(proxy.url)
        asking = asyncio.create_task(worker.request(Heartbeat(worker="w", running=0, holding=None), 30))
        await asyncio.sleep(0.2)
        proxy.reset()
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable, match="lost"):
            await asking
        assert time.monotonic() - began < 5
        await worker.stop()


async def test_a_frozen_broker_costs_a_publisher_its_deadline_and_no_more(own: OwnRabbit) -> None:
    server, worker, taken = await own.server(publish_timeout=1.0), await own.worker(), Taken()
    await worker.serve("sendemail.*", 10_000, taken)
    assert await server.publish([dispatch(0)]) == [Published.CONFIRMED]

    own.node.freeze()
    try:
        began = time.monotonic()
        outcomes = await server.publish([dispatch(number) for number in range(1, 3001)])
        assert time.monotonic() - began < 2
        assert outcomes == [Published.UNKNOWN] * 3000
        with pytest.raises(BrokerUnavailable):
            await worker.request(Heartbeat(worker="w", running=0, holding=None), 0.5)
        with pytest.raises(BrokerUnavailable):
            await worker.send_events(b"1", 0.5)
    finally:
        own.node.thaw()

    await eventually(lambda: 1 in taken.numbers)
    assert await server.publish([dispatch(5000)]) == [Published.CONFIRMED]


async def test_connections_without_a_sign_of_life_are_replaced(rabbit: Rabbit, caplog: pytest.LogCaptureFixture) -> None:
    async with Proxy(rabbit.url) as proxy:
        url = proxy.url + "?heartbeat=1"
        server, worker = await rabbit.server(url), await rabbit.worker(url)
        await server.serve_claims(answer_all)
        await worker.send_events(b"1", 5)

        proxy.blackhole(Direction.TO_CLIENT)
        waiting: list[asyncio.Task[Any]] = [
            asyncio.create_task(worker.send_events(b"2", 30)),
            asyncio.create_task(worker.request(Heartbeat(worker="w", running=0, holding=None), 30)),
            asyncio.create_task(server.tell_workers(Drain(worker="w"))),
        ]
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [BrokerUnavailable] * 3
        # On a busy machine the broker may lose its patience with one of them first.
        await eventually(
            lambda: len(re.findall("lost: (?:the broker fell silent|.* reset by peer)", caplog.text)) >= 4, timeout=20
        )
        assert "lost: the broker fell silent" in caplog.text
        await proxy.heal()

        await eventually(lambda: server.connected and worker.connected)
        await worker.send_events(b"3", 5)
        assert await worker.request(Heartbeat(worker="w", running=0, holding=None), 5) == Alive(lease=1)
        await worker.stop()
        await server.stop()


async def test_events_held_by_a_failing_ingestor_come_again_after_the_connection_was_lost(rabbit: Rabbit) -> None:
    worker_side = await rabbit.server()
    worker = await rabbit.worker()
    for number in range(5):
        await worker.send_events(b"%d" % number, 5)
    await worker_side.stop()
    calls, ingested = 0, list[bytes]()
    broken = True

    async def ingest(messages: Sequence[EventMessage]) -> None:
        nonlocal calls
        calls += 1
        if broken:
            raise RuntimeError("the database is away")
        for message in messages:
            ingested.append(message.body)
            await message.ack()

    async with Proxy(rabbit.url) as proxy:
        server = await rabbit.server(proxy.url)
        await server.consume_events(ingest)
        await eventually(lambda: calls > 0)
        proxy.reset()
        await eventually(lambda: server.connected)
        broken = False
        await eventually(lambda: ingested == [b"%d" % number for number in range(5)])
        await server.stop()
    assert await rabbit.get(topology.EVENTS_QUEUE) is None


# Queues and their arguments


async def test_a_queue_deleted_while_it_is_consumed_is_made_again(rabbit: Rabbit) -> None:
    server, worker, taken = await rabbit.server(), await rabbit.worker(), Taken()
    await worker.serve("sendemail.*", 10, taken)
    await server.publish([dispatch(1)])
    await eventually(lambda: taken.numbers == [1])

    await (await rabbit.channel()).queue_delete("jobs.sendemail.wildcard")

    async def routed() -> bool:
        return await server.publish([dispatch(2)]) == [Published.CONFIRMED]

    await eventually(routed, timeout=5)
    await eventually(lambda: taken.numbers[-1] == 2)


async def test_a_pattern_stays_held_on_a_new_connection_and_is_resumed_there(
    rabbit: Rabbit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rabbitmq_connection, "WATCH_INTERVAL", 0.2)
    server, taken = await rabbit.server(), Taken()
    async with Proxy(rabbit.url) as proxy:
        worker = await rabbit.worker(proxy.url)
        await worker.serve("sendemail.*", 10, taken)
        await worker.hold("sendemail.*")
        proxy.reset()
        await eventually(lambda: proxy.accepted == 4 and proxy.connections == 2)
        await server.publish([dispatch(1)])
        await asyncio.sleep(0.6)
        assert taken.numbers == []
        assert caplog.text.count("worker dispatch messages lost") == 1, (
            "the watchdog does not miss a consumer that is not to be there"
        )
        await worker.resume("sendemail.*")
        await eventually(lambda: taken.numbers == [1])
        await worker.stop()


async def test_a_consumer_that_vanished_unnoticed_is_found_by_the_watchdog(
    rabbit: Rabbit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rabbitmq_connection, "WATCH_INTERVAL", 0.2)
    server, worker, taken = await rabbit.server(), await rabbit.worker(), Taken()
    await server.serve_claims(answer_all)
    await worker.serve("sendemail.*", 10, taken)
    await worker.listen(lambda _: None)
    await asyncio.sleep(0.6)
    assert "lost" not in caplog.text

    link: Any = worker._work._link  # pyright: ignore[reportPrivateUsage]
    ((channel, tag),) = link._consumed.values()
    await channel.basic_cancel(tag)
    await server.publish([dispatch(1)])

    await eventually(lambda: taken.numbers == [1])
    assert "the consumer of jobs.sendemail.wildcard is gone" in caplog.text


async def test_a_queue_with_other_arguments_is_named_and_hinders_no_other(
    rabbit: Rabbit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rabbitmq_connection, "REFUSED_RETRY", 1.0)
    channel = await rabbit.channel()
    await channel.queue_declare("jobs.report", durable=True, arguments={"x-queue-type": "classic"})
    server, worker, emails, reports = await rabbit.server(), await rabbit.worker(), Taken(), Taken()

    await worker.serve("report", 1, reports)
    await worker.serve("sendemail.*", 1, emails)

    assert worker.problem is not None
    assert "queue jobs.report exists with another x-" in worker.problem
    assert await server.publish([dispatch(1), dispatch(2, "report")]) == [Published.CONFIRMED, Published.UNROUTABLE]
    await eventually(lambda: emails.numbers == [1])
    await asyncio.sleep(2)
    refusals = [record for record in caplog.records if "broker refused" in record.message]
    assert [record.levelno for record in refusals] == [logging.ERROR]
    assert "lost" not in caplog.text

    await channel.queue_delete("jobs.report")
    await eventually(lambda: worker.problem is None)
    await server.publish([dispatch(3, "report")])
    await eventually(lambda: reports.numbers == [3])


async def test_a_server_names_a_refused_queue_and_does_the_rest(rabbit: Rabbit) -> None:
    channel = await rabbit.channel()
    await channel.queue_declare(topology.EVENTS_QUEUE, durable=True, arguments={"x-queue-type": "classic"})
    server, worker = await rabbit.server(), await rabbit.worker()
    await server.serve_claims(answer_all)

    assert not server.connected
    assert "queue leveret.events exists with another" in (server.problem or "")
    assert await worker.request(Heartbeat(worker="w", running=0, holding=None), 5) == Alive(lease=1)
    assert await server.publish([dispatch(1)]) == [Published.UNROUTABLE]


async def test_a_worker_may_start_before_any_server(
    rabbit: Rabbit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rabbitmq_connection, "MISSING_RETRY", 0.3)
    worker, taken = await rabbit.worker(), Taken()
    await worker.serve("sendemail.*", 10, taken)
    assert "has a Leveret server ever been connected" in (worker.problem or "")

    server = await rabbit.server()

    await eventually(lambda: worker.problem is None)
    assert await server.publish([dispatch(1)]) == [Published.CONFIRMED]
    await eventually(lambda: taken.numbers == [1])
    assert caplog.text.count("broker refused") == 1


async def test_a_refused_message_is_not_taken_for_a_confirmed_one(rabbit: Rabbit) -> None:
    server, channel = await rabbit.server(), await rabbit.channel()
    full: dict[str, Any] = {"x-queue-type": "classic", "x-max-length": 1, "x-overflow": "reject-publish"}
    await channel.queue_declare("full", durable=True, arguments=full)
    await channel.queue_bind("full", topology.JOBS_EXCHANGE, "sendemail.*")

    outcomes = await server.publish([dispatch(number) for number in range(300)])

    assert outcomes.count(Published.CONFIRMED) >= 1
    assert outcomes[-1] is Published.UNKNOWN
    assert Published.UNROUTABLE not in outcomes
    declared = await channel.queue_declare("full", passive=True)
    assert declared.message_count == outcomes.count(Published.CONFIRMED)


# Poison


OUT_OF_RANGE = [
    b'{"occurrence":1,"attempt":2147483648,"type":"sendemail.a","v":1}',
    b'{"occurrence":9223372036854775808,"attempt":1,"type":"sendemail.a","v":1}',
]


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"{}", b"[" * 100_000, b'{"occurrence":"1"}', b"null", *OUT_OF_RANGE])
async def test_a_dispatch_message_that_cannot_be_read_is_rejected_with_its_bytes(rabbit: Rabbit, body: bytes) -> None:
    server, worker, taken = await rabbit.server(), await rabbit.worker(), Taken(acking=False)
    await worker.serve("sendemail.*", 1, taken)

    await rabbit.put(body, "jobs.sendemail.wildcard")
    await server.publish([dispatch(1)])

    await eventually(lambda: taken.numbers == [1])

    async def dead() -> bytes | None:
        return await rabbit.get(topology.DEAD_QUEUE)

    if body:
        assert await eventually(dead) == body


async def test_a_request_that_cannot_be_read_is_refused_and_does_not_hinder_others(rabbit: Rabbit) -> None:
    server, worker = await rabbit.server(), await rabbit.worker()
    await server.serve_claims(answer_all)
    channel, replies = await rabbit.channel(), list[bytes]()

    async def replied(message: Any) -> None:
        replies.append(message.body)

    await channel.basic_consume("amq.rabbitmq.reply-to", replied, no_ack=True)
    properties = Basic.Properties(reply_to="amq.rabbitmq.reply-to", correlation_id="x")
    await channel.basic_publish(b'{"kind":"nonsense"}', routing_key=topology.CLAIMS_QUEUE, properties=properties)
    await rabbit.put(b"no way back", topology.CLAIMS_QUEUE)

    await eventually(lambda: len(replies) == 1)
    assert isinstance(decode_reply(replies[0]), Refused)
    assert await worker.request(Heartbeat(worker="w", running=0, holding=None), 5) == Alive(lease=1)


async def test_a_reply_goes_to_who_asked_and_into_no_queue_that_the_request_names(rabbit: Rabbit) -> None:
    server, worker = await rabbit.server(), await rabbit.worker()
    await server.serve_claims(answer_all)
    channel = await rabbit.channel()
    await channel.queue_declare("jobs.others", durable=True)
    properties = Basic.Properties(reply_to="jobs.others", correlation_id="x")
    await channel.basic_publish(b'{"kind":"nonsense"}', routing_key=topology.CLAIMS_QUEUE, properties=properties)
    assert await worker.request(Heartbeat(worker="w", running=0, holding=None), 5) == Alive(lease=1)
    assert await rabbit.get("jobs.others") is None


async def test_a_message_that_breaks_the_parser_is_dead_lettered_alone(
    rabbit: Rabbit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rabbitmq_connection, "BACKOFF_MIN", 0.02)
    monkeypatch.setattr(rabbitmq_connection, "BACKOFF_MAX", 0.05)
    monkeypatch.setattr(rabbitmq_connection, "CAUTION", 1.0)
    server, worker = await rabbit.server(), await rabbit.worker()
    for number in range(1, 30):
        await worker.send_events(b"%d" % number, 5)
    await put_with_broken_header(rabbit, b"poison", topology.EVENTS_QUEUE)
    for number in range(30, 60):
        await worker.send_events(b"%d" % number, 5)
    ingested: list[bytes] = []

    async def ingest(messages: Sequence[EventMessage]) -> None:
        for message in messages:
            ingested.append(message.body)
            await message.ack()

    await server.consume_events(ingest)

    await eventually(lambda: {int(body) for body in ingested} == set(range(1, 60)), timeout=30)
    channel = await rabbit.channel()

    async def dead_lettered() -> bool:
        return (await channel.queue_declare(topology.DEAD_QUEUE, passive=True)).message_count == 1

    await eventually(dead_lettered, timeout=30)
    await eventually(lambda: "steady again" in caplog.text and server.connected)
    assert (await channel.queue_declare(topology.EVENTS_QUEUE, passive=True)).message_count == 0


async def put_with_broken_header(rabbit: Rabbit, body: bytes, queue: str) -> None:
    """Publish with a correlation id that is no UTF-8, which the broker passes on as it is."""
    channel = await rabbit.channel()
    confirmed = asyncio.ensure_future(
        channel.basic_publish(body, routing_key=queue, properties=Basic.Properties(correlation_id="BROKEN"), wait=False)
    )
    queue_of_frames: Any = channel.connection.write_queue
    put = queue_of_frames.put

    async def spoil(frame: Any) -> None:
        await put(type(frame)(payload=frame.payload.replace(b"BROKEN", b"\xff\xfe\xff\xfe\xff\xfe"), should_close=False))

    queue_of_frames.put = spoil
    try:
        await confirmed
    finally:
        queue_of_frames.put = put


# Alarms


async def test_events_are_taken_while_a_memory_alarm_blocks_publishing(
    own: OwnRabbit, caplog: pytest.LogCaptureFixture
) -> None:
    server, worker, taken = await own.server(publish_timeout=1.5), await own.worker(), Taken()
    ingested: list[bytes] = []

    async def ingest(messages: Sequence[EventMessage]) -> None:
        for message in messages:
            await asyncio.sleep(0.01)
            ingested.append(message.body)
            await message.ack()

    await worker.serve("sendemail.*", 1000, taken)
    await server.publish([dispatch(0)])
    for number in range(300):
        await worker.send_events(b"%d" % number, 5)

    await own.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        await server.consume_events(ingest)
        began = time.monotonic()
        # The first one may still be written, before the broker says that it reads no more.
        assert await server.publish([dispatch(1)]) == [Published.UNKNOWN]
        assert await server.publish([dispatch(number) for number in range(2, 1000)]) == [Published.UNKNOWN] * 998
        assert time.monotonic() - began < 4
        with pytest.raises(BrokerUnavailable):
            await worker.send_events(b"late", 0.5)
        await eventually(lambda: len(ingested) == 300)
    finally:
        await own.ctl("set_vm_memory_high_watermark", "0.6")

    await eventually(lambda: server.connected and worker.connected)
    assert await server.publish([dispatch(1000)]) == [Published.CONFIRMED]
    await eventually(lambda: 1000 in taken.numbers)
    assert set(taken.numbers) <= {0, 1, 1000}


# Logging in


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("password", "refused the user 'leveret'"),
        ("vhost", "refused the virtual host 'nowhere' to the user 'leveret'"),
        ("port", "cannot be reached"),
        ("host", "cannot be reached"),
    ],
)
async def test_a_worker_that_cannot_log_in_says_what_to_check(
    rabbit: Rabbit, wrong: str, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = {
        "password": rabbit.url.replace(":leveret@", ":s3cr3t@"),
        "vhost": rabbit.url.rpartition("/")[0].replace(":leveret@", ":leveret@") + "/nowhere",
        "port": "amqp://leveret:s3cr3t@127.0.0.1:1/",
        "host": "amqp://leveret:s3cr3t@nowhere.invalid/",
    }[wrong]
    before = asyncio.all_tasks()
    worker = RabbitWorkerBroker(url)

    with pytest.raises(BrokerUnavailable, match=expected) as caught:
        await worker.start()

    assert "s3cr3t" not in f"{caught.value!r} {caplog.text}"
    assert "check" in str(caught.value)
    await eventually(lambda: asyncio.all_tasks() == before)


async def test_a_worker_gets_along_with_the_permissions_named_for_it(own: OwnRabbit) -> None:
    await own.ctl("add_user", "pool", "secret")
    vhost = own.url.rpartition("/")[2]
    await own.ctl("set_permissions", "-p", vhost, "pool", *topology.WORKER_PERMISSIONS)
    server, taken, heard = await own.server(), Taken(), list[Control]()
    await server.serve_claims(answer_all)
    worker = await own.worker(own.url.replace("leveret:leveret@", "pool:secret@"))

    await worker.serve("sendemail.#", 10, taken)
    await worker.listen(heard.append)
    await worker.send_events(b"{}", 5)
    assert await worker.request(Heartbeat(worker="w", running=0, holding=None), 5) == Alive(lease=1)
    assert await server.publish([dispatch(1)]) == [Published.CONFIRMED]
    await server.tell_workers(Drain(worker="w"))

    await eventually(lambda: taken.numbers == [1] and heard == [Drain(worker="w")])
    assert worker.problem is None


async def a_server_with(own: OwnRabbit, *permissions: str) -> RabbitServerBroker:
    """A server's broker as a user of its own with these permissions; it answers requests and takes events."""
    name = f"server-{random.getrandbits(32):x}"
    await own.ctl("add_user", name, "secret")
    await own.ctl("set_permissions", "-p", own.url.rpartition("/")[2], name, *permissions)
    server = await own.server(own.url.replace("leveret:leveret@", f"{name}:secret@"))
    await server.serve_claims(answer_all)
    return server


async def test_a_server_gets_along_with_the_permissions_named_for_it(own: OwnRabbit) -> None:
    server = await a_server_with(own, *topology.SERVER_PERMISSIONS)
    events, taken, heard = list[bytes](), Taken(), list[Control]()

    async def ingest(batch: Sequence[EventMessage]) -> None:
        events.extend(message.body for message in batch)

    await server.consume_events(ingest)
    worker = await own.worker()
    await worker.serve("sendemail.#", 10, taken)
    await worker.listen(heard.append)
    await worker.send_events(b"{}", 5)
    assert await worker.request(Heartbeat(worker="w", running=0, holding=None), 5) == Alive(lease=1)
    assert await server.publish([dispatch(1)]) == [Published.CONFIRMED]
    await server.tell_workers(Drain(worker="w"))

    await eventually(lambda: taken.numbers == [1] and heard == [Drain(worker="w")] and events == [b"{}"])
    assert server.problem is None


async def test_a_server_that_may_not_answer_says_so_once(own: OwnRabbit, caplog: pytest.LogCaptureFixture) -> None:
    server = await a_server_with(own, r"^leveret\..*", r"^leveret\..*", r"^leveret\..*")
    worker = await own.worker()

    for _ in range(3):
        with pytest.raises(BrokerUnavailable):
            await worker.request(Heartbeat(worker="w", running=0, holding=None), 1)

    await eventually(lambda: "amq.default" in (server.problem or ""))
    assert "lacks a permission" in (server.problem or "")
    assert "secret" not in caplog.text
    assert len([record for record in caplog.records if "lacks a permission" in record.message]) == 1


async def test_when_a_node_of_the_cluster_goes_the_next_one_is_used(rabbit: Rabbit) -> None:
    async with Proxy(rabbit.url) as one, Proxy(rabbit.url) as two:
        host = two.url.partition("@")[2].partition("/")[0]
        urls = one.url.replace("@", f"@{host},")
        one.refuse()
        server, worker = await rabbit.server(urls), await rabbit.worker(urls)
        taken = Taken()
        await worker.serve("sendemail.#", 10, taken)
        assert await server.publish([dispatch(1)]) == [Published.CONFIRMED]

        await one.heal()
        two.refuse()
        two.reset()

        await eventually(lambda: server.connected and worker.connected and one.connections > 0)
        assert await server.publish([dispatch(2)]) == [Published.CONFIRMED]
        await eventually(lambda: set(taken.numbers) == {1, 2})
        await worker.stop()
        await server.stop()


async def test_without_any_node_of_the_cluster_a_worker_says_so_at_once(rabbit: Rabbit) -> None:
    async with Proxy(rabbit.url) as one, Proxy(rabbit.url) as two:
        one.refuse()
        two.refuse()
        host = two.url.partition("@")[2].partition("/")[0]
        with pytest.raises(BrokerUnavailable, match="cannot be reached"):
            await rabbit.worker(one.url.replace("@", f"@{host},"))


async def test_a_missing_permission_is_told_with_the_queue_it_is_about(own: OwnRabbit) -> None:
    await own.ctl("add_user", "nobody", "secret")
    await own.ctl("set_permissions", "-p", own.url.rpartition("/")[2], "nobody", "^$", ".*", ".*")
    await own.server()
    worker = await own.worker(own.url.replace("leveret:leveret@", "nobody:secret@"))

    await worker.serve("sendemail.#", 10, Taken())

    assert "queue jobs.sendemail.all: the broker's user lacks a permission" in (worker.problem or "")
    assert "secret" not in (worker.problem or "")
    assert worker.connected


async def test_a_server_keeps_trying_until_the_broker_is_there(rabbit: Rabbit, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "leveret.broker")
    async with Proxy(rabbit.url) as proxy:
        proxy.refuse()
        server = await rabbit.server(proxy.url)
        assert not server.connected
        assert "cannot be reached" in (server.problem or "")
        publishing = asyncio.create_task(server.publish([dispatch(1)]))
        await asyncio.sleep(1)

        await proxy.heal()

        await eventually(lambda: server.connected)
        assert await publishing == [Published.UNROUTABLE]
        await server.stop()
    ours = [record.message for record in caplog.records if record.name == "leveret.broker"]
    assert len(ours) == 2, ours


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "redis://localhost",
        "amqp://",
        "amqp://user:s3cr3t@host:port/",
        "amqp://user:s3cr3t@a,b:x/",
        "amqp://u:s3cr3t@a,,b/",
    ],
)
def test_what_is_no_broker_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RabbitServerBroker(url)
    assert "s3cr3t" not in str(caught.value)


# Herds


async def test_many_workers_come_back_spread_over_time(own: OwnRabbit, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    backoff = rabbitmq_connection.backoff

    def recorded(failures: int) -> float:
        pauses.append(backoff(failures))
        return pauses[-1]

    monkeypatch.setattr(rabbitmq_connection, "backoff", recorded)
    workers = await asyncio.gather(*(own.worker() for _ in range(30)))
    server = await own.server()
    await server.serve_claims(answer_all)

    await own.close_all_connections()

    async def answered(worker: RabbitWorkerBroker) -> None:
        async def asks() -> bool:
            try:
                return await worker.request(Heartbeat(worker="w", running=0, holding=None), 2) == Alive(lease=1)
            except BrokerUnavailable:
                return False

        await eventually(asks)

    await asyncio.gather(*map(answered, workers))
    assert len(pauses) >= 30
    assert len({round(pause, 4) for pause in pauses}) > 20
    assert all(0.2 <= pause <= 5 for pause in pauses)


def test_pauses_between_tries_grow_to_their_bound_and_are_spread_below_it() -> None:
    backoff = rabbitmq_connection.backoff
    first, late = [backoff(1) for _ in range(500)], [backoff(50) for _ in range(500)]
    assert 0.2 <= min(first) < 0.25 < 0.35 < max(first) <= 0.4
    assert 0.2 <= min(late) < 1 < 4 < max(late) <= 5


# Topic exchange


async def test_matching_agrees_with_the_topic_exchange(rabbit: Rabbit) -> None:
    spread = random.Random(7)
    words = ["a", "b", "*", "#"]
    patterns = [".".join(each) for length in (1, 2, 3) for each in itertools.product(words, repeat=length)]
    patterns += [".".join(spread.choices(words, k=spread.randint(4, 6))) for _ in range(60)]
    types = [".".join(each) for length in (1, 2, 3, 4) for each in itertools.product("ab", repeat=length)]
    channel = await rabbit.channel()
    await channel.exchange_declare("topics", exchange_type="topic")
    routed: set[tuple[str, str]] = set()
    ended: set[str] = set()

    async def arrived(message: Any) -> None:
        pattern = message.consumer_tag
        if message.routing_key in types:
            routed.add((pattern, message.routing_key))
        else:
            ended.add(pattern)

    patterns = list(dict.fromkeys(patterns))
    names: dict[str, str] = {}
    for pattern in patterns:
        names[pattern] = (await channel.queue_declare(exclusive=True)).queue or ""
        await channel.queue_bind(names[pattern], "topics", pattern)
        await channel.basic_consume(names[pattern], arrived, no_ack=True, consumer_tag=pattern)
    for job_type in types:
        await channel.basic_publish(b"", exchange="topics", routing_key=job_type)
    for pattern in patterns:
        await channel.basic_publish(b"", routing_key=names[pattern])
    await eventually(lambda: len(ended) == len(patterns))

    expected = {(pattern, job_type) for pattern in patterns for job_type in types if matches(pattern, job_type)}
    assert routed == expected


async def test_encoded_messages_have_the_properties_others_rely_on(rabbit: Rabbit) -> None:
    server, channel, arrived = await rabbit.server(), await rabbit.channel(), list[Any]()
    await channel.queue_declare("seen", exclusive=True)
    await channel.queue_bind("seen", topology.JOBS_EXCHANGE, "#")

    async def note(message: Any) -> None:
        arrived.append(message)

    await channel.basic_consume("seen", note, no_ack=True)

    await server.publish([dispatch(number, "é".encode().hex() + "x" * number) for number in range(3)])

    await eventually(lambda: len(arrived) == 3)
    for number, message in enumerate(arrived):
        properties = message.header.properties
        assert message.body == encode(dispatch(number, message.routing_key))
        assert (properties.content_type, properties.delivery_mode) == ("application/json", 2)
    assert len({message.header.properties.message_id for message in arrived}) == 3


async def test_what_a_frozen_server_holds_comes_to_the_others_soon(rabbit: Rabbit) -> None:
    worker = await rabbit.worker()
    async with Proxy(rabbit.url) as proxy:
        frozen, alive = await rabbit.server(proxy.url), await rabbit.server()
        held, thawed, taken = asyncio.Event(), asyncio.Event(), list[bytes]()

        async def hold(_: object) -> None:
            held.set()
            await thawed.wait()

        async def take(batch: Sequence[EventMessage]) -> None:
            for message in batch:
                taken.append(message.body)
                await message.ack()

        await frozen.consume_events(hold)
        await eventually(lambda: frozen.connected)
        await worker.send_events(b"an end", 5)
        await held.wait()
        proxy.blackhole()
        await alive.consume_events(take)
        await eventually(lambda: taken == [b"an end"], timeout=16)
        thawed.set()
        await proxy.heal()
