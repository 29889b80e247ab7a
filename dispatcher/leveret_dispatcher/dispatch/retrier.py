"""Makes retries pending when their time has come. No retry waits in a worker or in the broker."""

from __future__ import annotations

from collections.abc import Callable

from leveret_core.store.attempts.retries import admit_retries, next_retry
from leveret_dispatcher.leadership.term import Term

BATCH = 1_000


class Retrier:
    """Moves due retries to `pending`.

    Args:
        term: whose epoch fences every transaction.
        changed: takes the ids of what became pending.
    """

    def __init__(self, term: Term, changed: Callable[[list[int]], None]) -> None:
        self._term = term
        self._changed = changed

    async def run_once(self) -> float | None:
        """Handle one batch; returns the seconds until the next retry, None when none waits."""
        async with self._term.transaction() as connection:
            due = await admit_retries(connection, BATCH)
        if due:
            self._changed(due)
        if len(due) == BATCH:
            return 0.0
        seconds = await next_retry(self._term.database)
        return None if seconds is None else max(seconds, 0.0)
