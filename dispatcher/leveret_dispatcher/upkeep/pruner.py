"""Deletes history past its time, and looks for slots that should not be there."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from leveret_core.store.database import Connection
from leveret_core.store.pruning import prune
from leveret_core.store.slots.release import repair_slots
from leveret_dispatcher.leadership.term import Term

log = logging.getLogger(__name__)

BATCH = 5_000
LONG = 300.0
"""Seconds after which a run leaves the rest to the next one."""
PRUNER_LIMIT = 2 * LONG
"""Seconds a run may take."""


class Pruner:
    """Keeps the tables small.

    Args:
        term: whose epoch fences every transaction.
        history_days: days a final occurrence is kept, and a dead event.
        audit_days: days it is kept who did what. Default 365.
    """

    def __init__(self, term: Term, history_days: float, audit_days: float = 365.0) -> None:
        self._term = term
        self._history_days = history_days
        self._audit_days = audit_days

    async def run_once(self) -> int:
        """Delete what is past its time, in batches; returns how many occurrences went."""
        until = time.monotonic() + LONG
        total = await self._prune(prune.prune_occurrences, self._history_days, until)
        await self._prune(prune.prune_dead_events, self._history_days, until)
        await self._prune(prune.prune_audit, self._audit_days, until)
        async with self._term.transaction() as connection:
            await prune.prune_the_rest(connection, self._history_days)
        if total:
            log.info("pruner: %d occurrences were older than %g days", total, self._history_days)
        return total

    async def _prune(self, delete: Callable[[Connection, float, int], Awaitable[int]], days: float, until: float) -> int:
        total = 0
        while True:
            async with self._term.transaction() as connection:
                count = await delete(connection, days, BATCH)
            total += count
            if count < BATCH or time.monotonic() > until:
                return total

    async def repair(self) -> int:
        """Free slots whose occurrence is final. There should be none: each one found is a bug, and logged as an error."""
        async with self._term.transaction() as connection:
            repaired = await repair_slots(connection)
        for job_id, occurrence_id in repaired:
            log.error("pruner: occurrence %d was final and still held a slot of job %d", occurrence_id, job_id)
        return len(repaired)
