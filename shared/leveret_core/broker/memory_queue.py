"""A queue of the in-process broker, with RabbitMQ's rules of order and prefetch."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class MemoryQueue(Generic[Item]):
    """Items in order of arrival, dealt out in turn to the consumers that have room. What comes back takes its old place."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._ready: list[tuple[int, Item]] = []
        self._consumers: deque[MemoryConsumer[Item]] = deque()
        self._dealing = False

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def consumers(self) -> int:
        """How many there are."""
        return len(self._consumers)

    def put(self, item: Item) -> None:
        """Add `item` at the end."""
        self.put_back(next(self._numbers), item)

    def put_back(self, number: int, item: Item) -> None:
        """Put what was dealt out as `number` back in its place."""
        heapq.heappush(self._ready, (number, item))
        self.deal()

    def consume(self, prefetch: int, deliver: Callable[[int, Item], None]) -> MemoryConsumer[Item]:
        """Call `deliver` with a number and an item for each one, soon, at most `prefetch` unsettled at once."""
        consumer = MemoryConsumer(self, prefetch, deliver)
        self.join(consumer)
        return consumer

    def join(self, consumer: MemoryConsumer[Item]) -> None:
        """Deal to `consumer`, soon."""
        if consumer not in self._consumers:
            self._consumers.append(consumer)
        asyncio.get_running_loop().call_soon(self.deal)

    def forget(self, consumer: MemoryConsumer[Item]) -> None:
        """Deal nothing more to `consumer`."""
        if consumer in self._consumers:
            self._consumers.remove(consumer)

    def deal(self) -> None:
        """Deliver what can be delivered."""
        if self._dealing:
            return
        self._dealing = True
        try:
            while self._ready and (consumer := self._next()) is not None:
                consumer.take(*heapq.heappop(self._ready))
        finally:
            self._dealing = False

    def _next(self) -> MemoryConsumer[Item] | None:
        for _ in range(len(self._consumers)):
            self._consumers.rotate(-1)
            if self._consumers[-1].has_room:
                return self._consumers[-1]
        return None


class MemoryConsumer(Generic[Item]):
    """Who takes from a queue, and what it holds unsettled."""

    def __init__(self, queue: MemoryQueue[Item], prefetch: int, deliver: Callable[[int, Item], None]) -> None:
        self._queue = queue
        self._prefetch = prefetch
        self._deliver = deliver
        self._held: dict[int, Item] = {}

    @property
    def has_room(self) -> bool:
        """Whether it may get another one."""
        return len(self._held) < self._prefetch

    def take(self, number: int, item: Item) -> None:
        """Hold and deliver `item`."""
        self._held[number] = item
        self._deliver(number, item)

    def ack(self, number: int) -> None:
        """Drop what was delivered as `number`; nothing happens if it is settled already."""
        if self._held.pop(number, None) is not None:
            self._queue.deal()

    def requeue(self, number: int) -> None:
        """Give it back to the queue; nothing happens if it is settled already."""
        if (item := self._held.pop(number, None)) is not None:
            self._queue.put_back(number, item)

    def cancel(self) -> None:
        """Get nothing more; what is held can still be settled."""
        self._queue.forget(self)

    def renew(self) -> None:
        """Get more again, after `cancel`."""
        self._queue.join(self)

    def close(self) -> None:
        """Get nothing more, and give everything back."""
        self.cancel()
        for number in list(self._held):
            self.requeue(number)
