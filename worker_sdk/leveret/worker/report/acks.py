"""Acknowledges and returns dispatch messages, one after the other, where no attempt has to wait for it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from leveret_core.broker.base import Delivery

log = logging.getLogger(__name__)

DEADLINE = 10.0
"""Seconds the broker may take for up to a hundred of them."""


class Acks:
    """A queue of acknowledgements and returns. After one that fails the broker delivers the message again."""

    def __init__(self) -> None:
        self._queue: deque[Callable[[], Awaitable[None]]] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def ack(self, delivery: Delivery) -> None:
        """Drop the dispatch message from its queue, soon."""
        self._put(delivery.ack)

    def requeue(self, delivery: Delivery) -> None:
        """Give the dispatch message back to its queue, soon."""
        self._put(delivery.requeue)

    def _put(self, send: Callable[[], Awaitable[None]]) -> None:
        self._queue.append(send)
        self._wake.set()

    async def run(self) -> None:
        """Send them until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._idle.clear()
            while self._queue:
                try:
                    async with asyncio.timeout(DEADLINE):
                        for _ in range(min(len(self._queue), 100)):
                            await self._queue.popleft()()
                except Exception as error:
                    # A timeout here is a connection that takes no more; its messages come again on the next one.
                    log.debug("a dispatch message could not be acknowledged: %s", error)
            self._idle.set()

    async def flush(self, timeout: float) -> None:
        """Wait until all are sent, `timeout` seconds at most."""
        try:
            async with asyncio.timeout(timeout):
                while self._queue or not self._idle.is_set():
                    await self._idle.wait()
                    await asyncio.sleep(0)
        except TimeoutError:
            log.debug("%d dispatch messages were not acknowledged in time", len(self._queue))
