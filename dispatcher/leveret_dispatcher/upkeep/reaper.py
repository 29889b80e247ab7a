"""Ends what no worker will end: attempts of dead workers, and attempts far past their timeout."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import msgspec

from leveret_core.store.attempts import lost
from leveret_core.store.attempts.ends import Ending, Settled, settle
from leveret_dispatcher.leadership.term import Term

log = logging.getLogger(__name__)

BATCH = 50


class Reaper:
    """Declares workers lost whose lease is over and puts what they ran under the rules of loss.

    Args:
        term: whose epoch fences every transaction.
        lease: seconds a worker lives without a heartbeat.
        grace: seconds past an attempt's timeout before the server ends it.
        reachable: whether workers could send heartbeats at all just now; while they cannot, none is reaped.
        changed: takes what was changed.
    """

    def __init__(
        self,
        term: Term,
        *,
        lease: float,
        grace: float,
        reachable: Callable[[], bool],
        changed: Callable[[Settled], None],
    ) -> None:
        self._term = term
        self._lease = lease
        self._grace = grace
        self._reachable = reachable
        self._changed = changed
        # After an outage of ours every lease looks over: workers get one lease of time to be heard again.
        self._quiet_until = time.monotonic() + lease
        self._last = time.monotonic()

    async def run_once(self) -> int:
        """Reap once; returns how many attempts were ended."""
        now = time.monotonic()
        if not self._reachable() or now - self._last > self._lease / 2:
            self._quiet_until = now + self._lease
        self._last = now
        found = await lost.look_for_lost(self._term.database, self._grace)
        ended = await self._end_overrun() if found.overrun else 0
        if found.lost and now >= self._quiet_until:
            ended += await self._reap_workers()
        return ended

    async def _reap_workers(self) -> int:
        async with self._term.transaction() as connection:
            workers = await lost.lose_workers(connection, BATCH)
            if not workers:
                return 0
            held = await lost.held_by(connection, [worker.id for worker in workers])
            error = _error("WorkerLost", "its worker stopped sending heartbeats")
            settled = await settle(connection, [Ending(occurrence=id_, outcome="lost", error=error) for id_ in held])
        for worker in workers:
            log.warning("reaper: worker %s (%s) is lost", worker.name, worker.id)
        if held:
            log.warning("reaper: %d attempts were lost with their workers", len(held))
        self._changed(settled)
        return len(held)

    async def _end_overrun(self) -> int:
        async with self._term.transaction() as connection:
            late = await lost.overrun(connection, self._grace, BATCH * 10)
            if not late:
                return 0
            error = _error("TimedOut", "it ran past its timeout, and its worker did not say that it stopped")
            settled = await settle(connection, [Ending(occurrence=id_, outcome="timed_out", error=error) for id_ in late])
        log.warning("reaper: %d attempts ran past their timeout", len(late))
        self._changed(settled)
        return len(late)


def _error(kind: str, message: str) -> str:
    return msgspec.json.encode({"type": kind, "message": message, "traceback": ""}).decode()
