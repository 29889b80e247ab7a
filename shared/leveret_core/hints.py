"""Hints between replicas: "look again", never facts. A lost hint costs latency, nothing else."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Callable
from typing import Literal

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from leveret_core.cancellation import heed_cancellation

log = logging.getLogger(__name__)

CHANNEL = "leveret:hints"
MAX_QUEUED = 1_000
MAX_IDS = 200
"""Ids in one hint; with more, the hint says only that something of its topic changed (no ids)."""

Topic = Literal["wake", "scheduled", "term", "jobs", "occurrences", "backfills", "logs", "workers", "resync"]


class Hint(msgspec.Struct, frozen=True):
    """Something changed.

    Topics: `wake` (the dispatcher should look for work), `scheduled` (for what is planned for later), `backfills` (of those),
    `term` (the holder resigned: candidates should try), `jobs`, `occurrences`, `logs` (of the occurrences in `ids`), `workers`,
    and `resync` (hints were lost: refetch everything). No `ids` means any of them.
    """

    topic: Topic
    ids: tuple[int, ...] = ()


class Hints:
    """Sends hints to this process at once and to the other replicas through Redis, if it answers.

    Args:
        redis: a client of its own with short timeouts, or None to stay within this process.
    """

    def __init__(self, redis: Redis | None) -> None:
        self._redis = redis
        self._listeners: list[Callable[[Hint], None]] = []
        self._outbox: deque[bytes] = deque(maxlen=MAX_QUEUED)
        self._queued = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._origin = uuid.uuid4().hex

    def subscribe(self, listener: Callable[[Hint], None]) -> Callable[[], None]:
        """Call `listener` on the event loop for every hint; it must not block. Returns the way to stop that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def send(self, hint: Hint) -> None:
        """Tell everybody, without waiting."""
        if len(hint.ids) > MAX_IDS:
            hint = Hint(hint.topic)
        self._deliver(hint)
        if self._redis is not None:
            self._outbox.append(self._origin.encode() + b" " + msgspec.json.encode(hint))
            self._queued.set()

    async def start(self) -> None:
        """Begin to exchange hints with the other replicas."""
        if self._redis is not None and not self._tasks:
            self._tasks = [asyncio.create_task(self._publish()), asyncio.create_task(self._listen())]

    async def stop(self) -> None:
        """End it, after a last try to send what is queued. Safe to call twice and before `start`."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if tasks and self._outbox:
            try:
                await asyncio.wait_for(self._flush(), 1)
            except (RedisError, OSError, TimeoutError):
                log.debug("hints: the last ones were not sent")

    def _deliver(self, hint: Hint) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(hint)
            except Exception:
                log.exception("hints: a listener failed")

    async def _flush(self) -> None:
        assert self._redis is not None
        while self._outbox:
            batch = list(dict.fromkeys(self._outbox))
            self._outbox.clear()
            pipeline = self._redis.pipeline(transaction=False)
            for body in batch:
                pipeline.publish(CHANNEL, body)
            try:
                await pipeline.execute()
            except BaseException:
                # Failed, or cancelled halfway by `stop`: the next try sends them, twice at worst.
                self._outbox.extendleft(reversed(batch))
                raise

    async def _publish(self) -> None:
        while True:
            await self._queued.wait()
            self._queued.clear()
            try:
                await asyncio.wait_for(self._flush(), 2)
            except (RedisError, OSError, TimeoutError):
                heed_cancellation()
                await asyncio.sleep(1)
            else:
                await asyncio.sleep(0.02)  # equal hints of the next moment become one

    async def _listen(self) -> None:
        assert self._redis is not None
        first = True
        while True:
            pubsub = self._redis.pubsub(ignore_subscribe_messages=True)
            try:
                await pubsub.subscribe(CHANNEL)
                if not first:
                    self._deliver(Hint("resync"))
                    self._deliver(Hint("wake"))
                first = False
                while True:
                    message = await pubsub.get_message(timeout=15)
                    if message is None:
                        await pubsub.ping()
                        continue
                    data: object = message["data"]
                    if message["type"] == "message" and isinstance(data, bytes):
                        self._receive(data)
            except (RedisError, OSError, TimeoutError):
                heed_cancellation()
                first = False
                await asyncio.sleep(1)
            finally:
                try:
                    await pubsub.aclose()  # type: ignore[no-untyped-call]
                except (RedisError, OSError, TimeoutError):
                    heed_cancellation()

    def _receive(self, data: bytes) -> None:
        origin, _, body = data.partition(b" ")
        if origin.decode() == self._origin:
            return
        try:
            self._deliver(msgspec.json.decode(body, type=Hint))
        except msgspec.DecodeError:
            log.warning("hints: not a hint on %s, ignored", CHANNEL)
