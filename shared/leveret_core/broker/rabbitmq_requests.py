"""Asks the claim desk over RabbitMQ and waits for its reply: an RPC with direct reply-to."""

from __future__ import annotations

import asyncio
import itertools

from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from aiormq.exceptions import PublishError
from pamqp.commands import Basic

from leveret_core import topology
from leveret_core.broker.rabbitmq_errors import closing_is_an_error
from leveret_core.broker.rabbitmq_link import Link
from leveret_core.errors import BrokerUnavailable
from leveret_core.messages import BadMessage, Reply, decode_reply

REPLY_TO = "amq.rabbitmq.reply-to"
"""The broker's pseudo-queue: replies come straight to the channel that asked, and no queue is left behind."""


class Requester:
    """Requests under way on one channel. Made by `open`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[Reply]] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._ended = False

    @classmethod
    async def open(cls, link: Link) -> Requester:
        """A requester on a channel of its own on `link`."""
        channel = await link.channel(confirms=True)
        requester = cls(channel)
        await link.consume(channel, REPLY_TO, requester._replied, no_ack=True)
        link.on_end(requester._end)
        return requester

    async def ask(self, body: bytes, timeout: float) -> Reply:
        """Send the request `body`; the broker drops it after `timeout` seconds. The caller bounds the wait.

        Raises:
            BrokerUnavailable: it could not be delivered, the connection went, or the reply makes no sense.
        """
        if self._ended:
            raise BrokerUnavailable("the connection to RabbitMQ was lost")
        number = str(next(self._numbers))
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[number] = reply
        properties = Basic.Properties(
            content_type="application/json",
            correlation_id=number,
            delivery_mode=1,
            expiration=str(max(1, int(timeout * 1000))),
            reply_to=REPLY_TO,
        )
        # Apart from the wait for the reply, which may overtake the broker's confirmation.
        sending = asyncio.create_task(self._send(body, properties))
        self._sending.add(sending)
        sending.add_done_callback(lambda task: self._sent(task, reply))
        try:
            return await reply
        except BaseException:
            sending.cancel()
            raise
        finally:
            del self._waiting[number]

    async def _send(self, body: bytes, properties: Basic.Properties) -> None:
        with closing_is_an_error():
            # While the broker is in alarm it does not read: what were written then would come long after its time.
            await self._channel.connection.ready()
            await self._channel.basic_publish(body, routing_key=topology.CLAIMS_QUEUE, properties=properties, mandatory=True)

    def _sent(self, sending: asyncio.Task[None], reply: asyncio.Future[Reply]) -> None:
        self._sending.discard(sending)
        error = None if sending.cancelled() else sending.exception()
        if reply.done():
            return
        if isinstance(error, PublishError):
            reply.set_exception(
                BrokerUnavailable("no server takes requests: has a Leveret server ever been connected to this virtual host?")
            )
        elif error is not None:
            reply.set_exception(BrokerUnavailable(f"the request could not be sent: {error!r}"))

    def _replied(self, message: DeliveredMessage) -> None:
        reply = self._waiting.get(message.header.properties.correlation_id or "")
        if reply is None or reply.done():
            return
        try:
            reply.set_result(decode_reply(message.body))
        except BadMessage as error:
            reply.set_exception(BrokerUnavailable(f"the server's reply cannot be read: {error}"))

    def _end(self) -> None:
        self._ended = True
        for reply in self._waiting.values():
            if not reply.done():
                reply.set_exception(BrokerUnavailable("the connection to RabbitMQ was lost before the reply came"))
