"""What a handler can say about its attempt, besides returning a result or raising an error.

Each of them can be raised from anywhere in the handler, or returned.
"""

from __future__ import annotations

import math
from datetime import timedelta


class Outcome(Exception):
    """Root of `Retry`, `Cancel` and `Fail`; `reason` is shown with the attempt."""

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        super().__init__(reason)


class Retry(Outcome):
    """Try again later. The attempt counts as failed, and against the job's `max_attempts`.

    Args:
        reason: shown with the attempt. Default: empty.
        after: seconds (or a timedelta) until the next attempt, instead of the delay of the job's retry policy; take it
            from a `Retry-After` header, say. Default: the policy's delay.

    Raises:
        ValueError: `after` is negative or not finite.
    """

    def __init__(self, reason: str = "", *, after: float | timedelta | None = None) -> None:
        super().__init__(reason)
        seconds = after.total_seconds() if isinstance(after, timedelta) else after
        if seconds is not None and not (math.isfinite(seconds) and seconds >= 0):
            raise ValueError(f"after must be a number of seconds from 0, not {after!r}")
        self.after = seconds


class Cancel(Outcome):
    """End the occurrence as `cancelled`: there was nothing to do, or there is no point any more. Never retried."""


class Fail(Outcome):
    """End the attempt as `failed`.

    Args:
        reason: shown with the attempt.
        retry: whether the job's retry policy applies. Default: no, the occurrence fails for good.
    """

    def __init__(self, reason: str, *, retry: bool = False) -> None:
        super().__init__(reason)
        self.retry = retry
