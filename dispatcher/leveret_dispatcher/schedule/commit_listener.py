"""Hears at once of runs that users' own transactions planned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from leveret_core.store.planned.commits import listen_to_commits
from leveret_core.supervision import Steps
from leveret_dispatcher.loops import attempt

RETRY = 1.0
"""Seconds before a lost connection is opened again."""
LIMIT = 20.0
"""Seconds in which it must listen; connecting and each statement have time limits of their own."""


class CommitListener:
    """Calls `heard` whenever a transaction has committed that planned runs.

    A notification that is lost costs time only: the admitter also looks by itself.

    Args:
        url: of the database; behind a pooler that shares sessions nothing is heard.
        heard: called on the event loop; must not block.
        steps: where it tells that it does not listen yet, or not any more.
    """

    def __init__(self, url: str, heard: Callable[[], None], steps: Steps) -> None:
        self._url = url
        self._heard = heard
        self._steps = steps

    async def run(self) -> None:
        """Listen until cancelled, over any number of connections."""
        # Without it runs begin later, which is no reason to give up the term.
        try:
            while True:
                self._steps.begin()
                error = await attempt("commit listener", self._listen)
                self._steps.failed(error or ConnectionError("the connection was lost"))
                await asyncio.sleep(RETRY)
        finally:
            self._steps.rest()

    async def _listen(self) -> None:
        async with asyncio.timeout(LIMIT) as limit:

            def heard() -> None:
                if limit.when() is not None:
                    limit.reschedule(None)
                    self._steps.rest()  # it listens, for however long
                self._heard()

            await listen_to_commits(self._url, heard)
