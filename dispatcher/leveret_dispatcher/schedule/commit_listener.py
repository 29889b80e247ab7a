"""Hears at once of runs that users' own transactions planned, by LISTEN on a connection of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import asyncpg

from leveret_core.cancellation import heed_cancellation
from leveret_dispatcher.loops import repeat

log = logging.getLogger(__name__)

CHANNEL = "leveret_scheduled"
"""What `leveret_trigger` notifies."""
RETRY = 1.0
"""Seconds before a lost connection is opened again."""
CHECK = 15.0
"""Seconds between looks whether the connection still answers."""


class CommitListener:
    """Calls `heard` whenever a transaction has committed that planned runs.

    A notification that is lost costs time only: the admitter also looks by itself.

    Args:
        url: of the database; behind a pooler that shares sessions nothing is heard.
        heard: called on the event loop; must not block.
    """

    def __init__(self, url: str, heard: Callable[[], None]) -> None:
        self._url = url
        self._heard = heard

    async def run(self) -> None:
        """Listen until cancelled, over any number of connections."""
        # Without it runs begin later, which is no reason to give up the term.
        await repeat("commit listener", self._listen, RETRY)

    async def _listen(self) -> None:
        connection = await asyncpg.connect(
            self._url, timeout=5, command_timeout=5, server_settings={"application_name": "leveret listener"}
        )
        closed = asyncio.Event()

        def lost(_: object) -> None:
            closed.set()

        def committed(*_: object) -> None:
            self._heard()

        connection.add_termination_listener(lost)
        try:
            await connection.add_listener(CHANNEL, committed)
            # What was committed before.
            self._heard()
            while not closed.is_set():
                try:
                    async with asyncio.timeout(CHECK):
                        await closed.wait()
                except TimeoutError:
                    heed_cancellation()
                    await connection.fetchval("select 1")
        finally:
            connection.terminate()
