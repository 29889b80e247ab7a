"""Publishes batches of small messages: one write for hundreds of them, and the broker's word on each.

aiormq's `basic_publish` builds three frame objects, a future and a task for every message, which costs about three times the
Python of what is done here: the frames of a batch are copied from templates (made by pamqp, once a routing key) into one
buffer. Everything after the write stays aiormq's: its reader matches acks, nacks and returns to the entries that a batch puts
in `Channel.confirmations`. That mapping and `Channel.delivery_tag` are all this module knows of aiormq's inside.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections.abc import Sequence
from typing import Any, cast

from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from aiormq.exceptions import PublishError
from pamqp import frame as pamqp_frame
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from leveret_core.broker.base import Published
from leveret_core.failpoints import reach

BATCH = 500
"""Messages in one write."""
WINDOW = 2
"""Batches under way at once; more would only wait in the broker, and make aiormq's search among unconfirmed ones slow."""
MAX_BODY = 3_500
"""Bytes; a body that fits the smallest frame AMQP allows, so that it is never split."""

_ID_LENGTH = 24
_BODY_FRAME = struct.Struct(">BHI")
_BODY_SIZE = struct.Struct(">Q")
_FRAME_END = b"\xce"


class _Batch:
    """What is known of the messages of one write."""

    __slots__ = ("missing", "outcomes", "settled")

    def __init__(self, size: int) -> None:
        self.outcomes = [Published.UNKNOWN] * size
        self.missing = size
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end(self) -> None:
        if not self.settled.done():
            self.settled.set_result(None)


class _Entry:
    """Stands for one message where aiormq expects a future: it gets the ack as result, a nack or a return as exception."""

    __slots__ = ("batch", "identifier", "identifiers", "index")

    def __init__(self, batch: _Batch, index: int, identifier: str, identifiers: dict[str, int]) -> None:
        self.batch, self.index, self.identifier, self.identifiers = batch, index, identifier, identifiers

    def done(self) -> bool:
        return False

    def set_result(self, _: object) -> None:
        self._settle(Published.CONFIRMED)

    def set_exception(self, error: BaseException) -> None:
        self._settle(Published.UNROUTABLE if isinstance(error, PublishError) else Published.UNKNOWN)

    def _settle(self, outcome: Published) -> None:
        self.identifiers.pop(self.identifier, None)
        batch = self.batch
        batch.outcomes[self.index] = outcome
        batch.missing -= 1
        if not batch.missing:
            batch.end()


