"""Hears at once of runs that users' own transactions planned."""

from __future__ import annotations

from collections.abc import Callable

from leveret_core.store.planned.commits import listen_to_commits
from leveret_dispatcher.loops import repeat

RETRY = 1.0
"""Seconds before a lost connection is opened again."""


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
        await listen_to_commits(self._url, self._heard)
