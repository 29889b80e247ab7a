"""What a handler can say about its attempt, besides returning a result or raising an error.

Each of them can be raised from anywhere in the handler, or returned.
"""

from __future__ import annotations

import math
from datetime import timedelta

from leveret_core.policy import DEFAULT_SNOOZES, MAX_SNOOZE, MAX_SNOOZES


class Outcome(Exception):
    """Root of `Retry`, `Snooze`, `Skip`, `Cancel` and `Fail`; `reason` is shown with the attempt."""

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
        self.after = None if after is None else _seconds(after)


class Snooze(Outcome):
    """Try again later: what this needs is not there yet. The attempt does not count against the job's `max_attempts`.

    The occurrence keeps its slot meanwhile, as it does between the attempts of a retry.

    Args:
        reason: shown with the attempt. Default: empty.
        after: seconds (or a timedelta) until the next attempt; at most 30 days.
        limit: how often one occurrence may be snoozed; once more, and it fails. From 1 to 10,000; default 100.

    Raises:
        ValueError: `after` or `limit` is out of range.
    """

    def __init__(self, reason: str = "", *, after: float | timedelta, limit: int = DEFAULT_SNOOZES) -> None:
        super().__init__(reason)
        self.after = _seconds(after, MAX_SNOOZE)
        if not 1 <= limit <= MAX_SNOOZES:
            raise ValueError(f"limit must be from 1 to {MAX_SNOOZES}, not {limit!r}")
        self.limit = limit


class Skip(Outcome):
    """End the occurrence as `skipped`: there was nothing to do this time, which `reason` explains. Never retried."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


class Cancel(Outcome):
    """End the occurrence as `cancelled`: it was begun, and there is no point in it any more. Never retried."""


class Fail(Outcome):
    """End the attempt as `failed`.

    Args:
        reason: shown with the attempt.
        retry: whether the job's retry policy applies. Default: no, the occurrence fails for good.
    """

    def __init__(self, reason: str, *, retry: bool = False) -> None:
        super().__init__(reason)
        self.retry = retry


def _seconds(after: float | timedelta, longest: float = math.inf) -> float:
    seconds = after.total_seconds() if isinstance(after, timedelta) else after
    if not (math.isfinite(seconds) and 0 <= seconds <= longest):
        upper = f" to {longest:.0f}" if math.isfinite(longest) else ""
        raise ValueError(f"after must be a number of seconds from 0{upper}, not {after!r}")
    return seconds
