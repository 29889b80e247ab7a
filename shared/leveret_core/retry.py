"""When a failed attempt is tried again: a pure rule."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often and how late an occurrence is tried again.

    Args:
        max_attempts: attempts in all, the first included; 1 never retries. Default 3.
        delay: seconds before the second attempt, at most. Default 5.
        factor: by how much the ceiling grows with each attempt. Default 2.
        max_delay: seconds no delay exceeds. Default 3600.
        max_lost: attempts that may end with their worker's death before the occurrence fails as one that kills its
            workers; counted apart from `max_attempts`. Default 3.
    """

    max_attempts: int = 3
    delay: float = 5.0
    factor: float = 2.0
    max_delay: float = 3600.0
    max_lost: int = 3

    def problems(self) -> list[tuple[str, str]]:
        """What is wrong with the values, as (field, message) pairs; empty when all is well."""
        found: list[tuple[str, str]] = []
        if not 1 <= self.max_attempts <= 100:
            found.append(("max_attempts", "must be from 1 to 100"))
        if not 0 <= self.delay <= 86400:
            found.append(("delay", "must be from 0 to 86400 seconds"))
        if not 1 <= self.factor <= 10:
            found.append(("factor", "must be from 1 to 10"))
        if not 0 <= self.max_delay <= 604800:
            found.append(("max_delay", "must be from 0 to 604800 seconds"))
        if not 1 <= self.max_lost <= 100:
            found.append(("max_lost", "must be from 1 to 100"))
        return found

    def next_delay(self, charged_attempts: int, rng: random.Random | None = None) -> float | None:
        """Seconds to wait after the `charged_attempts`-th failed attempt (1 is the first), or None when none is left.

        Full jitter: uniform between half of the ceiling and the ceiling `delay * factor ** (n - 1)`, capped by `max_delay`;
        after "Exponential Backoff And Jitter" (M. Brooker, 2015), with its lower half cut so that a retry never follows at
        once.
        """
        if charged_attempts >= self.max_attempts:
            return None
        ceiling = min(self.max_delay, self.delay * self.factor ** min(charged_attempts - 1, 60))
        return (rng or random).uniform(ceiling / 2, ceiling)


class _StoredPolicy(RetryPolicy, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A policy as a newer release may have stored it: what this one does not know of is passed over."""


stored_policy: Callable[[str], RetryPolicy] = msgspec.json.Decoder(_StoredPolicy).decode
"""A policy from its JSON text in the database, where a field that this release does not know must not stop anything."""
