"""Brings workers' events to the ingestor in batches, whatever broker they came by."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from leveret_core.broker.base import EventMessage
from leveret_core.broker.inbox import Inbox
from leveret_core.supervision import END_TIMEOUT, Steps

logger = logging.getLogger("leveret.broker")

PREFETCH = 100
"""Messages held here at once, at most: what a replica that freezes keeps from the others until the broker notices."""
BATCH = 100
"""Messages handed to the ingestor at once, at most."""
RETRY_MIN, RETRY_MAX = 0.5, 5.0
"""Seconds before a batch is handed over again: the first pause and, doubling, the last."""
BATCH_LIMIT = 60.0
"""Seconds a batch may take; the ingestor's statements have time limits of their own, of seconds."""
ALONE_AFTER = 3
"""Failures of a batch after which its messages are handed over one by one."""
PARKED_PAUSE = 30.0
"""Seconds before a message that fails while others succeed is handed over again."""
MAX_PARKED = PREFETCH // 2
"""Such messages that are kept apart, at most: with more it is not they that are at fault."""

Ingest = Callable[[Sequence[EventMessage]], Awaitable[None]]


@dataclass(eq=False, slots=True)
class Arrived:
    """A message of the events queue; `gone` tells whether the broker has taken it back, because its channel is closed."""

    message: EventMessage
    gone: Callable[[], bool]
    at: float = field(default_factory=time.monotonic)


class EventsFeed:
    """Feeds `ingest` with what is in `inbox`, one batch at a time.

    When it raises or takes too long, the batch is kept and handed over again after a pause: giving it back to the queue would
    use up its deliveries while Postgres is away. When the connection goes meanwhile, the broker delivers it all again. Messages
    that fail while others succeed are kept apart, and hold up no others.
    """

    def __init__(self, ingest: Ingest) -> None:
        self.inbox: Inbox[Arrived] = Inbox()
        self.steps = Steps("events", BATCH_LIMIT + END_TIMEOUT)
        self._ingest = ingest
        self._stopping = asyncio.Event()
        self._fails = False
        self._batch: list[Arrived] = []
        self._parked: list[Arrived] = []
        self._parked_until = 0.0

    @property
    def behind(self) -> float:
        """Seconds since the oldest message arrived here that is not ingested yet; 0 if there is none."""
        held = [*self._batch[:1], *self._parked[:1], *self.inbox.first]
        return time.monotonic() - min(arrived.at for arrived in held) if held else 0.0

    async def run(self) -> None:
        """Ingest until `stop`."""
        await self._work_off()  # what was left of a run that broke
        while not self._stopping.is_set():
            # Until it is in `_batch` it would be nowhere: nothing may be awaited in between.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._until_parked()):
                    await self.inbox.filled()
            self._batch = self.inbox.take_now(BATCH)
            await self._work_off()
            await self._try_parked()

    def stop(self) -> None:
        """End `run` after the call that it is at; what was not ingested stays unsettled."""
        self._stopping.set()
        self.inbox.close()

    async def _work_off(self) -> None:
        pause, failures = RETRY_MIN, 0
        while self._batch and not self._stopping.is_set() and not await self._try(self._batch):
            failures += 1
            if failures >= ALONE_AFTER:
                self._batch += self.inbox.take_now(BATCH - len(self._batch))
                await self._one_by_one()
            if self._batch:
                await self._pause(pause)
                pause = min(2 * pause, RETRY_MAX)
            self._batch = [arrived for arrived in self._batch if not arrived.gone()]
        self._batch = []

    async def _one_by_one(self) -> None:
        """Hand over the batch one by one. Those that fail are parked, unless all do."""
        failed = await self._failing(self._batch)
        if failed and len(failed) < len(self._batch):
            # What all of them failed of may have ended just now: only who fails beside a success has itself to blame.
            failed = await self._failing(failed)
        if len(failed) == len(self._batch) or len(self._parked) + len(failed) > MAX_PARKED:
            self._batch = failed
            return
        self._batch = []
        if failed and not self._parked:
            self._parked_until = time.monotonic() + PARKED_PAUSE
        self._parked += failed

    async def _failing(self, batch: Sequence[Arrived]) -> list[Arrived]:
        return [one for one in batch if not self._stopping.is_set() and not await self._try([one])]

    async def _try_parked(self) -> None:
        if self._parked and time.monotonic() >= self._parked_until:
            self._parked = [one for one in self._parked if not one.gone() and not await self._try([one])]
            self._parked_until = time.monotonic() + PARKED_PAUSE

    def _until_parked(self) -> float | None:
        return max(0.0, self._parked_until - time.monotonic()) if self._parked else None

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _try(self, batch: Sequence[Arrived]) -> bool:
        self.steps.begin()
        limit = asyncio.timeout(BATCH_LIMIT)
        try:
            async with limit:
                await self._ingest([arrived.message for arrived in batch])
        except Exception as error:
            self.steps.failed(error, hung=limit.expired())
            if not self._fails:
                logger.exception("the ingestor fails; events wait in the broker and are tried again")
            self._fails = True
            return False
        self.steps.rest()
        if self._fails:
            logger.info("the ingestor takes events again")
        self._fails = False
        return True
