"""Admits runs that were planned for later, when they are due: a bounded number in each transaction under the term's epoch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from leveret_core.failpoints import reach
from leveret_core.messages import DispatchMessage
from leveret_core.store.occurrences.creation import Created
from leveret_core.store.planned.admission import admit_due, next_due
from leveret_dispatcher.leadership.term import Term

log = logging.getLogger(__name__)

BUSY_RETRY = (0.01, 1.0)
"""Seconds until the next look when the jobs of due runs were locked by other transactions: at first, and at most."""


class Admitter:
    """Puts due runs under the policy of their jobs.

    Args:
        term: whose epoch fences every transaction.
        batch: runs admitted in one transaction, at most.
        answer_timeout: seconds after which an unanswered dispatch message is published again for the first time.
        room: how many more dispatch messages of a type the broker should get.
        publish: takes the dispatch messages of what was committed, without waiting.
        changed: takes what was admitted.
    """

    def __init__(
        self,
        term: Term,
        *,
        batch: int,
        answer_timeout: float,
        room: Callable[[str], int],
        publish: Callable[[Sequence[DispatchMessage]], None],
        changed: Callable[[Sequence[Created]], None],
    ) -> None:
        self._term = term
        self._batch = batch
        self._answer_timeout = answer_timeout
        self._room = room
        self._publish = publish
        self._changed = changed
        self._busy = BUSY_RETRY[0]

    async def run_once(self) -> float | None:
        """Handle one batch; returns the seconds until the next run is due, None when none is planned."""
        seconds = await next_due(self._term.database)
        if seconds is None or seconds > 0:
            return seconds
        async with self._term.transaction() as connection:
            admitted = await admit_due(
                connection, limit=self._batch, epoch=self._term.epoch, publish_in=self._answer_timeout, room=self._room
            )
            reach("in_admit_tx")
        if not admitted:
            pause, self._busy = self._busy, min(self._busy * 2, BUSY_RETRY[1])
            return pause
        self._busy = BUSY_RETRY[0]
        reach("after_admit_commit")
        if dispatches := [DispatchMessage(occurrence=run.id, attempt=1, type=run.type) for run in admitted if run.published]:
            self._publish(dispatches)
        log.debug("admitter: %d runs admitted", len(admitted))
        self._changed(admitted)
        # Either more are due, or the next look tells when.
        return 0.0
