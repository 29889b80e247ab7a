"""Looks once a minute for what nothing is responsible for, says so, and mends what can be mended safely."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import msgspec

from leveret_core.store.attempts.ends import Ending, Settled, settle
from leveret_core.store.key_limits.queues import enqueue_again, start_queues
from leveret_core.store.liveness.ownerless import (
    CERTAIN,
    Ownerless,
    Place,
    find_ownerless,
    note_ownerless,
    publish_again,
    set_retry,
)
from leveret_core.store.slots.release import admit_next, lock_other_jobs
from leveret_dispatcher.leadership.term import Term

log = logging.getLogger(__name__)

LATE = 60.0
"""Seconds by which what is due may be late without a word."""

_NEEDS_BROKER = frozenset({"lease", "unnamed", "timeout", "ring", "unrung"})
"""Kinds that say nothing while RabbitMQ is away: all of them wait for it."""


class LivenessChecker:
    """Finds what is not over and has nothing that is responsible for it. There should be none: each one found is a bug, or a
    change by hand, and is logged as an error.

    Args:
        term: whose epoch fences every transaction.
        lease: seconds a worker lives without a heartbeat.
        grace: seconds past an attempt's timeout before the server ends it.
        unnamed: seconds after which the reconciler asks for what a worker does not name.
        reachable: whether RabbitMQ can be reached just now.
        changed: takes what was mended; wakes all loops.
    """

    def __init__(
        self,
        term: Term,
        *,
        lease: float,
        grace: float,
        unnamed: float,
        reachable: Callable[[], bool],
        changed: Callable[[Settled], None],
    ) -> None:
        self._term = term
        self._silent = 2 * lease + grace + LATE
        self._reachable = reachable
        self._changed = changed
        self._place = Place()
        self._unnamed = unnamed
        self._seen: dict[tuple[str, int, int], float] = {}
        """Since when each was found again and again, on `time.monotonic()`."""

    async def run_once(self) -> list[Ownerless]:
        """Look once; returns what is without an owner."""
        found = await find_ownerless(self._term.database, self._place, late=LATE, silent=self._silent, unnamed=self._unnamed)
        if not self._reachable():
            found = [each for each in found if each.kind not in _NEEDS_BROKER]
        now, before = time.monotonic(), self._seen
        self._seen = {_key(each): before.get(_key(each), now) for each in found}
        ownerless = [
            each
            for each in found
            if each.kind in CERTAIN or (_key(each) in before and now - before[_key(each)] >= self._patience(each))
        ]
        settled = await self._mend(ownerless) if ownerless else Settled()
        async with self._term.transaction() as connection:
            await note_ownerless(connection, ownerless)
        if ownerless:
            told = "; ".join(map(str, ownerless[:10]))
            log.error("liveness: %d have no owner, %d of them go on now: %s", len(ownerless), len(settled.changed), told)
            self._changed(settled)
        return ownerless

    def _patience(self, each: Ownerless) -> float:
        """Seconds for which it must have been found; the reconciler has its grace, and then asks twice."""
        return 2 * self._unnamed + LATE if each.kind == "unnamed" else 0.0

    async def _mend(self, ownerless: Sequence[Ownerless]) -> Settled:
        """Do what is safe whatever the cause. What has something to do and does not do it is only woken."""
        kinds: dict[str, list[Ownerless]] = {}
        for each in ownerless:
            kinds.setdefault(each.kind, []).append(each)
        settled = Settled()
        if lost := kinds.get("worker"):
            endings = [Ending(occurrence=each.id, outcome="lost", claim=each.claim, error=_NO_WORKER) for each in lost]
            async with self._term.transaction() as connection:
                settled = await settle(connection, endings)
        async with self._term.transaction() as connection:
            if waiting := kinds.get("line"):
                await lock_other_jobs(connection, {each.job_id for each in waiting})
                settled.changed += await admit_next(connection, [each.queue for each in waiting if each.queue is not None])
            if outside := kinds.get("token"):
                settled.changed += await enqueue_again(connection, [each.id for each in outside])
            if first := kinds.get("bucket"):
                await start_queues(connection, [each.value for each in first if each.value is not None])
            if retries := kinds.get("retry"):
                await set_retry(connection, [each.id for each in retries])
            if far := kinds.get("far"):
                await publish_again(connection, [each.id for each in far])
        return settled


def _key(each: Ownerless) -> tuple[str, int, int]:
    return each.kind, each.id, each.claim[0] if each.claim else 0


_NO_WORKER = msgspec.json.encode({"type": "WorkerLost", "message": "no live worker runs it", "traceback": ""}).decode()
