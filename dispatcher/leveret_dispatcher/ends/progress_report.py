"""Says in Postgres how far this process has come with the events that the broker gave it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta

from leveret_core.store.clock.now import read_clock
from leveret_core.store.database import Database
from leveret_core.store.ingestors.progress import note_current
from leveret_core.supervision import Steps
from leveret_dispatcher.loops import Errand, repeat

LIMIT = 40.0
"""Seconds one report may take: two statements, each with a time limit of its own."""
ENDING = 10.0
"""Seconds that a report which took too long has to end."""


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
        self._id = uuid.uuid4()
        self.steps = Steps("report of events", LIMIT + ENDING)
        self._errand = Errand("report of events", self.run_once, interval, self.steps, LIMIT)

    async def run(self) -> None:
        """Report until cancelled."""
        await repeat(self._errand)

    async def run_once(self) -> None:
        """Report once."""
        # The clock first: what arrives between these two lines is newer than what is said.
        now = await read_clock(self._db)
        behind = self._behind()
        if behind is not None:
            await note_current(self._db, self._id, now - timedelta(seconds=behind))
