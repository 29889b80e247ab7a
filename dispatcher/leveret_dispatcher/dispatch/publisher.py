"""Rings doorbells: new ones, those that were put off, and those that nobody answered. Always after the commit."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence

import asyncpg

from leveret_core.broker.base import Published, ServerBroker
from leveret_core.failpoints import reach
from leveret_core.messages import Doorbell
from leveret_core.store.database import columns, sql
from leveret_dispatcher.leadership.term import Term

log = logging.getLogger(__name__)

BATCH = 1_000
BACKLOG_PAUSE = (0.2, 2.0)
"""Seconds between looks while there is more to ring than the broker should hold: while workers claim, and while none does."""
LIMIT_PAUSE = 0.05
"""Seconds between rings of a type with a rate limit, at least; the tokens of a longer time are spent together."""
BROKER_PAUSE = 1.0
"""Seconds between looks while the broker is away."""


class Publisher:
    """Keeps at most `window` unanswered doorbells of each type in the broker.

    Args:
        term: whose epoch fences every transaction.
        broker: where to ring.
        window: unanswered doorbells of one type, at most.
        ring_timeout: seconds after which an unanswered doorbell is rung again; doubles with each ring.
        unroutable_retry: seconds between tries of a type that no worker has bound.
    """

    def __init__(self, term: Term, broker: ServerBroker, *, window: int, ring_timeout: float, unroutable_retry: float) -> None:
        self._term = term
        self._broker = broker
        self._window = window
        self._ring_timeout = ring_timeout
        self._unroutable_retry = unroutable_retry
        self._rung: dict[str, int] = {}
        self._blocked: dict[str, float] = {}
        self._backlog: set[str] = set()
        self._limited: set[str] = set()
        self._keyed: dict[str, float | None] = {}
        self._ringing: set[asyncio.Task[None]] = set()
        self._pause = BACKLOG_PAUSE[0]

    def room(self, job_type: str) -> int:
        """How many more doorbells of the type may go out now; a single one tries whether a worker has bound it since."""
        # What is new must not overtake what waits, some of which may be more important; under a rate limit all stand in line.
        if not self._broker.connected or job_type in self._backlog or job_type in self._limited:
            return 0
        return self._room(job_type)

    def _room(self, job_type: str) -> int:
        if (blocked_until := self._blocked.get(job_type)) is not None:
            return int(time.monotonic() >= blocked_until)
        return max(0, self._window - self._rung.get(job_type, 0))

    def worker_came(self) -> None:
        """A worker said hello: types that nobody had bound are tried again at once."""
        self._blocked = dict.fromkeys(self._blocked, 0.0)

    def ring_soon(self, doorbells: Sequence[Doorbell]) -> None:
        """Ring, without waiting, doorbells that a committed transaction has marked as rung."""
        for doorbell in doorbells:
            self._rung[doorbell.type] = self._rung.get(doorbell.type, 0) + 1
        task = asyncio.create_task(self._ring(doorbells))
        self._ringing.add(task)
        task.add_done_callback(self._rang)

    def _rang(self, task: asyncio.Task[None]) -> None:
        self._ringing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("publisher: doorbells wait for the ring timeout", exc_info=error)

    async def begin(self) -> None:
        """At the beginning of a term: ring at once what the last holder may have committed without publishing it."""
        await self._look()
        async with self._term.transaction() as connection:
            if lost := await connection.fetch(sql("key_limits/enqueue_lost")):
                log.error("publisher: %d occurrences stood in no line of their type's limit by key", len(lost))
            await connection.execute(sql("dispatch/publish_again"), self._ring_timeout, min(self._ring_timeout, 60.0))

    async def run_once(self) -> float | None:
        """Ring what is due; returns the seconds until the next look, None when there is nothing to ring."""
        if not self._broker.connected:
            return BROKER_PAUSE
        before = self._rung
        unrung, next_ring = await self._look()
        more = False
        if next_ring is not None and next_ring <= 0:
            more = await self._ring_overdue() == BATCH
            unrung, next_ring = await self._look()
        backlog: set[str] = set()
        pauses: list[float] = []
        ready = [job_type for job_type, seconds in self._keyed.items() if seconds is not None and seconds <= 0]
        for job_type in dict.fromkeys([*unrung, *ready]):
            if (room := min(BATCH, self._room(job_type))) == 0:
                backlog.add(job_type)
                pauses.append(self._until_room(job_type, claimed=self._rung.get(job_type) != before.get(job_type)))
                continue
            if job_type in self._keyed:
                taken, full, self._keyed[job_type] = await self._take_keyed(job_type, room)
            elif job_type in self._limited:
                taken, room, pause = await self._take_limited(job_type, room)
                full = 0 < room == len(taken)
                pauses.append(pause)
            else:
                taken = await self._take("dispatch/take_unpublished", job_type, room, self._ring_timeout)
                full = len(taken) == room
            self._rung[job_type] = self._rung.get(job_type, 0) + len(taken)
            await self._ring(taken)
            if full:
                more = True
                backlog.add(job_type)
        self._backlog = backlog
        if more:
            return 0.0
        # What is ready and was not taken has no room, and its pause is there already.
        pauses += [seconds for seconds in self._keyed.values() if seconds is not None and seconds > 0]
        if next_ring is not None:
            pauses.append(max(next_ring, BACKLOG_PAUSE[0]))
        return min(pauses, default=None)

    async def _look(self) -> tuple[list[str], float | None]:
        """The types with something that nobody was told about, and seconds until a doorbell has to be rung again."""
        rung: dict[str, int] = {}
        limited: set[str] = set()
        keyed: dict[str, float | None] = {}
        unrung: list[str] = []
        next_ring: float | None = None
        for row in await self._term.database.fetch("dispatch/to_publish"):
            match row["what"]:
                case "rung":
                    rung[row["type"]] = int(row["value"])
                case "limited":
                    limited.add(row["type"])
                case "keyed":
                    limited.add(row["type"])
                    keyed[row["type"]] = row["value"]
                case "unrung":
                    unrung.append(row["type"])
                case _:
                    next_ring = row["value"]
        self._rung, self._limited, self._keyed = rung, limited, keyed
        return unrung, next_ring

    async def _ring_overdue(self) -> int:
        async with self._term.transaction() as connection:
            if self._limited:
                await connection.execute(sql("rate_limits/defer"), sorted(self._limited))
            overdue = _doorbells(await connection.fetch(sql("dispatch/take_overdue"), BATCH, self._ring_timeout))
        if overdue:
            log.info("publisher: %d doorbells rung again", len(overdue))
            await self._ring(overdue)
        return len(overdue)

    def _until_room(self, job_type: str, *, claimed: bool) -> float:
        """Seconds until a type without room may have some. What nobody claims is looked at less and less often."""
        if (blocked_until := self._blocked.get(job_type)) is not None:
            return max(BACKLOG_PAUSE[0], blocked_until - time.monotonic())
        self._pause = BACKLOG_PAUSE[0] if claimed else min(self._pause * 2, BACKLOG_PAUSE[1])
        return self._pause

    async def _take(self, statement: str, *args: object) -> list[Doorbell]:
        async with self._term.transaction() as connection:
            return _doorbells(await connection.fetch(sql(statement), *args))

    async def _take_limited(self, job_type: str, room: int) -> tuple[list[Doorbell], int, float]:
        """What the bucket of the type pays for: the doorbells, how many could have been, and seconds until the next token."""
        async with self._term.transaction() as connection:
            bucket = await connection.fetchrow(sql("rate_limits/tokens"), job_type)
            if bucket is None:
                return [], 0, 0.0
            tokens: float = bucket["tokens"]
            # No more unanswered ones than `count`, so that workers that come back do not start a heap of them at once.
            places = max(0, bucket["count"] - bucket["unanswered"])
            room = min(room, int(tokens), places)
            rows = await connection.fetch(sql("dispatch/take_unpublished"), job_type, room, self._ring_timeout) if room else []
            if rows:
                tokens -= len(rows)
                await connection.execute(sql("rate_limits/spend"), job_type, tokens, bucket["at"])
        pause = LIMIT_PAUSE if places else BACKLOG_PAUSE[0]
        return _doorbells(rows), room, max(pause, (1.0 - tokens) * bucket["seconds_each"])

    async def _take_keyed(self, job_type: str, room: int) -> tuple[list[Doorbell], bool, float | None]:
        """What the buckets of a type's values pay for, and its own if it has one.

        Returns:
            The doorbells, whether there is more to do at once, and seconds until the next in line may go; None when nobody is.
        """
        async with self._term.transaction() as connection:
            path = await connection.fetchval(sql("key_limits/lock_path"), job_type)
            if path is None:
                return [], True, None
            lined = await connection.fetchval(sql("key_limits/enqueue"), job_type, path, BATCH)
            whole = await connection.fetchrow(sql("rate_limits/tokens"), job_type)
            allowed = room if whole is None else min(room, int(whole["tokens"]), max(0, whole["count"] - whole["unanswered"]))
            rows: list[asyncpg.Record] = []
            if allowed:
                rows += await connection.fetch(sql("key_limits/take_paid"), job_type, allowed, self._ring_timeout)
            if len(rows) < allowed:
                rows += await connection.fetch(sql("key_limits/take"), job_type, allowed - len(rows), self._ring_timeout)
            if whole is not None and rows:
                await connection.execute(sql("rate_limits/spend"), job_type, whole["tokens"] - len(rows), whole["at"])
            seconds: float | None = await connection.fetchval(sql("key_limits/next_ready"), job_type)
        more = lined == BATCH or len(rows) == room
        if whole is not None and len(rows) == allowed < room:
            # The values wait for the type's own bucket.
            pause = max(BACKLOG_PAUSE[0], (1.0 - whole["tokens"] + len(rows)) * whole["seconds_each"])
            return _doorbells(rows), more, max(pause, seconds or 0.0)
        return _doorbells(rows), more or (seconds is not None and seconds <= 0), seconds

    async def _ring(self, doorbells: Sequence[Doorbell]) -> None:
        if not doorbells:
            return
        outcomes = await self._broker.publish(doorbells)
        reach("after_publish")
        for doorbell, outcome in zip(doorbells, outcomes, strict=True):
            if outcome is Published.CONFIRMED and self._blocked.pop(doorbell.type, None) is not None:
                log.info("publisher: a worker has bound %s", doorbell.type)
        failed = [d for d, outcome in zip(doorbells, outcomes, strict=True) if outcome is not Published.CONFIRMED]
        if not failed:
            return
        unroutable = {d.type for d, o in zip(doorbells, outcomes, strict=True) if o is Published.UNROUTABLE}
        for job_type in unroutable - self._blocked.keys():
            log.warning("publisher: no worker has bound %s; its occurrences wait", job_type)
        for job_type in unroutable:
            self._blocked[job_type] = time.monotonic() + self._unroutable_retry
        if len(failed) > len([o for o in outcomes if o is Published.UNROUTABLE]):
            log.warning("publisher: the broker did not confirm some doorbells; they are rung again")
        try:
            unrung = await self._term.database.fetch("dispatch/mark_unpublished", [d.occurrence for d in failed])
            if refunds := Counter(row["type"] for row in unrung if row["type"] in self._limited):
                await self._term.database.execute("rate_limits/refund", *columns(sorted(refunds.items()), 2))
        except Exception as error:
            log.warning("publisher: %d doorbells wait for the ring timeout (%s: %s)", len(failed), type(error).__name__, error)


def _doorbells(rows: Sequence[asyncpg.Record]) -> list[Doorbell]:
    return [
        Doorbell(occurrence=r["id"], attempt=r["attempt"] + 1, type=r["type"])
        for r in sorted(rows, key=lambda r: (-int(r["priority"]), int(r["id"])))
    ]
