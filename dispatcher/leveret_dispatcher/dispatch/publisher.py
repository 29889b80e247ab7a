"""Publishes dispatch messages: new ones, those that jitter deferred, and those that no worker answered. After the commit."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from leveret_core.broker.base import Published, ServerBroker
from leveret_core.failpoints import reach
from leveret_core.messages import DispatchMessage
from leveret_core.store.dispatch import messages
from leveret_core.store.key_limits import queues
from leveret_core.store.rate_limits import buckets
from leveret_dispatcher.dispatch.unanswered import COUNT_EVERY, Unanswered
from leveret_dispatcher.leadership.term import Term

log = logging.getLogger(__name__)

BATCH = 1_000
BACKLOG_PAUSE = (0.2, 2.0)
"""Seconds between looks while there is more than the broker should hold: while workers claim, and while none do."""
LIMIT_PAUSE = 0.05
"""Seconds between messages of a type with a rate limit, at least; the tokens of a longer time are spent together."""
BROKER_PAUSE = 1.0
"""Seconds between looks while the broker is away."""


class Publisher:
    """Keeps at most `window` unanswered dispatch messages of each type in the broker.

    Args:
        term: whose epoch fences every transaction.
        broker: where to publish.
        window: unanswered messages of one type, at most.
        answer_timeout: seconds after which an unanswered message is published again; doubles with each time.
        unroutable_retry: seconds between tries of a type that no worker has bound.
        count_every: as of `Unanswered`.
    """

    def __init__(
        self,
        term: Term,
        broker: ServerBroker,
        *,
        window: int,
        answer_timeout: float,
        unroutable_retry: float,
        count_every: tuple[float, float] = COUNT_EVERY,
    ) -> None:
        self._term = term
        self._broker = broker
        self._window = window
        self._answer_timeout = answer_timeout
        self._unroutable_retry = unroutable_retry
        self._unanswered = Unanswered(count_every)
        self._blocked: dict[str, float] = {}
        self._backlog: set[str] = set()
        self._limited: set[str] = set()
        self._keyed: dict[str, float | None] = {}
        self._publishing: set[asyncio.Task[None]] = set()
        self._pause = BACKLOG_PAUSE[0]

    def room(self, job_type: str) -> int:
        """How many more messages of the type may go out now; a single one tries whether a worker has bound it since."""
        # What is new must not overtake what waits, perhaps more important; under a rate limit all wait for tokens.
        if not self._broker.connected or job_type in self._backlog or job_type in self._limited:
            return 0
        return self._room(job_type)

    def _room(self, job_type: str) -> int:
        if (blocked_until := self._blocked.get(job_type)) is not None:
            return int(time.monotonic() >= blocked_until)
        return max(0, self._window - self._unanswered.of(job_type))

    def worker_came(self) -> None:
        """A worker said hello: types that no worker had bound are tried again at once."""
        self._blocked = dict.fromkeys(self._blocked, 0.0)

    def claimed(self, counts: Mapping[str, int]) -> None:
        """Workers claimed so many of each type."""
        self._unanswered.claimed(counts)

    def publish_soon(self, dispatches: Sequence[DispatchMessage]) -> None:
        """Publish, without waiting, messages that a committed transaction has marked as published."""
        self._unanswered.published(dispatch.type for dispatch in dispatches)
        task = asyncio.create_task(self._publish(dispatches))
        self._publishing.add(task)
        task.add_done_callback(self._published)

    def _published(self, task: asyncio.Task[None]) -> None:
        self._publishing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("publisher: dispatch messages wait for their answer timeout", exc_info=error)

    async def begin(self) -> None:
        """At the beginning of a term: publish at once what the last holder may have committed without publishing it."""
        await self._count()
        await self._look()
        async with self._term.transaction() as connection:
            if lost := await queues.enqueue_lost(connection):
                log.error("publisher: %d occurrences were in no queue of their type's limit by key", lost)
            await messages.publish_again_at_begin(connection, self._answer_timeout, min(self._answer_timeout, 60.0))

    async def run_once(self) -> float | None:
        """Publish what is due; returns the seconds until the next look, None when there is nothing to publish."""
        if not self._broker.connected:
            return BROKER_PAUSE
        unpublished, next_overdue = await self._look()
        more = False
        if next_overdue is not None and next_overdue <= 0:
            more = await self._publish_overdue() == BATCH
            unpublished, next_overdue = await self._look()
        backlog: set[str] = set()
        pauses: list[float] = []
        ready = [job_type for job_type, seconds in self._keyed.items() if seconds is not None and seconds <= 0]
        waiting = dict.fromkeys([*unpublished, *ready])
        no_room = any(self._room(job_type) == 0 for job_type in waiting if job_type not in self._blocked)
        if waiting and self._unanswered.to_count(full=no_room):
            await self._count()
        answered = self._unanswered.take_answered()
        for job_type in waiting:
            if (room := min(BATCH, self._room(job_type))) == 0:
                backlog.add(job_type)
                pauses.append(self._until_room(job_type, claimed=job_type in answered))
                continue
            if job_type in self._keyed:
                taken, full, self._keyed[job_type] = await self._take_keyed(job_type, room)
            elif job_type in self._limited:
                taken, room, pause = await self._take_limited(job_type, room)
                full = 0 < room == len(taken)
                pauses.append(pause)
            else:
                taken = await self._take_unlimited(job_type, room)
                full = len(taken) == room
            self._unanswered.published(message.type for message in taken)
            await self._publish(taken)
            if full:
                more = True
                backlog.add(job_type)
        self._backlog = backlog
        if more:
            return 0.0
        # What is ready and was not taken has no room, and its pause is there already.
        pauses += [seconds for seconds in self._keyed.values() if seconds is not None and seconds > 0]
        if next_overdue is not None:
            pauses.append(max(next_overdue, BACKLOG_PAUSE[0]))
        return min(pauses, default=None)

    async def _look(self) -> tuple[list[str], float | None]:
        """The types with something that no worker was told of, and seconds until a message has to be published again."""
        look = await messages.look(self._term.database)
        self._limited, self._keyed = look.limited, look.keyed
        return look.unpublished, look.next_overdue

    async def _count(self) -> None:
        self._unanswered.counted(await messages.count_unanswered(self._term.database))

    async def _publish_overdue(self) -> int:
        async with self._term.transaction() as connection:
            if self._limited:
                await buckets.defer_first(connection, self._limited)
            overdue, first = await messages.take_overdue(connection, BATCH, self._answer_timeout)
        self._unanswered.published(first)
        if overdue:
            log.info("publisher: %d dispatch messages published again", len(overdue))
            await self._publish(overdue)
        return len(overdue)

    def _until_room(self, job_type: str, *, claimed: bool) -> float:
        """Seconds until a type without room may have some. What no worker claims is looked at less and less often."""
        if (blocked_until := self._blocked.get(job_type)) is not None:
            return max(BACKLOG_PAUSE[0], blocked_until - time.monotonic())
        self._pause = BACKLOG_PAUSE[0] if claimed else min(self._pause * 2, BACKLOG_PAUSE[1])
        return self._pause

    async def _take_unlimited(self, job_type: str, room: int) -> list[DispatchMessage]:
        async with self._term.transaction() as connection:
            return await messages.take_unpublished(connection, job_type, room, self._answer_timeout)

    async def _take_limited(self, job_type: str, room: int) -> tuple[list[DispatchMessage], int, float]:
        """What the bucket of the type pays for: the messages, how many could have been, and seconds until the next token."""
        async with self._term.transaction() as connection:
            bucket = await buckets.lock_bucket(connection, job_type)
            if bucket is None:
                return [], 0, 0.0
            room = min(room, int(bucket.tokens), bucket.places)
            taken = await messages.take_unpublished(connection, job_type, room, self._answer_timeout)
            if taken:
                await buckets.spend(connection, job_type, bucket, len(taken))
        pause = LIMIT_PAUSE if bucket.places else BACKLOG_PAUSE[0]
        return taken, room, max(pause, (1.0 - bucket.tokens + len(taken)) * bucket.seconds_each)

    async def _take_keyed(self, job_type: str, room: int) -> tuple[list[DispatchMessage], bool, float | None]:
        """What the buckets of a type's values pay for, and its own if it has one.

        Returns:
            The messages, whether there is more to do at once, and seconds until the next of the queues may go; None when
            none waits.
        """
        async with self._term.transaction() as connection:
            path = await queues.lock_path(connection, job_type)
            if path is None:
                return [], True, None
            enqueued = await queues.enqueue(connection, job_type, path, BATCH)
            whole = await buckets.lock_bucket(connection, job_type)
            allowed = room if whole is None else min(room, int(whole.tokens), whole.places)
            taken = await queues.take(connection, job_type, allowed, self._answer_timeout)
            if whole is not None and taken:
                await buckets.spend(connection, job_type, whole, len(taken))
            seconds = await queues.next_ready(connection, job_type)
        more = enqueued == BATCH or len(taken) == room
        if whole is not None and len(taken) == allowed < room:
            # The values wait for the type's own bucket.
            pause = max(BACKLOG_PAUSE[0], (1.0 - whole.tokens + len(taken)) * whole.seconds_each)
            return taken, more, max(pause, seconds or 0.0)
        return taken, more or (seconds is not None and seconds <= 0), seconds

    async def _publish(self, dispatches: Sequence[DispatchMessage]) -> None:
        if not dispatches:
            return
        outcomes = await self._broker.publish(dispatches)
        reach("after_publish")
        for dispatch, outcome in zip(dispatches, outcomes, strict=True):
            if outcome is Published.CONFIRMED and self._blocked.pop(dispatch.type, None) is not None:
                log.info("publisher: a worker has bound %s", dispatch.type)
        failed = [d for d, outcome in zip(dispatches, outcomes, strict=True) if outcome is not Published.CONFIRMED]
        if not failed:
            return
        unroutable = {d.type for d, o in zip(dispatches, outcomes, strict=True) if o is Published.UNROUTABLE}
        for job_type in unroutable - self._blocked.keys():
            log.warning("publisher: no worker has bound %s; its occurrences wait", job_type)
        for job_type in unroutable:
            self._blocked[job_type] = time.monotonic() + self._unroutable_retry
        if len(failed) > len([o for o in outcomes if o is Published.UNROUTABLE]):
            log.warning("publisher: the broker did not confirm some dispatch messages; they are published again")
        try:
            types = await messages.mark_unpublished(self._term.database, [d.occurrence for d in failed])
            self._unanswered.withdrawn(types)
            if refunds := Counter(job_type for job_type in types if job_type in self._limited):
                await buckets.refund(self._term.database, refunds)
        except Exception as error:
            log.warning(
                "publisher: %d dispatch messages wait for their answer timeout (%s: %s)",
                len(failed),
                type(error).__name__,
                error,
            )
