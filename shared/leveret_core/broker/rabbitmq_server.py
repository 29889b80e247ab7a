"""The servers' side of RabbitMQ: publishes dispatch messages, answers claims, takes events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from pamqp.commands import Basic

from leveret_core import topology
from leveret_core.broker.acknowledger import Acknowledger
from leveret_core.broker.base import Backlog, EventMessage, Published
from leveret_core.broker.claims_feed import PREFETCH as CLAIMS_PREFETCH
from leveret_core.broker.claims_feed import Asked, ClaimsFeed, Desk, log_refused
from leveret_core.broker.events_feed import PREFETCH as EVENTS_PREFETCH
from leveret_core.broker.events_feed import Arrived, EventsFeed, Ingest
from leveret_core.broker.feeds import Feeds
from leveret_core.broker.pipelined_publish import PipelinedPublisher
from leveret_core.broker.rabbitmq_connection import SupervisedConnection
from leveret_core.broker.rabbitmq_errors import CONNECTION_LOST, closing_is_an_error
from leveret_core.broker.rabbitmq_link import Link
from leveret_core.broker.rabbitmq_requests import REPLY_TO
from leveret_core.errors import BrokerUnavailable
from leveret_core.messages import Control, DispatchMessage, Reply, Unreadable, encode
from leveret_core.supervision import Supervisor

logger = logging.getLogger("leveret.broker")

START_TIMEOUT = 5.0
"""Seconds `start` waits for the first try to connect."""
TELL_TIMEOUT = 5.0
CONSUMER_HEARTBEAT = 5
"""Seconds; RabbitMQ gives what a frozen replica holds to the others after two or three times as long."""


class RabbitServerBroker:
    """`ServerBroker` on RabbitMQ, on a connection each for publishing, claims and events.

    They are apart because a broker short of memory stops reading from a connection that publishes: events must still be taken.

    Args:
        url: `amqp://user:password@host:port/vhost`, or `amqps://`.
        publish_timeout: seconds that `publish` may take as a whole, waiting for a connection included.
        supervisor: keeps the connections and what feeds desk and ingestor.

    Raises:
        ConfigurationError: `url` is none.
    """

    def __init__(self, url: str, *, publish_timeout: float = 10.0, supervisor: Supervisor | None = None) -> None:
        self._supervisor = supervisor or Supervisor()
        self._publish_timeout = publish_timeout
        self._publishing = SupervisedConnection(url, "server publish", self._supervisor)
        self._claims = SupervisedConnection(url, "server claims", self._supervisor, heartbeat=CONSUMER_HEARTBEAT)
        self._events = SupervisedConnection(url, "server events", self._supervisor, heartbeat=CONSUMER_HEARTBEAT)
        self._publishing.keep("queue leveret.events", _declare_events)
        self._publishing.keep("queue leveret.claims", _declare_claims)
        self._publisher = self._publishing.keep("exchange leveret.jobs", _open_publisher)
        self._teller = self._publishing.keep("exchange leveret.control", _open_teller)
        self._started: list[SupervisedConnection] = []
        self._feeds = Feeds(self._supervisor)

    @property
    def connected(self) -> bool:
        """Whether publishing and consuming are possible right now."""
        return bool(self._started) and all(connection.connected for connection in self._started)

    @property
    def problem(self) -> str | None:
        """What the broker refuses, in words that say what to check; None if nothing."""
        return next((connection.problem for connection in self._started if connection.problem), None)

    async def start(self) -> None:
        """Connect and declare the topology; goes on trying in the background, see `connected`."""
        self._started.append(self._publishing)
        self._publishing.start()
        await self._publishing.tried(START_TIMEOUT)

    async def stop(self) -> None:
        """Stop consuming, let the running calls of desk and ingestor end, and close."""
        await self._feeds.stop()
        await asyncio.gather(*(connection.stop() for connection in self._started))
        self._started.clear()

    async def publish(self, dispatches: Sequence[DispatchMessage]) -> list[Published]:
        """Publish all, pipelined, and wait for the broker's word on each; never raises for a single one."""
        messages = [(dispatch.type, encode(dispatch)) for dispatch in dispatches]
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._publish_timeout
        try:
            async with asyncio.timeout_at(deadline):
                publisher = await self._publisher.get()
        except (TimeoutError, BrokerUnavailable):
            return [Published.UNKNOWN] * len(messages)
        return await publisher.publish(messages, deadline - clock())

    async def serve_claims(self, desk: Desk, refused: Callable[[Unreadable], None] = log_refused) -> None:
        """Hand batches of requests to `desk`, and send its replies; see `ClaimsFeed`. Returns at once."""
        feed = ClaimsFeed(desk, refused)
        self._claims.keep("queue leveret.claims", partial(_consume_claims, feed=feed))
        self._consume(self._claims, feed)

    async def consume_events(self, ingest: Ingest) -> None:
        """Hand batches of event messages to `ingest`, one at a time. Returns at once.

        What `ingest` raises on is held and handed over again, see `EventsFeed`.
        """
        feed = EventsFeed(ingest)
        self._events.keep("queue leveret.events", partial(_consume_events, feed=feed))
        self._consume(self._events, feed)

    @property
    def events_behind(self) -> float | None:
        """Seconds since the oldest event arrived here that is not ingested, 0 if there is none; None while none can arrive."""
        return self._feeds.events_behind if self._events.connected else None

    async def events_backlog(self) -> Backlog:
        """What is in the events queue just now. Raises `BrokerUnavailable`."""
        try:
            with closing_is_an_error():
                async with asyncio.timeout(TELL_TIMEOUT):
                    channel = await self._teller.get()
                    declared = await channel.queue_declare(topology.EVENTS_QUEUE, passive=True)
        except BrokerUnavailable:
            raise
        except Exception as error:
            raise BrokerUnavailable(f"the queue of events could not be looked at: {error!r}") from error
        return Backlog(declared.message_count or 0, declared.consumer_count or 0)

    async def tell_workers(self, word: Control) -> None:
        """Send a word to all workers, best effort. Raises `BrokerUnavailable`."""
        properties = Basic.Properties(content_type="application/json", delivery_mode=1)
        try:
            with closing_is_an_error():
                async with asyncio.timeout(TELL_TIMEOUT):
                    channel = await self._teller.get()
                    await channel.basic_publish(encode(word), exchange=topology.CONTROL_EXCHANGE, properties=properties)
        except BrokerUnavailable:
            raise
        except Exception as error:
            raise BrokerUnavailable(f"the workers could not be told: {error!r}") from error

    def _consume(self, connection: SupervisedConnection, feed: ClaimsFeed | EventsFeed) -> None:
        self._started.append(connection)
        connection.start()
        self._feeds.start(feed)


