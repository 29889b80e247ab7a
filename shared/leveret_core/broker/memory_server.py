"""The servers' side of the in-process broker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from leveret_core.broker.base import Backlog, EventMessage, Published
from leveret_core.broker.claims_feed import PREFETCH as CLAIMS_PREFETCH
from leveret_core.broker.claims_feed import Asked, ClaimsFeed, Desk, log_refused
from leveret_core.broker.events_feed import PREFETCH as EVENTS_PREFETCH
from leveret_core.broker.events_feed import Arrived, EventsFeed, Ingest
from leveret_core.broker.feeds import Feeds
from leveret_core.broker.memory_hub import MemoryHub, Waiting
from leveret_core.broker.memory_queue import MemoryConsumer
from leveret_core.errors import BrokerUnavailable
from leveret_core.messages import Control, DispatchMessage, Reply, Unreadable, decode_reply, encode
from leveret_core.patterns import matches
from leveret_core.supervision import Supervisor


class MemoryServerBroker:
    """`ServerBroker` on the queues of a `MemoryHub`. Used on the loop of the queues only."""

    def __init__(self, hub: MemoryHub, supervisor: Supervisor | None = None) -> None:
        self._hub = hub
        self._connected = False
        self._consumers: list[MemoryConsumer[Any]] = []
        self._feeds = Feeds(supervisor or Supervisor())

    @property
    def connected(self) -> bool:
        """Whether it is started."""
        return self._connected

    async def start(self) -> None:
        """Declare the queues of claims and events."""
        self._hub.bind_loop()
        self._hub.declared = self._connected = True

    async def stop(self) -> None:
        """Stop consuming, let the running calls of desk and ingestor end; what is unsettled goes back."""
        self._connected = False
        for consumer in self._consumers:
            consumer.cancel()
        await self._feeds.stop()
        for consumer in self._consumers:
            consumer.close()
        self._consumers.clear()

    async def publish(self, dispatches: Sequence[DispatchMessage]) -> list[Published]:
        """Put each dispatch message into the queue of every pattern that matches its type."""
        if not self._connected:
            return [Published.UNKNOWN] * len(dispatches)
        return [self._publish(dispatch) for dispatch in dispatches]

    async def serve_claims(self, desk: Desk, refused: Callable[[Unreadable], None] = log_refused) -> None:
        """Hand batches of requests to `desk`, and send its replies; see `ClaimsFeed`. Returns at once."""
        feed = ClaimsFeed(desk, refused)

        def deliver(number: int, waiting: Waiting) -> None:
            async def answer(reply: Reply | None) -> None:
                consumer.ack(number)
                if reply is not None and not waiting.reply.done():
                    waiting.reply.set_result(decode_reply(encode(reply)))

            if waiting.reply.done():
                consumer.ack(number)
            else:
                feed.inbox.put(Asked(waiting.body, answer))

        consumer = self._hub.claims.consume(CLAIMS_PREFETCH, deliver)
        self._consume(consumer, feed)

    async def consume_events(self, ingest: Ingest) -> None:
        """Hand batches of event messages to `ingest`, one at a time. Returns at once."""
        feed = EventsFeed(ingest)

        def deliver(number: int, body: bytes) -> None:
            async def ack() -> None:
                consumer.ack(number)

            feed.inbox.put(Arrived(EventMessage(body, ack), lambda: False))

        consumer = self._hub.events.consume(EVENTS_PREFETCH, deliver)
        self._consume(consumer, feed)

    @property
    def events_behind(self) -> float | None:
        """Seconds since the oldest event arrived here that is not ingested, 0 if there is none; None while none can arrive."""
        return self._feeds.events_behind if self._connected else None

    async def events_backlog(self) -> Backlog:
        """What is in the events queue just now."""
        return Backlog(len(self._hub.events), self._hub.events.consumers)

    async def tell_workers(self, word: Control) -> None:
        """Send a word to all workers that listen. Raises `BrokerUnavailable` when stopped."""
        if not self._connected:
            raise BrokerUnavailable("the broker is stopped")
        body = encode(word)
        for listener in list(self._hub.listeners):
            listener(body)

    def _publish(self, dispatch: DispatchMessage) -> Published:
        queues = [queue for pattern, queue in self._hub.dispatches.items() if matches(pattern, dispatch.type)]
        body = encode(dispatch)
        for queue in queues:
            queue.put(body)
        return Published.CONFIRMED if queues else Published.UNROUTABLE

    def _consume(self, consumer: MemoryConsumer[Any], feed: ClaimsFeed | EventsFeed) -> None:
        self._consumers.append(consumer)
        self._feeds.start(feed)
