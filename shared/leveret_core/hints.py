"""Hints between replicas: "look again", never facts. A lost hint costs latency, nothing else."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from redis.asyncio import Redis

from leveret_core.cancellation import heed_cancellation
from leveret_core.outage import Outage
from leveret_core.patterns import MAX_TYPE_LENGTH
from leveret_core.supervision import Kept, Supervisor

log = logging.getLogger(__name__)

CHANNEL = "leveret:hints"
MAX_QUEUED = 1_000
MAX_IDS = 200
"""Ids in one hint; with more, the hint says only that something of its topic changed (no ids)."""

Topic = Literal["wake", "scheduled", "term", "jobs", "occurrences", "backfills", "logs", "workers", "resync"]

_Id = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
_Type = Annotated[str, msgspec.Meta(max_length=MAX_TYPE_LENGTH)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
MAX_MESSAGE = 65_536
"""Bytes of a message on the channel, at most; any client that may publish there may write anything."""
CHECK = 10.0
"""Seconds of silence after which Redis is asked whether it is there; it has as long to answer."""
RETRY = 1.0
"""Seconds before Redis is tried again."""


class Hint(msgspec.Struct, frozen=True):
    """Something changed.

    Topics: `wake` (the dispatcher should look for work), `scheduled` (for what is planned for later), `backfills` (of those),
    `term` (the holder resigned: candidates should try), `jobs`, `occurrences`, `logs` (of the occurrences in `ids`), `workers`,
    and `resync` (hints were lost: refetch everything). No `ids` means any of them. `claimed` tells how many occurrences of each
    type workers have just claimed.
    """

    topic: Topic
    ids: Annotated[tuple[_Id, ...], msgspec.Meta(max_length=MAX_IDS)] = ()
    claimed: Annotated[dict[_Type, _Count], msgspec.Meta(max_length=MAX_IDS)] = {}


class Hints:
    """Sends hints to this process at once and to the other replicas through Redis, if it answers.

    Args:
        redis: a client of its own with short timeouts, or None to stay within this process.
        supervisor: keeps the tasks that exchange hints.
    """

    def __init__(self, redis: Redis | None, supervisor: Supervisor | None = None) -> None:
        self._redis = redis
        self._listeners: list[Callable[[Hint], None]] = []
        self._outbox: deque[bytes] = deque(maxlen=MAX_QUEUED)
        self._queued = asyncio.Event()
        self._supervisor = supervisor or Supervisor()
        self._kept: list[Kept] = []
        self._origin = uuid.uuid4().hex.encode()
        self._outage = Outage(log, "Redis (hints)", "other replicas hear of changes only when they look by themselves")
        self._foreign = 0

    def subscribe(self, listener: Callable[[Hint], None]) -> Callable[[], None]:
        """Call `listener` on the event loop for every hint; it must not block. Returns the way to stop that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def send(self, hint: Hint) -> None:
        """Tell everybody, without waiting."""
        if len(hint.ids) > MAX_IDS:
            hint = Hint(hint.topic, claimed=hint.claimed)
        self._deliver(hint)
        if self._redis is not None:
            self._outbox.append(self._origin + b" " + msgspec.json.encode(hint))
            self._queued.set()

    async def start(self) -> None:
        """Begin to exchange hints with the other replicas."""
        if self._redis is not None and not self._kept:
            keep = self._supervisor.keep
            self._kept = [keep("hints publisher", self._publish), keep("hints listener", self._listen)]

    async def stop(self) -> None:
        """End it, after a last try to send what is queued. Safe to call twice and before `start`."""
        kept, self._kept = self._kept, []
        await self._supervisor.stop(*kept, within=2)
        if kept and self._outbox:
            try:
                async with asyncio.timeout(1):
                    await self._flush()
            except Exception as error:
                log.debug("hints: the last ones were not sent: %r", error)

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
                async with asyncio.timeout(2):
                    await self._flush()
            except Exception as error:
                heed_cancellation()
                self._outage.failed(error)
                self._queued.set()
                await asyncio.sleep(RETRY)
            else:
                heed_cancellation()
                await asyncio.sleep(0.02)  # equal hints of the next moment become one

    async def _listen(self) -> None:
        assert self._redis is not None
        first = True
        while True:
            pubsub = self._redis.pubsub(ignore_subscribe_messages=True)
            try:
                await pubsub.subscribe(CHANNEL)
                heed_cancellation()
                self._outage.answered()
                if not first:
                    self._deliver(Hint("resync"))
                    self._deliver(Hint("wake"))
                first, asked = False, False
                while True:
                    message = await pubsub.get_message(timeout=CHECK)
                    heed_cancellation()
                    if message is None:
                        if asked:
                            raise TimeoutError(f"no answer to a ping within {CHECK:g} s")
                        await pubsub.ping()
                    asked = message is None
                    if message is not None and message["type"] == "message":
                        self._receive(message["data"])
            except Exception as error:
                heed_cancellation()
                self._outage.failed(error)
                first = False
                await asyncio.sleep(RETRY)
            finally:
                try:
                    await pubsub.aclose()  # type: ignore[no-untyped-call]
                except Exception as error:
                    heed_cancellation()
                    log.debug("hints: a subscription did not close in order: %r", error)

    def _receive(self, data: object) -> None:
        """Deliver another replica's hint. No other client that may write to the channel must be able to end this."""
        if not isinstance(data, bytes):
            return
        origin, _, body = data.partition(b" ")
        if origin == self._origin:
            return
        try:
            if len(data) > MAX_MESSAGE:
                raise ValueError(f"{len(data)} bytes")
            hint = msgspec.json.decode(body, type=Hint)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            self._foreign += 1
            if self._foreign.bit_count() == 1:  # the first, the second, the fourth, ...: they do not fill the log
                log.warning("hints: not a hint on %s, ignored: %s (%d so far)", CHANNEL, error, self._foreign)
            return
        self._deliver(hint)
