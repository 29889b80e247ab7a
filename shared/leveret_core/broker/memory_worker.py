"""The workers' side of the in-process broker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from leveret_core.broker.base import Delivery
from leveret_core.broker.memory_hub import MemoryHub, Waiting
from leveret_core.broker.memory_queue import MemoryConsumer, MemoryQueue
from leveret_core.errors import BrokerUnavailable
from leveret_core.messages import BadMessage, Control, Reply, Request, decode_control, decode_dispatch, encode
from leveret_core.patterns import check_pattern

logger = logging.getLogger("leveret.broker")

_NO_SERVER = "no server takes this: none was ever started on this broker"


class MemoryWorkerBroker:
    """`WorkerBroker` on the queues of a `MemoryHub`.

    Used on the loop on which it was started, which may be another thread's: callbacks come on that loop.
    """

    def __init__(self, hub: MemoryHub) -> None:
        self._hub = hub
        self._loop: asyncio.AbstractEventLoop | None = None
        self._consumers: dict[str, MemoryConsumer[bytes]] = {}
        self._paused = False
        self._listeners: list[Callable[[bytes], None]] = []

    @property
    def connected(self) -> bool:
        """Whether it is started."""
        return self._loop is not None

    async def start(self) -> None:
        """Use the running loop."""
        self._hub.bind_loop()
        self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        """Unsettled deliveries go back to their queues."""
        self._loop = None

        async def leave() -> None:
            for consumer in self._consumers.values():
                consumer.close()
            self._hub.listeners.difference_update(self._listeners)
            self._consumers.clear()
            self._paused = False
            self._listeners.clear()

        await self._hub.run(leave)

    async def serve(self, pattern: str, prefetch: int, on_dispatch: Callable[[Delivery], None]) -> None:
        """Make the queue of `pattern` and consume it, with `prefetch` unsettled deliveries at most.

        Raises:
            InvalidInput: `pattern` is none.
        """
        check_pattern(pattern)

        async def consume() -> None:
            queue = self._hub.dispatches.setdefault(pattern, MemoryQueue())

            def deliver(number: int, body: bytes) -> None:
                try:
                    dispatch = decode_dispatch(body)
                except BadMessage as error:
                    logger.warning("a message in the queue of %s cannot be read and is dropped: %s", pattern, error)
                    consumer.ack(number)
                    return
                ack = partial(self._settle, partial(consumer.ack, number))
                requeue = partial(self._settle, partial(consumer.requeue, number))
                self._call(on_dispatch, Delivery(dispatch, pattern, ack, requeue))

            consumer = queue.consume(max(1, prefetch), deliver)
            self._consumers[pattern] = consumer

        await self._hub.run(consume)

    async def pause(self) -> None:
        """Stop consuming; deliveries already made stay valid."""

        async def cancel() -> None:
            self._paused = True
            for consumer in self._consumers.values():
                consumer.cancel()

        await self._hub.run(cancel)

    async def hold(self, pattern: str) -> None:
        """Stop consuming the queue of `pattern` until `resume`; deliveries already made stay valid."""

        async def cancel() -> None:
            self._consumers[pattern].cancel()

        await self._hub.run(cancel)

    async def resume(self, pattern: str) -> None:
        """Consume the queue of `pattern` again."""

        async def consume() -> None:
            if not self._paused:
                self._consumers[pattern].renew()

        await self._hub.run(consume)

    async def request(self, request: Request, timeout: float) -> Reply:
        """Ask the claim desk. Raises `BrokerUnavailable` without an answer within `timeout` seconds."""
        self._check()
        body = encode(request)

        async def ask() -> Reply:
            if not self._hub.declared:
                raise BrokerUnavailable(_NO_SERVER)
            waiting = Waiting(body, asyncio.get_running_loop().create_future())
            self._hub.claims.put(waiting)
            return await waiting.reply

        try:
            async with asyncio.timeout(timeout):
                return await self._hub.run(ask)
        except TimeoutError:
            raise BrokerUnavailable(f"no answer within {timeout:g} s; is a Leveret server running on this broker?") from None

    async def send_events(self, body: bytes, timeout: float) -> None:
        """Put an encoded `Events` batch into the queue of events. Raises `BrokerUnavailable` if there is none."""
        self._check()

        async def put() -> None:
            if not self._hub.declared:
                raise BrokerUnavailable(_NO_SERVER)
            self._hub.events.put(body)

        try:
            async with asyncio.timeout(timeout):
                await self._hub.run(put)
        except TimeoutError:
            raise BrokerUnavailable(f"events were not taken within {timeout:g} s") from None

    async def listen(self, on_control: Callable[[Control], None]) -> None:
        """Call `on_control` for every word of the servers."""

        async def join() -> None:
            def heard(body: bytes) -> None:
                try:
                    word = decode_control(body)
                except BadMessage as error:
                    logger.warning("a word of the servers cannot be read: %s", error)
                    return
                self._call(on_control, word)

            self._listeners.append(heard)
            self._hub.listeners.add(heard)

        await self._hub.run(join)

    def _check(self) -> None:
        if self._loop is None:
            raise BrokerUnavailable("the broker is not started")

    async def _settle(self, settle: Callable[[], None]) -> None:
        async def run() -> None:
            settle()

        await self._hub.run(run)

    def _call(self, callback: Callable[[Any], None], argument: object) -> None:
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(callback, argument)
