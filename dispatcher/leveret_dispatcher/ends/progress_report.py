"""Says in Postgres how far this process has come with the events that the broker gave it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta

from leveret_core.store.clock.now import read_clock
from leveret_core.store.database import Database
from leveret_core.store.ingestors.progress import note_current
from leveret_dispatcher.loops import repeat


class ProgressReport:
    """Reports every `interval` seconds; silence means that nothing is known.

    Args:
        database: where to.
        behind: seconds since the oldest event arrived that is not ingested; None while none can arrive.
        interval: seconds.
    """

    def __init__(self, database: Database, behind: Callable[[], float | None], interval: float) -> None:
        self._db = database
        self._behind = behind
        self._interval = interval
        self._id = uuid.uuid4()

    async def run(self) -> None:
        """Report until cancelled."""
        await repeat("report of events", self.run_once, self._interval)

    async def run_once(self) -> None:
        """Report once."""
        # The clock first: what arrives between these two lines is newer than what is said.
        now = await read_clock(self._db)
        behind = self._behind()
        if behind is not None:
            await note_current(self._db, self._id, now - timedelta(seconds=behind))
