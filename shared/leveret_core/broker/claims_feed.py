"""Brings workers' requests to the claim desk in batches, whatever broker they came by."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from leveret_core.broker.inbox import Inbox
from leveret_core.messages import Refused, Reply, Request, Unreadable, take_request
from leveret_core.supervision import Steps

logger = logging.getLogger("leveret.broker")

PREFETCH = 64
"""Requests held here at once, at most."""
BATCH = 32
"""Requests handed to the desk at once, at most."""
STEP_LIMIT = 60.0
"""Seconds a batch may take; the desk's statements have time limits of their own, of seconds."""

Desk = Callable[[Sequence[Request]], Awaitable[Sequence[Reply | None]]]


@dataclass(eq=False, slots=True)
class Asked:
    """A request as it came. `answer` sends a reply, if there is one, and settles the request either way."""

    body: bytes
    answer: Callable[[Reply | None], Awaitable[None]]


class ClaimsFeed:
    """Feeds `desk` with what is in `inbox`, one batch at a time.

    When the desk raises, its requests stay without an answer: the workers ask again, and get the same answer as now.
    """

    def __init__(self, desk: Desk) -> None:
        self.inbox: Inbox[Asked] = Inbox()
        self.steps = Steps("claims", STEP_LIMIT)
        self._desk = desk
        self._fails = False

    async def run(self) -> None:
        """Answer requests until `stop`."""
        while batch := await self.inbox.take(BATCH):
            self.steps.begin()
            readable: list[Asked] = []
            requests: list[Request] = []
            for asked in batch:
                request = take_request(asked.body)
                if isinstance(request, Unreadable):
                    whose = f"{request.kind or 'request'} of worker {request.name} ({request.worker})"
                    logger.warning("a %s cannot be read and is refused: %s", whose, request.reason)
                    await self._answer(asked, Refused(reason=request.reason))
                else:
                    requests.append(request)
                    readable.append(asked)
            if requests:
                for asked, reply in zip(readable, await self._ask(requests), strict=True):
                    await self._answer(asked, reply)
            self.steps.rest()

    def stop(self) -> None:
        """End `run` after the batch that it is at."""
        self.inbox.close()

    async def _answer(self, asked: Asked, reply: Reply | None) -> None:
        try:
            await asked.answer(reply)
        except Exception:
            logger.exception("a reply to a worker could not be sent")

    async def _ask(self, requests: Sequence[Request]) -> Sequence[Reply | None]:
        try:
            replies = await self._desk(requests)
            if len(replies) != len(requests):
                raise ValueError(f"{len(replies)} replies to {len(requests)} requests")
        except Exception:
            if not self._fails:
                logger.exception("the claim desk fails; workers get no answer and ask again")
            self._fails = True
            return [None] * len(requests)
        if self._fails:
            logger.info("the claim desk answers again")
        self._fails = False
        return replies
