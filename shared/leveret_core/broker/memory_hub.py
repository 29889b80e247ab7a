"""The queues of the in-process broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from leveret_core.broker.memory_queue import MemoryQueue
from leveret_core.messages import Reply

Result = TypeVar("Result")


@dataclass(eq=False, slots=True)
class Waiting:
    """A request, and the future of its reply; cancelled when the worker waits no longer."""

    body: bytes
    reply: asyncio.Future[Reply]


class MemoryHub:
    """Holds the queues. They live as long as this object, whatever views come and go, and on the loop of the first of them."""

    def __init__(self) -> None:
        self.dispatches: dict[str, MemoryQueue[bytes]] = {}
        """By pattern."""
        self.claims: MemoryQueue[Waiting] = MemoryQueue()
        self.events: MemoryQueue[bytes] = MemoryQueue()
        self.listeners: set[Callable[[bytes], None]] = set()
        self.declared = False
        """Whether there ever was a server: without one, RabbitMQ has no queues of claims and events."""
        self.home: asyncio.AbstractEventLoop | None = None

    def bind_loop(self) -> None:
        """Make the running loop that of the queues, if there is none yet."""
        if self.home is None:
            self.home = asyncio.get_running_loop()

    async def run(self, job: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Run `job` on the loop of the queues."""
        if self.home is None or self.home is asyncio.get_running_loop():
            return await job()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(job(), self.home))
