"""Brings workers' requests to the claim desk in batches, whatever broker they came by."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from leveret_core.broker.inbox import Inbox
from leveret_core.messages import Claim, Declare, Heartbeat, Refused, Reply, Request, Unreadable, take_request
from leveret_core.supervision import Steps

logger = logging.getLogger("leveret.broker")

PREFETCH = 256
"""Requests held here at once, at most."""
BATCH = 32
"""Requests handed to the desk at once, at most."""
STEP_LIMIT = 60.0
"""Seconds a batch may take; the desk's statements have time limits of their own, of seconds."""
MAX_DECLARATIONS = 32
"""Declarations that wait for their turn, at most; others get no reply, and are sent again when their workers have waited."""

Desk = Callable[[Sequence[Request]], Awaitable[Sequence[Reply | None]]]


@dataclass(eq=False, slots=True)
class Asked:
    """A request as it came. `answer` sends a reply, if there is one, and settles the request either way."""

    body: bytes
    answer: Callable[[Reply | None], Awaitable[None]]


def log_refused(request: Unreadable) -> None:
    """Say in the log that a request could not be read."""
    whose = f"{request.kind or 'request'} of worker {request.name} ({request.worker})"
    logger.warning("a %s cannot be read and is refused: %s", whose, request.reason)


class ClaimsFeed:
    """Feeds `desk` with what is in `inbox`: heartbeats, claims, declarations and all else in queues of their own, so that none
    waits for what takes longer. A batch is of one kind.

    When the desk raises, its requests stay without an answer: the workers ask again, and get the same answer as now.

    Args:
        desk: answers requests.
        refused: hears of those that cannot be read; they are refused here.
    """

    def __init__(self, desk: Desk, refused: Callable[[Unreadable], None] = log_refused) -> None:
        self.inbox: Inbox[Asked] = Inbox()
        self.steps = Steps("claims", STEP_LIMIT)
        """Of the queue of claims."""
        self._desk = desk
        self._refused = refused
        self._fails = False
        self._beats, self._claims = _RequestQueue(BATCH), _RequestQueue(BATCH)
        self._declarations, self._others = _RequestQueue(1), _RequestQueue(1, abreast=4)
        self._queues = (self._beats, self._claims, self._declarations, self._others)

    async def run(self) -> None:
        """Answer requests until `stop`."""
        async with asyncio.TaskGroup() as group:
            for queue in self._queues:
                for _ in range(queue.abreast):
                    group.create_task(self._serve(queue))
            while batch := await self.inbox.take(BATCH):
                for asked in batch:
                    await self._sort(asked)
                await asyncio.sleep(0)
            for queue in self._queues:
                queue.waiting.close()

    def stop(self) -> None:
        """End `run` after the batches that it is at."""
        self.inbox.close()

    def forget(self) -> None:
        """Forget what waits: its connection is gone, and the broker brings it again."""
        self.inbox.clear()
        for queue in self._queues:
            queue.waiting.clear()

    async def _sort(self, asked: Asked) -> None:
        request = take_request(asked.body)
        match request:
            case Unreadable():
                self._refused(request)
                await self._answer(asked, Refused(reason=request.reason))
            case Declare() if len(self._declarations.waiting) >= MAX_DECLARATIONS:
                await self._answer(asked, None)
            case Heartbeat():
                self._beats.waiting.put((asked, request))
            case Claim():
                self._claims.waiting.put((asked, request))
            case Declare():
                self._declarations.waiting.put((asked, request))
            case _:
                self._others.waiting.put((asked, request))

    async def _serve(self, queue: _RequestQueue) -> None:
        while batch := await queue.waiting.take(queue.size):
            if queue is self._claims:
                self.steps.begin()
            replies, error = await self._ask([request for _, request in batch])
            for (asked, _), reply in zip(batch, replies, strict=True):
                await self._answer(asked, reply)
            if queue is self._claims:
                self.steps.rest() if error is None else self.steps.failed(error)

    async def _answer(self, asked: Asked, reply: Reply | None) -> None:
        try:
            await asked.answer(reply)
        except Exception:
            logger.exception("a reply to a worker could not be sent")

    async def _ask(self, requests: Sequence[Request]) -> tuple[Sequence[Reply | None], Exception | None]:
        """The replies, and what the desk raised, if it did."""
        try:
            async with asyncio.timeout(STEP_LIMIT):
                replies = await self._desk(requests)
            if len(replies) != len(requests):
                raise ValueError(f"{len(replies)} replies to {len(requests)} requests")
        except Exception as error:
            if not self._fails:
                logger.exception("the claim desk fails; workers get no answer and ask again")
            self._fails = True
            return [None] * len(requests), error
        if self._fails:
            logger.info("the claim desk answers again")
        self._fails = False
        return replies, None


class _RequestQueue:
    """Requests that wait for the same kind of work: `size` in a batch, at most, and `abreast` batches at a time."""

    def __init__(self, size: int, *, abreast: int = 1) -> None:
        self.size = size
        self.abreast = abreast
        self.waiting: Inbox[tuple[Asked, Request]] = Inbox()
