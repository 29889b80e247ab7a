"""Many hints as one message."""

from __future__ import annotations

from collections import Counter
from typing import Any

from leveret_core.hints import MAX_IDS, Hint


class Pending:
    """What changed since the last message: bounded, however many hints come."""

    def __init__(self) -> None:
        self._all_jobs = False
        self._jobs: set[int] = set()
        self._occurrences: set[int] = set()
        self._overflow = False
        self._workers = False
        self._dispatcher = False
        self.logs: set[int] = set()
        """Watched occurrences that have new log records."""

    def add(self, hint: Hint, watched: Counter[int]) -> None:
        """Take a hint in. `watched` holds the occurrences whose logs a client watches."""
        everything = hint.topic == "resync"
        if everything or hint.topic == "jobs":
            self._jobs.update(hint.ids)
            self._all_jobs |= not hint.ids or len(self._jobs) > MAX_IDS
        if everything or hint.topic == "occurrences":
            self._occurrences.update(hint.ids)
            self._overflow |= not hint.ids or len(self._occurrences) > MAX_IDS
        if everything or hint.topic == "logs":
            self.logs |= watched.keys() & hint.ids if hint.ids else watched.keys()
        self._workers |= everything or hint.topic == "workers"
        self._dispatcher |= everything or hint.topic == "term"
        if self._all_jobs:
            self._jobs.clear()
        if self._overflow:
            self._occurrences.clear()

    @property
    def anything_changed(self) -> bool:
        """Whether a `changed` message is due."""
        return bool(self._all_jobs or self._jobs or self._occurrences or self._overflow or self._workers or self._dispatcher)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to tell clients."""
        return not self.anything_changed and not self.logs

    def body(self) -> dict[str, Any]:
        """The content of a `changed` message."""
        return {
            "jobs": True if self._all_jobs else sorted(self._jobs) or False,
            "occurrences": sorted(self._occurrences),
            "workers": self._workers,
            "dispatcher": self._dispatcher,
            "overflow": self._overflow,
        }
