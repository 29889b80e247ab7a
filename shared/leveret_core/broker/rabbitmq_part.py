"""One thing that a connection must have, as long as there is a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar, cast

from leveret_core.broker.rabbitmq_link import Link
from leveret_core.errors import BrokerUnavailable

Made = TypeVar("Made")


class Part(Generic[Made]):
    """One thing that a connection must have, such as a channel with a consumer, as it exists on the current link.

    Args:
        what: its name in messages, such as `queue leveret.events`.
        make: makes it on a link; raises what the broker says.
    """

    def __init__(self, what: str, make: Callable[[Link], Awaitable[Made]]) -> None:
        self.what = what
        self.make = make
        self.problem: str | None = None
        """Why the broker refuses it, if it does."""
        self.tried = asyncio.Event()
        """Set once it is made or refused on the current link, and when there will be no other."""
        self._made: Made | None = None
        self._there = asyncio.Event()
        self._closed = False

    @property
    def there(self) -> bool:
        """Whether it exists now."""
        return self._there.is_set() and not self._closed

    async def get(self) -> Made:
        """Wait for the thing; the caller brings a timeout. Raises `BrokerUnavailable` once the connection is stopped."""
        while not self._closed:
            if self._there.is_set():
                return cast("Made", self._made)
            await self._there.wait()
        raise BrokerUnavailable("the broker connection is stopped")

    def gain(self, made: Made) -> None:
        """It was made."""
        self._made, self.problem = made, None
        self._there.set()

    def lose(self) -> None:
        """Its link has ended; there may be another one."""
        self._made, self._closed = None, False
        self._there.clear()
        self.tried.clear()

    def close(self) -> None:
        """There will be no other link: whatever waits for one goes on."""
        self._made, self._closed = None, True
        self._there.set()
        self.tried.set()
