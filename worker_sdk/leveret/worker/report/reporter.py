"""What one attempt says about itself: numbered log, progress, checkpoint and finished events."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from leveret.context import Level
from leveret.worker.report.log_window import LogWindow, Record
from leveret.worker.report.stored import stored
from leveret.worker.report.text import clean
from leveret_core.messages import MAX_CHECKPOINT, Checkpoint, Event, Finished, JobError, Log, Progress

MESSAGE_LIMIT = 8_192
"""Characters of one log message; longer ones lose their middle."""
LINE_LIMIT = 65_536
"""Characters that may be printed without the end of a line."""
PROGRESS_INTERVAL = 0.1
"""Seconds in which several reports of progress become one, and several checkpoints."""

_NULL = msgspec.Raw(b"null")


class Ending(msgspec.Struct):
    """How an attempt ended, before it is sent: the fields of `Finished` that the handler decides."""

    outcome: Literal["succeeded", "failed", "timed_out", "cancelled", "released", "skipped", "snoozed"]
    result: msgspec.Raw = _NULL
    error: JobError | None = None
    retry: bool = True
    retry_after: float | None = None
    max_snoozes: int | UnsetType = UNSET


class Reporter:
    """Numbers the events of one attempt, logs apart from the rest, and passes them on. Safe to use from any thread.

    Args:
        sink: takes every event; called from the thread that reports, so it must be safe from any.
        later: calls a function after some seconds, from any thread; gathers progress and checkpoints.
        log_limit: log records passed on, at most: the first ones at once, the latest at the end, and one more that stands for
            those between. None for all.
        capture: whose log records it takes, where several workers of a process capture them; None for those of any.
    """

    __slots__ = (
        "_checkpoint",
        "_later",
        "_lines",
        "_log_seq",
        "_logs",
        "_progress",
        "_seq",
        "_sink",
        "attempt",
        "capture",
        "closed",
        "occurrence",
        "token",
    )

    def __init__(
        self,
        sink: Callable[[Event], None],
        later: Callable[[float, Callable[[], None]], None],
        *,
        occurrence: int,
        attempt: int,
        token: str,
        log_limit: int | None,
        capture: object = None,
    ) -> None:
        self.capture = capture
        self.occurrence = occurrence
        self.attempt = attempt
        self.token = token
        self.closed = False
        self._sink = sink
        self._later = later
        self._logs = LogWindow(log_limit)
        self._log_seq = itertools.count(1)
        self._seq = itertools.count(1)
        self._progress: tuple[float, str] | None = None
        self._checkpoint: msgspec.Raw | None = None
        self._lines: dict[int, str] = {}
        """Thread → what it has printed of a line."""

    def log(self, level: Level, message: str, fields: dict[str, Any] | None = None, at: datetime | None = None) -> None:
        """Report one log record; `at` defaults to now. Ignored once the attempt has been reported as over."""
        if self.closed:
            return
        record = Record(level, clean(message, MESSAGE_LIMIT), fields, at or datetime.now(UTC))
        if self._logs.passes(record):
            self._send(record)

    def printed(self, text: str) -> None:
        """Report the lines of `text` as log records; what follows the last line end waits for its own."""
        thread = threading.get_ident()
        text = self._lines.pop(thread, "") + text
        *lines, rest = text.split("\n") if len(text) < LINE_LIMIT else [*text.split("\n"), ""]
        for line in lines:
            self._print(line)
        if rest:
            self._lines[thread] = rest

    def progress(self, fraction: float, message: str = "") -> None:
        """Report progress; of several reports within `PROGRESS_INTERVAL` the last counts.

        Raises:
            ValueError: `fraction` is not a number.
        """
        if math.isnan(fraction):
            raise ValueError("progress must be a fraction from 0 to 1, not NaN")
        if self.closed:
            return
        armed = self._progress is not None
        self._progress = (min(1.0, max(0.0, float(fraction))), message)
        if not armed:
            self._later(PROGRESS_INTERVAL, self._flush_progress)

    def checkpoint(self, data: object) -> None:
        """Report a checkpoint; of several within `PROGRESS_INTERVAL` the last counts.

        Raises:
            TypeError: it cannot be stored as JSON.
            ValueError: it is too large, or nested too deep.
        """
        encoded = msgspec.Raw(stored(data, "the checkpoint", MAX_CHECKPOINT))
        if self.closed:
            return
        armed = self._checkpoint is not None
        self._checkpoint = encoded
        if not armed:
            self._later(PROGRESS_INTERVAL, self._flush_checkpoint)

    def close(self, ending: Ending, duration: float) -> Finished:
        """The last event of the attempt, to be sent by the caller. Whatever is reported later is ignored."""
        self._flush_progress()
        self._flush_checkpoint()
        for rest in list(self._lines.values()):
            self._print(rest)
        for record in self._logs.rest():
            self._send(record)
        self.closed = True
        return Finished(
            occurrence=self.occurrence,
            attempt=self.attempt,
            token=self.token,
            seq=next(self._seq),
            outcome=ending.outcome,
            duration=duration,
            result=ending.result,
            error=ending.error,
            retry=ending.retry,
            retry_after=ending.retry_after,
            max_snoozes=ending.max_snoozes,
        )

    def _send(self, record: Record) -> None:
        self._sink(
            Log(
                occurrence=self.occurrence,
                attempt=self.attempt,
                token=self.token,
                seq=next(self._log_seq),
                at=record.at,
                level=record.level,
                message=record.message,
                fields=record.fields,
            )
        )

    def _print(self, line: str) -> None:
        if line := line.rstrip():
            self.log("info", line)

    def _flush_progress(self) -> None:
        latest, self._progress = self._progress, None
        if latest is None or self.closed:
            return
        self._sink(
            Progress(
                occurrence=self.occurrence,
                attempt=self.attempt,
                token=self.token,
                seq=next(self._seq),
                fraction=latest[0],
                message=clean(latest[1], MESSAGE_LIMIT),
            )
        )

    def _flush_checkpoint(self) -> None:
        latest, self._checkpoint = self._checkpoint, None
        if latest is None or self.closed:
            return
        self._sink(
            Checkpoint(occurrence=self.occurrence, attempt=self.attempt, token=self.token, seq=next(self._seq), data=latest)
        )
