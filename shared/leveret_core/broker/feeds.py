"""The feeds of one broker: started, kept, and ended with the call that they are at."""

from __future__ import annotations

import asyncio

from leveret_core.broker.claims_feed import ClaimsFeed
from leveret_core.broker.events_feed import EventsFeed
from leveret_core.supervision import Kept, Supervisor

STOP_TIMEOUT = 5.0
"""Seconds `stop` leaves a running call of the desk or the ingestor to end."""


class Feeds:
    """What brings requests and events from a broker to desk and ingestor.

    Args:
        supervisor: keeps their tasks.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._running: list[tuple[ClaimsFeed | EventsFeed, Kept]] = []

    def start(self, feed: ClaimsFeed | EventsFeed) -> None:
        """Run `feed` until `stop`."""
        self._running.append((feed, self._supervisor.keep(feed.steps.name, feed.run, steps=feed.steps)))

    @property
    def events_behind(self) -> float | None:
        """Seconds since the oldest event arrived here that is not ingested, 0 if there is none; None where none are taken."""
        return max((feed.behind for feed, _ in self._running if isinstance(feed, EventsFeed)), default=None)

    async def stop(self) -> None:
        """Let the running calls end, and end the tasks."""
        running, self._running = self._running, []
        for feed, kept in running:
            kept.let_end()
            feed.stop()
        if running:
            await asyncio.wait([kept.task for _, kept in running], timeout=STOP_TIMEOUT)
        await self._supervisor.stop(*(kept for _, kept in running), within=STOP_TIMEOUT)
