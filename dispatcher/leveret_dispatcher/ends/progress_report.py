"""Says in Postgres how far this process has come with the events that the broker gave it."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from datetime import timedelta

from leveret_core.cancellation import heed_cancellation
from leveret_core.store.database import Database
from leveret_core.store.errors import is_unavailable

log = logging.getLogger(__name__)


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
        while True:
            try:
                await self.run_once()
            except Exception as error:
                if is_unavailable(error):
                    log.debug("how far events have been read could not be said: %s", error)
                else:
                    log.exception("how far events have been read could not be said")
            heed_cancellation()
            await asyncio.sleep(self._interval)

    async def run_once(self) -> None:
        """Report once."""
        # The clock first: what arrives between these two lines is newer than what is said.
        now = await self._db.fetchval("jobs/clock")
        behind = self._behind()
        if behind is not None:
            await self._db.execute("ingestors/current", self._id, now - timedelta(seconds=behind))
