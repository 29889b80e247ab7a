"""What has arrived and waits to be taken in batches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Inbox(Generic[Item]):
    """A queue emptied in batches: its consumer gets all there is, up to a limit, without waiting for more.

    It bounds nothing itself: the broker's prefetch does. Used from one event loop only.
    """

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._filled = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> None:
        """Add one at the end."""
        self._items.append(item)
        self._filled.set()

    def put_back(self, items: Iterable[Item]) -> None:
        """Put `items` before all others, in their order."""
        self._items.extendleft(reversed(list(items)))
        if self._items:
            self._filled.set()

    def clear(self) -> None:
        """Forget everything."""
        self._items.clear()
        self._filled.clear()

    def close(self) -> None:
        """Let `take` return nothing from now on, at once."""
        self._closed = True
        self._filled.set()

    async def take(self, limit: int) -> list[Item]:
        """Wait for one item, and take it with what has arrived besides, at most `limit`, oldest first.

        Returns:
            the items; none if, and only if, the inbox is closed.
        """
        await self.filled()
        return self.take_now(limit)

    async def filled(self) -> None:
        """Wait until there is an item, or the inbox is closed."""
        while not self._items and not self._closed:
            self._filled.clear()
            await self._filled.wait()

    def take_now(self, limit: int) -> list[Item]:
        """Take what there is, at most `limit`, oldest first; nothing from a closed inbox."""
        return [] if self._closed else [self._items.popleft() for _ in range(min(limit, len(self._items)))]

    @property
    def first(self) -> tuple[Item, ...]:
        """The oldest item, if there is one."""
        return (self._items[0],) if self._items else ()
