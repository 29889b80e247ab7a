"""Ends runs that no worker runs: their worker lives and does not name them, and no end of theirs is on its way.

That happens when events are lost on their way (the queue was purged or deleted), or when an end could not be read at all.
A worker stops naming an attempt only after the broker has confirmed its end, so the end is in the queue, with an ingestor, or
nowhere. An attempt is lost when, after it had not been named for the grace,

1. the queue was seen empty, so that what is left of it is with ingestors, and then
2. as many ingestors as the queue has consumers have said that they have read all they were given until after that moment,

and both once more, because an ingestor that died in between gave back what it had. A long backlog never satisfies the first; an
ingestor that is frozen or cut off from Postgres while it has events never lets the second come true.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from leveret_core.broker.base import Backlog
from leveret_core.errors import BrokerError
from leveret_core.store.attempts.ends import Ending, Settled, settle
from leveret_core.store.attempts.lost import Unnamed, unnamed
from leveret_core.store.clock.now import read_clock
from leveret_core.store.ingestors.progress import count_current
from leveret_dispatcher.leadership.term import Term

log = logging.getLogger(__name__)

BATCH = 500
MARGIN = timedelta(seconds=2)
"""How long an event may be on the way from the broker to an ingestor that it was given to."""
PATIENCE = 60.0
"""Seconds after which the queue is looked at anew, because ingestors have come or gone."""
TELL_INTERVAL = 300.0
"""Seconds between two lines about why nothing can be decided."""

Key = tuple[int, int]


@dataclass(frozen=True)
class _Sighting:
    since: float
    heartbeat_at: datetime


@dataclass(frozen=True)
class _Drained:
    """The queue was empty at `at`, by Postgres's clock, after `keys` had not been named for long enough."""

    at: datetime
    seen: float
    consumers: int
    keys: frozenset[Key]


class Reconciler:
    """Compares what runs by the tables with what workers name.

    Args:
        term: whose epoch fences every transaction.
        grace: seconds an attempt must not have been named by its worker.
        backlog: looks at the queue of events.
        changed: takes what was changed.
    """

    def __init__(
        self, term: Term, *, grace: float, backlog: Callable[[], Awaitable[Backlog]], changed: Callable[[Settled], None]
    ) -> None:
        self._term = term
        self._grace = grace
        self._backlog = backlog
        self._changed = changed
        self._seen: dict[Key, _Sighting] = {}
        self._drained: _Drained | None = None
        self._once: set[Key] = set()
        """For which both were true once."""
        self._told = 0.0

    async def run_once(self) -> int:
        """Look once; returns how many attempts were ended as lost."""
        rows = await unnamed(self._term.database, self._grace, BATCH)
        now = time.monotonic()
        found: dict[Key, Unnamed] = {(row.id, row.attempt): row for row in rows}
        self._seen = {key: self._seen.get(key, _Sighting(now, row.heartbeat_at)) for key, row in found.items()}
        # Of two heartbeats at least: one may have been written down before the attempt was granted, and read long after.
        due = {
            key
            for key, sighting in self._seen.items()
            if now - sighting.since >= self._grace and found[key].heartbeat_at > sighting.heartbeat_at
        }
        if not due:
            self._drained = None
            self._once.clear()
            return 0
        if self._drained is None or now - self._drained.seen > PATIENCE:
            await self._look_at_queue(now, frozenset(due))
            return 0
        current = await count_current(self._term.database, self._drained.at + MARGIN)
        if current < self._drained.consumers:
            self._tell(now, len(due), f"{current} of {self._drained.consumers} ingestors are known to be up to date")
            return 0
        completed = due & self._drained.keys
        lost = completed & self._once
        self._once, self._drained = completed - lost, None
        return await self._lose([found[key] for key in sorted(lost)])

    async def _look_at_queue(self, now: float, due: frozenset[Key]) -> None:
        self._drained = None
        try:
            backlog = await self._backlog()
        except BrokerError as error:
            self._tell(now, len(due), str(error))
            return
        if backlog.waiting or not backlog.consumers:
            self._tell(
                now, len(due), f"{backlog.waiting} messages are in the queue of events, with {backlog.consumers} consumers"
            )
            return
        self._drained = _Drained(await read_clock(self._term.database), now, backlog.consumers, due)

    async def _lose(self, rows: list[Unnamed]) -> int:
        error = msgspec.json.encode(
            {"type": "EndLost", "message": "its worker does not run it any more, and no end of it arrived", "traceback": ""}
        ).decode()
        endings = [
            Ending(occurrence=row.id, outcome="lost", claim=(row.attempt, str(row.claim_token)), error=error) for row in rows
        ]
        if not endings:
            return 0
        async with self._term.transaction() as connection:
            settled = await settle(connection, endings)
        for row in rows:
            log.warning(
                "reconciler: occurrence %d, attempt %d is lost: worker %s (%s) does not name it, and no end of it arrived",
                row.id,
                row.attempt,
                row.name,
                row.worker_id,
            )
        self._changed(settled)
        return len(rows)

    def _tell(self, now: float, count: int, why: str) -> None:
        if now - self._told > TELL_INTERVAL or not self._told:
            self._told = now
            log.info("reconciler: %d attempts are not named by their workers; nothing is decided yet: %s", count, why)
