"""Settles the deliveries of one channel with as few frames as it can."""

from __future__ import annotations

import asyncio

from aiormq.abc import AbstractChannel, ChannelFrame
from pamqp.base import Frame
from pamqp.commands import Basic

from leveret_core.broker.rabbitmq_errors import closing_is_an_error


class Acknowledger:
    """Collects acks while the event loop is busy and sends them in one write, as one frame where they follow each other.

    Each delivery is settled once; settling it again, or after the channel is gone, does nothing: then the broker has given the
    message to another consumer. Every delivery of the channel has to be settled here, because the tags are counted.

    Args:
        channel: on which the deliveries come, with acknowledgements.
    """

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self._floor = 0
        """Every tag up to here is settled."""
        self._above: set[int] = set()
        """Settled tags above the floor."""
        self._acks: set[int] = set()
        self._refusals: list[Frame] = []
        self._sending: asyncio.Task[None] | None = None

    async def ack(self, tag: int) -> None:
        """The message with the delivery tag `tag` is dealt with; returns before the broker knows."""
        if self._settle(tag):
            self._acks.add(tag)

    async def requeue(self, tag: int) -> None:
        """Give the message back to its queue. A nack: from RabbitMQ 4.3 on only a reject counts to the delivery limit."""
        if self._settle(tag):
            self._refusals.append(Basic.Nack(delivery_tag=tag, requeue=True))

    def reject(self, tag: int) -> None:
        """Refuse the message for good: it goes to the dead-letter exchange of its queue."""
        if self._settle(tag):
            self._refusals.append(Basic.Reject(delivery_tag=tag, requeue=False))

    async def flush(self) -> None:
        """Return when all that was settled so far is written, or the channel is gone."""
        while self._sending is not None:
            await asyncio.wait({self._sending})

    def _settle(self, tag: int) -> bool:
        if tag <= self._floor or tag in self._above or self._channel.is_closed:
            return False
        self._above.add(tag)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())
        return True

    async def _send(self) -> None:
        try:
            with closing_is_an_error():
                while frames := self._frames():
                    frame = ChannelFrame.marshall(self._channel.number, frames)
                    await self._channel.connection.write_queue.put(frame)
        except OSError:
            pass
        finally:
            self._sending = None

    def _frames(self) -> list[Frame]:
        while self._floor + 1 in self._above:
            self._floor += 1
            self._above.discard(self._floor)
        below = [tag for tag in self._acks if tag <= self._floor]
        frames, self._refusals = self._refusals, []
        if below:
            # A group ends with a tag that the broker still holds: an unknown one would be an error, after acking everything.
            frames.append(Basic.Ack(delivery_tag=max(below), multiple=True))
        frames += [Basic.Ack(delivery_tag=tag) for tag in sorted(self._acks) if tag > self._floor]
        self._acks.clear()
        return frames
