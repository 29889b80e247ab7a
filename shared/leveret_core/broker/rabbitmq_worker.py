"""The workers' side of RabbitMQ: takes dispatch messages, asks for claims, sends events, hears the servers' words."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable
from functools import partial

from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from aiormq.exceptions import PublishError
from pamqp.commands import Basic

from leveret_core import topology
from leveret_core.broker.acknowledger import Acknowledger
from leveret_core.broker.base import Delivery
from leveret_core.broker.rabbitmq_connection import SupervisedConnection
from leveret_core.broker.rabbitmq_errors import closing_is_an_error
from leveret_core.broker.rabbitmq_link import Link
from leveret_core.broker.rabbitmq_part import Part
from leveret_core.broker.rabbitmq_requests import Requester
from leveret_core.errors import BrokerRefused, BrokerUnavailable
from leveret_core.messages import BadMessage, Control, Reply, Request, decode_control, decode_dispatch, encode
from leveret_core.patterns import check_pattern, queue_name

logger = logging.getLogger("leveret.broker")

START_TIMEOUT = 15.0
"""Seconds `start` waits for a connection."""
SERVE_TIMEOUT = 10.0
"""Seconds `serve` and `listen` wait for their consumer; it is made later if they end before."""


class RabbitWorkerBroker:
    """`WorkerBroker` on RabbitMQ, on a connection each for dispatch messages, events, and requests with the servers' words.

    They are opened as they are needed: one for a broker that only sends requests. All belongs to the event loop of `start`.

    Args:
        url: `amqp://user:password@host:port/vhost`, or `amqps://`.

    Raises:
        ConfigurationError: `url` is none.
    """

    def __init__(self, url: str) -> None:
        self._work = SupervisedConnection(url, "worker dispatch messages")
        self._events = SupervisedConnection(url, "worker events")
        self._control = SupervisedConnection(url, "worker control")
        self._requester = self._control.keep("direct reply-to", Requester.open)
        self._events_channel = self._events.keep("queue leveret.events", _open_events_channel)
        self._started: list[SupervisedConnection] = []
        self._open: dict[str, tuple[Link, Channel, Callable[[DeliveredMessage], None]]] = {}
        """Queue → where and how it is consumed, unless it is held or all are paused."""
        self._held: set[str] = set()
        self._consuming = asyncio.Lock()
        self._paused = False

    @property
    def connected(self) -> bool:
        """Whether requests and events can be sent right now."""
        return self._requester.there and (self._events not in self._started or self._events_channel.there)

    @property
    def problem(self) -> str | None:
        """What the broker refuses, in words that say what to check; None if nothing."""
        return next((connection.problem for connection in self._started if connection.problem), None)

    async def start(self) -> None:
        """Connect. When that fails at the first try nothing is left running, and it can be called again.

        Raises:
            BrokerRefused: of the login.
            BrokerUnavailable: anything else.
        """
        self._begin(self._control)
        await self._control.tried(START_TIMEOUT)
        if not self._requester.there:
            problem = self._control.problem or f"RabbitMQ did not answer within {START_TIMEOUT:g} s"
            refused = self._control.login_refused
            await self.stop()
            raise BrokerRefused(problem) if refused else BrokerUnavailable(problem)

    async def stop(self) -> None:
        """Close. Unsettled deliveries go back to their queues."""
        await asyncio.gather(*(connection.stop() for connection in self._started))
        self._started.clear()

    async def serve(self, pattern: str, prefetch: int, on_dispatch: Callable[[Delivery], None]) -> None:
        """Declare and bind the queue of `pattern` and consume it on a channel of its own.

        If the broker refuses the queue, that is logged, told by `problem` and tried again now and then; other patterns go on.

        Args:
            pattern: served by this object only once.
            prefetch: unsettled deliveries at once, at most; 1 or more.
            on_dispatch: called on the event loop; must return at once.

        Raises:
            InvalidInput: `pattern` is none.
        """
        check_pattern(pattern)
        make = partial(self._open_pattern, pattern=pattern, prefetch=max(1, prefetch), on_dispatch=on_dispatch)
        part = self._work.keep(f"queue {queue_name(pattern)}", make)
        self._begin(self._work)
        await self._first_try(part)

    async def pause(self) -> None:
        """Stop consuming; deliveries already made stay valid."""
        self._paused = True
        for queue in list(self._open):
            await self._stop_consuming(queue)

    async def hold(self, pattern: str) -> None:
        """Stop consuming the queue of `pattern` until `resume`; deliveries already made stay valid."""
        queue = queue_name(pattern)
        self._held.add(queue)
        await self._stop_consuming(queue)

    async def resume(self, pattern: str) -> None:
        """Consume the queue of `pattern` again."""
        queue = queue_name(pattern)
        self._held.discard(queue)
        if queue not in self._open:
            return
        link, _, _ = self._open[queue]
        try:
            await self._consume(queue)
        except Exception as error:
            link.end(f"{queue} could not be consumed again: {error!r}")

    async def request(self, request: Request, timeout: float) -> Reply:
        """Ask the claim desk. Raises `BrokerUnavailable` without an answer within `timeout` seconds."""
        body = encode(request)
        try:
            async with asyncio.timeout(timeout):
                requester = await self._requester.get()
                return await requester.ask(body, timeout)
        except TimeoutError:
            raise BrokerUnavailable(f"no answer within {timeout:g} s; is a Leveret server running on this broker?") from None

    async def send_events(self, body: bytes, timeout: float) -> None:
        """Publish an encoded `Events` batch; returns when the broker has confirmed it. Raises `BrokerUnavailable`."""
        if not self._started:
            raise BrokerUnavailable("the broker connection is not started")
        self._begin(self._events)
        properties = Basic.Properties(content_type="application/json", delivery_mode=2)
        try:
            with closing_is_an_error():
                async with asyncio.timeout(timeout):
                    channel = await self._events_channel.get()
                    await channel.connection.ready()
                    answer = await channel.basic_publish(
                        body, routing_key=topology.EVENTS_QUEUE, properties=properties, mandatory=True
                    )
        except TimeoutError:
            raise BrokerUnavailable(f"events were not confirmed within {timeout:g} s") from None
        except PublishError:
            raise BrokerUnavailable("queue leveret.events is not there: has a Leveret server ever been connected?") from None
        except BrokerUnavailable:
            raise
        except Exception as error:
            raise BrokerUnavailable(f"events could not be sent: {error!r}") from error
        if not isinstance(answer, Basic.Ack):
            raise BrokerUnavailable(f"events were refused: {answer!r}")

    async def listen(self, on_control: Callable[[Control], None]) -> None:
        """Call `on_control` for every word of the servers. It must return at once."""
        part = self._control.keep("exchange leveret.control", partial(_open_control, on_control=on_control))
        self._begin(self._control)
        await self._first_try(part)

    def _begin(self, connection: SupervisedConnection) -> None:
        if connection not in self._started:
            self._started.append(connection)
            connection.start()

    async def _first_try(self, part: Part[None]) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SERVE_TIMEOUT):
                await part.tried.wait()

    async def _open_pattern(self, link: Link, *, pattern: str, prefetch: int, on_dispatch: Callable[[Delivery], None]) -> None:
        queue = queue_name(pattern)
        async with link.scratch() as scratch:
            await scratch.queue_declare(queue, durable=True, arguments=topology.durable_queue_arguments())
            await scratch.queue_bind(queue, topology.JOBS_EXCHANGE, pattern)
        channel = await link.channel(prefetch=prefetch)
        acks = Acknowledger(channel)
        link.before_close(acks.flush)
        self._open[queue] = link, channel, partial(_deliver, acks=acks, pattern=pattern, on_dispatch=on_dispatch)
        await self._consume(queue)

    async def _consume(self, queue: str) -> None:
        """Consume `queue`, unless it is held, or is consumed already."""
        async with self._consuming:
            link, channel, deliver = self._open[queue]
            if not (self._paused or queue in self._held or link.ended.is_set() or link.consumes(queue)):
                await link.consume(channel, queue, deliver)
        if self._paused or queue in self._held:
            await self._stop_consuming(queue)

    async def _stop_consuming(self, queue: str) -> None:
        if queue not in self._open:
            return
        async with self._consuming:
            link, _, _ = self._open[queue]
            try:
                await link.cancel(queue)
            except Exception as error:
                # The next link consumes nothing.
                link.end(f"the consumer of {queue} could not be cancelled: {error!r}")


def _deliver(message: DeliveredMessage, *, acks: Acknowledger, pattern: str, on_dispatch: Callable[[Delivery], None]) -> None:
    tag = message.delivery_tag or 0
    try:
        dispatch = decode_dispatch(message.body)
    except BadMessage as error:
        logger.warning("a message in %s cannot be read and is rejected: %s", queue_name(pattern), error)
        acks.reject(tag)
        return
    on_dispatch(Delivery(dispatch, pattern, ack=partial(acks.ack, tag), requeue=partial(acks.requeue, tag)))


async def _open_events_channel(link: Link) -> Channel:
    channel = await link.channel(confirms=True)
    link.watch(channel)
    return channel


async def _open_control(link: Link, *, on_control: Callable[[Control], None]) -> None:
    queue = topology.CONTROL_QUEUE_PREFIX + uuid.uuid4().hex

    def heard(message: DeliveredMessage) -> None:
        try:
            on_control(decode_control(message.body))
        except BadMessage as error:
            logger.warning("a word of the servers cannot be read: %s", error)

    async with link.scratch() as scratch:
        await scratch.queue_declare(queue, exclusive=True, arguments=topology.control_queue_arguments())
        await scratch.queue_bind(queue, topology.CONTROL_EXCHANGE)
    await link.consume(await link.channel(), queue, heard, no_ack=True)
