"""The worker's lease: while it lasts, no server gives the worker's attempts to another worker."""

from __future__ import annotations

import time

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", None)


def boot_time() -> float:
    """Seconds on a clock that goes on while the machine sleeps, and that no user can set."""
    return time.clock_gettime(_BOOTTIME) if _BOOTTIME is not None else time.monotonic()


class Lease:
    """How long the worker may trust that its claims are its own. Read and written by several threads.

    Args:
        margin: seconds at the end of the lease that are not trusted; a tenth of the lease where that is less.
    """

    def __init__(self, margin: float) -> None:
        self._margin = margin
        self._until = float("-inf")

    def renew(self, sent_at: float, seconds: float) -> None:
        """Trust the lease for `seconds` from `sent_at` (by `boot_time`), when the answered request was sent."""
        self._until = max(self._until, sent_at + seconds - min(self._margin, seconds / 10))

    def end(self) -> None:
        """Trust it no longer."""
        self._until = float("-inf")

    @property
    def remaining(self) -> float:
        """Seconds it can still be trusted; 0 or less when it is over."""
        return self._until - boot_time()

    @property
    def over(self) -> bool:
        """Whether everything that the worker holds may be another worker's by now."""
        return self._until <= boot_time()
