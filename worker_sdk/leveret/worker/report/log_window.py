"""Which log records of an attempt are kept when there are too many: the first ones, and the latest, where the error is."""

from __future__ import annotations

import threading
from collections import deque
from datetime import UTC, datetime
from typing import Any, NamedTuple

from leveret.context import Level

TAIL_BYTES = 1024 * 1024
"""Bytes that the latest records of one attempt may take in memory, about."""


class Record(NamedTuple):
    """One log record of a handler."""

    level: Level
    message: str
    fields: dict[str, Any] | None
    at: datetime


class LogWindow:
    """Lets the first half of the records pass at once, and holds the latest of the others until the attempt ends.

    Safe to use from any thread.

    Args:
        limit: records of one attempt, at most; one more stands for those that are left out. None for all of them.
    """

    def __init__(self, limit: int | None) -> None:
        self._passes = limit if limit is None else limit - limit // 2
        self._first = self._passes
        self._latest: deque[Record] = deque()
        self._held = 0 if limit is None else limit // 2
        self._bytes = 0
        self._left_out = 0
        self._lock = threading.Lock()

    def passes(self, record: Record) -> bool:
        """Whether `record` is one of the first, to be sent now; otherwise it is held."""
        with self._lock:
            if self._passes is None:
                return True
            if self._passes:
                self._passes -= 1
                return True
            self._latest.append(record)
            self._bytes += _size(record)
            while len(self._latest) > self._held or (self._bytes > TAIL_BYTES and len(self._latest) > 1):
                self._bytes -= _size(self._latest.popleft())
                self._left_out += 1
            return False

    def rest(self) -> list[Record]:
        """At the end of the attempt: what was held, after a record that stands for what is left out."""
        with self._lock:
            latest, left_out = list(self._latest), self._left_out
            self._latest.clear()
        if left_out:
            message = (
                f"{left_out:,} log records are left out here: of an attempt that writes so many, the first {self._first:,}"
                f" and the latest {len(latest):,} are kept"
            )
            at = latest[0].at if latest else datetime.now(UTC)
            latest.insert(0, Record("warning", message, {"left_out": left_out}, at))
        return latest


def _size(record: Record) -> int:
    return 200 + len(record.message) + (200 * len(record.fields) if record.fields else 0)
