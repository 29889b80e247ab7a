"""Something that is away now and then, told of once when it goes and once when it is back."""

from __future__ import annotations

import logging
import time


class Outage:
    """Remembers whether a service answers.

    Args:
        log: where to tell.
        what: the service, and what for: `Redis (lock)`.
        meanwhile: what happens as long as it is away.
    """

    def __init__(self, log: logging.Logger, what: str, meanwhile: str) -> None:
        self._log = log
        self._what = what
        self._meanwhile = meanwhile
        self._since: float | None = None

    def failed(self, error: BaseException) -> None:
        """It did not answer."""
        if self._since is None:
            self._since = time.monotonic()
            self._log.warning("%s does not answer (%s: %s): %s", self._what, type(error).__name__, error, self._meanwhile)

    def answered(self) -> None:
        """It did."""
        if self._since is not None:
            self._log.warning("%s answers again after %.1f s", self._what, time.monotonic() - self._since)
            self._since = None