async def _declare_events(link: Link) -> None:
    """Declare the queue of events, and where what no server can read ends."""
    async with link.scratch() as channel:
        await channel.exchange_declare(topology.DEAD_EXCHANGE, exchange_type="fanout", durable=True)
        await channel.queue_declare(topology.DEAD_QUEUE, durable=True, arguments=topology.dead_queue_arguments())
        await channel.queue_bind(topology.DEAD_QUEUE, topology.DEAD_EXCHANGE)
        await channel.queue_declare(topology.EVENTS_QUEUE, durable=True, arguments=topology.durable_queue_arguments())


async def _declare_claims(link: Link) -> None:
    """Declare the queue of requests."""
    async with link.scratch() as channel:
        await channel.queue_declare(topology.CLAIMS_QUEUE, durable=True, arguments=topology.claims_queue_arguments())


async def _open_publisher(link: Link) -> PipelinedPublisher:
    async with link.scratch() as channel:
        await channel.exchange_declare(topology.JOBS_EXCHANGE, exchange_type="topic", durable=True)
    channel = await link.channel(confirms=True)
    link.watch(channel)
    publisher = PipelinedPublisher(channel, topology.JOBS_EXCHANGE)
    link.on_end(publisher.abort)
    return publisher


async def _open_teller(link: Link) -> Channel:
    async with link.scratch() as channel:
        await channel.exchange_declare(topology.CONTROL_EXCHANGE, exchange_type="fanout", durable=True)
    channel = await link.channel(confirms=True)
    link.watch(channel)
    return channel


async def _consume_claims(link: Link, *, feed: ClaimsFeed) -> None:
    await _declare_claims(link)
    channel = await link.channel(prefetch=CLAIMS_PREFETCH)
    acks = Acknowledger(channel)
    link.before_close(acks.flush)
    link.on_end(feed.forget)

    def arrived(message: DeliveredMessage) -> None:
        async def answer(reply: Reply | None) -> None:
            try:
                await _reply(channel, message, reply)
                await acks.ack(message.delivery_tag or 0)
            except CONNECTION_LOST as error:
                # The request is delivered again, and the worker asks again besides.
                logger.debug("the connection went before a reply was sent: %r", error)

        feed.inbox.put(Asked(message.body, answer))

    await link.consume(channel, topology.CLAIMS_QUEUE, arrived)


async def _reply(channel: Channel, message: DeliveredMessage, reply: Reply | None) -> None:
    asked = message.header.properties
    if reply is None:
        return
    address = asked.reply_to or ""
    if not address.startswith(REPLY_TO):
        # Another address would have the servers, who may write everywhere, publish into any queue for any client.
        logger.warning("a request names no direct reply-to as its reply_to, and gets no reply")
        return
    answer = Basic.Properties(content_type="application/json", delivery_mode=1, correlation_id=asked.correlation_id)
    with closing_is_an_error():
        await channel.basic_publish(encode(reply), routing_key=address, properties=answer, wait=False)


async def _consume_events(link: Link, *, feed: EventsFeed) -> None:
    await _declare_events(link)
    channel = await link.channel(prefetch=EVENTS_PREFETCH)
    acks = Acknowledger(channel)
    link.before_close(acks.flush)
    link.on_end(feed.inbox.clear)

    def arrived(message: DeliveredMessage) -> None:
        event_message = EventMessage(message.body, partial(acks.ack, message.delivery_tag or 0))
        feed.inbox.put(Arrived(event_message, gone=lambda: channel.is_closed))

    await link.consume(channel, topology.EVENTS_QUEUE, arrived)
