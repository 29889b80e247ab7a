"""How many dispatch messages of each type are out and not answered, known without counting rows at each look."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping

COUNT_EVERY = (2.0, 30.0)
"""Seconds between counts of the rows while something waits to be published: while a type has no room, and else."""


class Unanswered:
    """Counts per type, in memory of the term: changed by what is published and by what claim desks tell of their claims.

    What desks tell comes by hints, which may be lost, and a message of an occurrence that was cancelled is answered by no
    claim. So the rows are counted at the beginning of a term, and now and then while something waits; what is wrong until then
    makes the window a little larger or smaller, nothing else.

    Args:
        count_every: see `COUNT_EVERY`.
    """

    def __init__(self, count_every: tuple[float, float] = COUNT_EVERY) -> None:
        self._count_every = count_every
        self._of: Counter[str] = Counter()
        self._answered: set[str] = set()
        self._counted_at = 0.0

    def of(self, job_type: str) -> int:
        """How many messages of the type are out."""
        return self._of[job_type]

    def published(self, types: Iterable[str]) -> None:
        """One message of each of these types has gone out, or is about to."""
        self._of.update(types)

    def withdrawn(self, types: Iterable[str]) -> None:
        """One message of each of these types did not reach a queue."""
        self._lower(Counter(types))

    def claimed(self, counts: Mapping[str, int]) -> None:
        """So many of each type were claimed."""
        self._lower(counts)
        self._answered.update(counts)

    def counted(self, counts: Mapping[str, int]) -> None:
        """The rows say so."""
        self._answered.update(job_type for job_type, count in self._of.items() if counts.get(job_type, 0) < count)
        self._of = Counter(counts)
        self._counted_at = time.monotonic()

    def to_count(self, *, full: bool) -> bool:
        """Whether the rows should be counted now, while something waits. `full`: a type of it has no room."""
        return time.monotonic() - self._counted_at >= self._count_every[0 if full else 1]

    def take_answered(self) -> set[str]:
        """The types of which a message was answered since the last call."""
        answered, self._answered = self._answered, set()
        return answered

    def _lower(self, counts: Mapping[str, int]) -> None:
        for job_type, count in counts.items():
            left = self._of[job_type] - count
            if left > 0:
                self._of[job_type] = left
            else:
                del self._of[job_type]
