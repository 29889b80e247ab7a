"""Acknowledges and returns doorbells, one after the other, where nobody has to wait for it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from leveret_core.broker.base import Delivery

log = logging.getLogger(__name__)

DEADLINE = 10.0
"""Seconds the broker may take for up to a hundred of them."""


class Settling:
    """A queue of acknowledgements and returns. What fails is redelivered by the broker, and settled again then."""

    def __init__(self) -> None:
        self._queue: deque[Callable[[], Awaitable[None]]] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def ack(self, delivery: Delivery) -> None:
        """Drop the doorbell from its queue, soon."""
        self._put(delivery.ack)

    def requeue(self, delivery: Delivery) -> None:
        """Give the doorbell back to its queue, soon."""
        self._put(delivery.requeue)

    def _put(self, settle: Callable[[], Awaitable[None]]) -> None:
        self._queue.append(settle)
        self._wake.set()

    async def run(self) -> None:
        """Settle until cancelled."""
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
                    # A timeout here is a connection that takes no more; its doorbells come again on the next one.
                    log.debug("a doorbell could not be settled: %s", error)
            self._idle.set()

    async def flush(self, timeout: float) -> None:
        """Wait until everything is settled, `timeout` seconds at most."""
        try:
            async with asyncio.timeout(timeout):
                while self._queue or not self._idle.is_set():
                    await self._idle.wait()
                    await asyncio.sleep(0)
        except TimeoutError:
            log.debug("%d doorbells were not settled in time", len(self._queue))