class PipelinedPublisher:
    """Publishes to one exchange: persistent, mandatory, confirmed.

    Args:
        channel: opened with publisher confirms and `on_return_raises`, used by nothing else.
        exchange: its name.
    """

    def __init__(self, channel: Channel, exchange: str) -> None:
        self._channel = channel
        self._exchange = exchange
        self._methods: dict[str, bytes] = {}
        self._identifier_prefix = secrets.token_hex(6)
        self._header = self._header_template()
        self._writing = asyncio.Lock()
        self._window = asyncio.Semaphore(WINDOW)
        self._under_way: set[_Batch] = set()
        self._aborted = False

    async def publish(self, messages: Sequence[tuple[str, bytes]], timeout: float) -> list[Published]:
        """Publish all and wait for the broker's word, no longer than `timeout` seconds in all.

        Args:
            messages: (routing key, body of at most `MAX_BODY` bytes), in the order in which they are to be sent.
            timeout: seconds.

        Returns:
            One outcome a message, in order; `UNKNOWN` where none came in time.
        """
        batches: list[_Batch] = []
        try:
            async with asyncio.timeout(timeout):
                for start in range(0, len(messages), BATCH):
                    reach("publish_write")
                    batches.append(await self._write(messages[start : start + BATCH]))
                for batch in batches:
                    await batch.settled
        except (TimeoutError, OSError):
            pass
        finally:
            for batch in batches:
                batch.end()
        outcomes = [outcome for batch in batches for outcome in batch.outcomes]
        return outcomes + [Published.UNKNOWN] * (len(messages) - len(outcomes))

    def abort(self) -> None:
        """The channel is gone: each `publish` that waits learns at once that the outcome is unknown."""
        self._aborted = True
        for batch in list(self._under_way):
            batch.end()

    async def _write(self, messages: Sequence[tuple[str, bytes]]) -> _Batch:
        await self._window.acquire()
        batch = _Batch(len(messages))
        self._under_way.add(batch)
        batch.settled.add_done_callback(lambda _: self._leave(batch))
        try:
            async with self._writing:
                await self._unblocked(batch)
                await self._write_frames(batch, messages)
        except BaseException:
            batch.end()
            raise
        return batch

    async def _unblocked(self, batch: _Batch) -> None:
        # A broker in alarm says so and reads no more: what is written meanwhile would arrive long after its time.
        ready = asyncio.ensure_future(self._channel.connection.ready())
        try:
            await asyncio.wait((ready, batch.settled), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()

    async def _write_frames(self, batch: _Batch, messages: Sequence[tuple[str, bytes]]) -> None:
        if self._aborted or self._channel.is_closed:
            raise ConnectionResetError("the channel is closed")
        channel, first = self._channel, self._channel.delivery_tag + 1
        payload, entries = self._frames(batch, messages, first)
        confirmations = cast("dict[int, Any]", channel.confirmations)
        confirmations.update(enumerate(entries, first))
        channel.delivery_tag += len(entries)
        drained: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        frame = ChannelFrame(payload=payload, should_close=False, drain_future=drained)
        try:
            await channel.write_queue.put(frame)
        except BaseException:
            # Nothing was sent, so the broker does not count these; no other write can have come between, by the lock.
            channel.delivery_tag -= len(entries)
            for tag, entry in enumerate(entries, first):
                confirmations.pop(tag, None)
                channel.message_id_delivery_tag.pop(entry.identifier, None)
            raise
        # Without waiting for the socket a stuck broker would fill the memory. If the channel goes, `abort` ends the batch.
        await asyncio.wait((drained, batch.settled), return_when=asyncio.FIRST_COMPLETED)

    def _frames(self, batch: _Batch, messages: Sequence[tuple[str, bytes]], first: int) -> tuple[bytes, list[_Entry]]:
        number, identifiers = self._channel.number, self._channel.message_id_delivery_tag
        before_size, before_identifier = self._header
        parts: list[bytes] = []
        entries: list[_Entry] = []
        for index, (routing_key, body) in enumerate(messages):
            identifier = f"{self._identifier_prefix}{first + index:012x}"
            identifiers[identifier] = first + index
            entries.append(_Entry(batch, index, identifier, identifiers))
            size = len(body)
            parts += (
                self._methods.get(routing_key) or self._method(routing_key),
                before_size,
                _BODY_SIZE.pack(size),
                before_identifier,
                identifier.encode(),
                _FRAME_END,
                _BODY_FRAME.pack(3, number, size),
                body,
                _FRAME_END,
            )
        return b"".join(parts), entries

    def _method(self, routing_key: str) -> bytes:
        if len(self._methods) > 10_000:
            self._methods.clear()
        method = Basic.Publish(exchange=self._exchange, routing_key=routing_key, mandatory=True)
        self._methods[routing_key] = marshalled = pamqp_frame.marshal(method, self._channel.number)
        return marshalled

    def _header_template(self) -> tuple[bytes, bytes]:
        # Frame header 7, class 2, weight 2, then 8 bytes of body size; the message id is the last property of ours.
        properties = Basic.Properties(content_type="application/json", delivery_mode=2, message_id="0" * _ID_LENGTH)
        whole = pamqp_frame.marshal(ContentHeader(body_size=0, properties=properties), self._channel.number)
        return whole[:11], whole[19 : -len(_FRAME_END) - _ID_LENGTH]

    def _leave(self, batch: _Batch) -> None:
        self._under_way.discard(batch)
        self._window.release()
