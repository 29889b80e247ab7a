"""Brings workers' events to the ingestor in batches, whatever broker they came by."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from leveret_core.broker.base import EventMessage
from leveret_core.broker.inbox import Inbox
from leveret_core.supervision import Steps

logger = logging.getLogger("leveret.broker")

PREFETCH = 100
"""Messages held here at once, at most: what a replica that freezes keeps from the others until the broker notices."""
BATCH = 100
"""Messages handed to the ingestor at once, at most."""
RETRY_MIN, RETRY_MAX = 0.5, 5.0
"""Seconds before a batch is handed over again: the first pause and, doubling, the last."""
STEP_LIMIT = 60.0
"""Seconds a batch may take; the ingestor's statements have time limits of their own, of seconds."""

Ingest = Callable[[Sequence[EventMessage]], Awaitable[None]]


@dataclass(eq=False, slots=True)
class Arrived:
    """A message of the events queue; `gone` tells whether the broker has taken it back, because its channel is closed."""

    message: EventMessage
    gone: Callable[[], bool]


class EventsFeed:
    """Feeds `ingest` with what is in `inbox`, one batch at a time.

    When it raises, the batch is kept and handed over again after a pause: giving it back to the queue would use up its
    deliveries while Postgres is away. When the connection goes meanwhile, the broker delivers it all again.
    """

    def __init__(self, ingest: Ingest) -> None:
        self.inbox: Inbox[Arrived] = Inbox()
        self.steps = Steps("events", STEP_LIMIT)
        self._ingest = ingest
        self._stopping = asyncio.Event()
        self._fails = False

    async def run(self) -> None:
        """Ingest until `stop`."""
        while batch := await self.inbox.take(BATCH):
            pause = RETRY_MIN
            while batch and not await self._try([arrived.message for arrived in batch]):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._stopping.wait()
                        return
                pause = min(2 * pause, RETRY_MAX)
                batch = [arrived for arrived in batch if not arrived.gone()]

    def stop(self) -> None:
        """End `run` after the call that it is at; what was not ingested stays unsettled."""
        self._stopping.set()
        self.inbox.close()

    async def _try(self, messages: Sequence[EventMessage]) -> bool:
        self.steps.begin()
        try:
            await self._ingest(messages)
        except Exception:
            self.steps.failed()
            if not self._fails:
                logger.exception("the ingestor fails; events wait in the broker and are tried again")
            self._fails = True
            return False
        self.steps.rest()
        if self._fails:
            logger.info("the ingestor takes events again")
        self._fails = False
        return True
