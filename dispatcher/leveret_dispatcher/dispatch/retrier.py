"""Makes retries pending when their time has come. No retry waits in a worker or in the broker."""

from __future__ import annotations

from collections.abc import Callable

from leveret_core.store.database import sql
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
            rows = await connection.fetch(sql("attempts/retry_due"), BATCH)
        if rows:
            self._changed([row["id"] for row in rows])
        if len(rows) == BATCH:
            return 0.0
        seconds: float | None = await self._term.database.fetchval("attempts/next_retry")
        return None if seconds is None else max(seconds, 0.0)
