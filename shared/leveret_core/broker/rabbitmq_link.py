"""One AMQP connection from its opening to its end. It never recovers: a new link takes its place."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import cast

import aio_pika
from aiormq.abc import ChannelFrame, DeliveredMessage
from aiormq.channel import Channel
from yarl import URL

from leveret_core.broker.aiormq_logs import outside
from leveret_core.broker.rabbitmq_errors import CONNECTION_LOST, closing_is_an_error

logger = logging.getLogger("leveret.broker")

CONNECT_TIMEOUT = 10.0
"""Seconds for the TCP connection, TLS and login together."""
STEP_TIMEOUT = 10.0
"""Seconds for any one thing the broker is asked to do."""
CLOSE_TIMEOUT = 3.0


class Link:
    """A connection with its channels and consumers. Whatever breaks on it ends it whole.

    It works on the channels of aiormq, aio-pika's protocol layer: aio-pika's own channels add an object and a task for every
    message, and a state of their own that can differ from the broker's.

    Args:
        connection: connected.
        cautious: whether to take one message at a time, see `SupervisedConnection`.
    """

    def __init__(self, connection: aio_pika.Connection, *, cautious: bool = False) -> None:
        transport = connection.transport
        if transport is None:
            raise ConnectionResetError("the connection to RabbitMQ was closed")
        self.cautious = cautious
        self.ended = asyncio.Event()
        self.reason = ""
        """Why it ended."""
        self.spoilt = False
        """Whether it ended by something that arrived and could not be parsed."""
        self._connection = connection
        self._amqp = transport.connection
        self._channels: list[Channel] = []
        self._consumed: dict[str, tuple[Channel, str]] = {}
        self._on_end: list[Callable[[], None]] = []
        self._before_close: list[Callable[[], Awaitable[None]]] = []
        self._amqp.closing.add_done_callback(self._connection_closed)

    @classmethod
    async def open(cls, url: URL, name: str, *, cautious: bool = False) -> Link:
        """Connect as `name` (shown in the broker's management pages). Raises whatever went wrong."""
        connection = aio_pika.Connection(url, client_properties={"connection_name": name})
        try:
            with closing_is_an_error():
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    await connection.connect()
            return cls(connection, cautious=cautious)
        except BaseException:
            # Else its destructor starts a task to do so, perhaps on a loop that has ended.
            await connection.close()
            raise

    async def blocked(self) -> bool:
        """Whether the broker refuses to read from this connection, because it is short of memory or disk space."""
        try:
            async with asyncio.timeout(0.01):
                await self._amqp.ready()
        except TimeoutError:
            return True
        return False

    def on_end(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the link ends, at once if it has."""
        if self.ended.is_set():
            callback()
        else:
            self._on_end.append(callback)

    def before_close(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Await `callback` before an orderly close."""
        self._before_close.append(callback)

    def end(self, reason: str) -> None:
        """The link is of no more use, for `reason`; its maker closes it. Only the first reason counts."""
        if self.ended.is_set():
            return
        self.reason = reason
        self.ended.set()
        for callback in self._on_end:
            callback()

    async def close(self) -> None:
        """Write what is settled, then close. Never raises, and takes `CLOSE_TIMEOUT` seconds at most."""
        if not self.ended.is_set():
            with contextlib.suppress(*CONNECTION_LOST), closing_is_an_error():
                async with asyncio.timeout(CLOSE_TIMEOUT / 2):
                    for callback in self._before_close:
                        await callback()
                    await self._written()
            self.end("closed")
        try:
            with closing_is_an_error():
                async with asyncio.timeout(CLOSE_TIMEOUT / 2):
                    await self._connection.close()
        except CONNECTION_LOST as error:
            logger.debug("broker connection did not close properly: %r", error)

    async def channel(self, *, prefetch: int = 0, confirms: bool = False) -> Channel:
        """Open a channel. If it is closed later the link ends, from `watch` or `consume` on.

        Args:
            prefetch: unsettled deliveries to each of its consumers, at most; 0 for channels without any.
            confirms: whether the broker confirms what is published on it.
        """
        with closing_is_an_error():
            async with asyncio.timeout(STEP_TIMEOUT):
                opened = await self._amqp.channel(publisher_confirms=confirms, on_return_raises=True)
                channel = cast("Channel", opened)
                self._channels.append(channel)
                if prefetch:
                    await channel.basic_qos(prefetch_count=1 if self.cautious else prefetch)
                return channel

    def watch(self, channel: Channel) -> None:
        """End the link when `channel` is closed, or when the broker cancels a consumer on it."""
        channel.on_consumer_cancel_callbacks.add(lambda _: self.end("the broker cancelled a consumer; was its queue deleted?"))
        channel.closing.add_done_callback(self._channel_closed)

    async def consume(
        self, channel: Channel, queue: str, on_message: Callable[[DeliveredMessage], None], *, no_ack: bool = False
    ) -> str:
        """Consume `queue` on `channel`, with nothing else on it. `on_message` is called in the order of arrival.

        Returns:
            the consumer's tag.
        """

        callback = outside(on_message)

        async def deliver(message: DeliveredMessage) -> None:
            # aiormq runs this as a task that it cancels when the connection goes, so nothing may be awaited here.
            try:
                callback(message)
            except Exception:
                logger.exception("a message from %s was not taken", queue)

        with closing_is_an_error():
            async with asyncio.timeout(STEP_TIMEOUT):
                tag = (await channel.basic_consume(queue, deliver, no_ack=no_ack)).consumer_tag or ""
        self._consumed[queue] = (channel, tag)
        self.watch(channel)
        return tag

    def consumes(self, queue: str) -> bool:
        """Whether `queue` is consumed on this link."""
        return queue in self._consumed

    async def cancel(self, queue: str) -> None:
        """Stop consuming `queue`; what was delivered before stays valid."""
        if queue not in self._consumed:
            return
        channel, tag = self._consumed.pop(queue)
        with closing_is_an_error():
            async with asyncio.timeout(STEP_TIMEOUT):
                await channel.basic_cancel(tag)

    @contextlib.asynccontextmanager
    async def scratch(self) -> AsyncGenerator[Channel, None]:
        """A channel for declarations: a refused one closes it, and nothing else."""
        with closing_is_an_error():
            async with asyncio.timeout(STEP_TIMEOUT):
                channel = cast("Channel", await self._amqp.channel(publisher_confirms=False))
                yield channel
                await channel.close()

    async def check(self) -> None:
        """Ask the broker whether every consumer is still there; end the link if not, or if there is no answer."""
        if not self._consumed or await self.blocked():
            return
        try:
            async with self.scratch() as channel:
                for queue, (consumer, tag) in list(self._consumed.items()):
                    there = tag in consumer.consumers
                    if there and not queue.startswith("amq."):
                        there = bool((await channel.queue_declare(queue, passive=True)).consumer_count)
                    if not there and queue in self._consumed:
                        self.end(f"the consumer of {queue} is gone")
        except Exception as error:
            self.end(f"no proof that the consumers are there: {error!r}")

    async def _written(self) -> None:
        # Closing drops what aiormq has queued but not written; a frame of no bytes tells when the queue has come that far.
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._amqp.write_queue.put(ChannelFrame(payload=b"", should_close=False, drain_future=written))
        await written

    def _connection_closed(self, closing: asyncio.Future[object]) -> None:
        error = _reason(closing)
        self.spoilt = error is not None and not isinstance(error, OSError)
        self.end("the broker fell silent" if error is None else f"connection closed: {error}")

    def _channel_closed(self, closing: asyncio.Future[object]) -> None:
        self.end(f"channel closed: {_reason(closing) or 'with its connection'}")


def _reason(closing: asyncio.Future[object]) -> BaseException | None:
    # Without a sign of life from the broker aiormq cancels its reader, and gives that as the reason.
    error = None if closing.cancelled() else closing.exception()
    return None if isinstance(error, asyncio.CancelledError) else error
