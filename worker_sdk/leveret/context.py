"""What a handler can know about, and say about, the attempt it runs."""

from __future__ import annotations

import logging
import time
from collections.abc import MutableMapping
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

from leveret._reporter import Reporter
from leveret.errors import NoJobRunning

JOB_LOGGER = "leveret.job"
"""The logger behind `JobContext.log`."""

running: ContextVar[JobContext] = ContextVar("leveret.running")


class JobLog(logging.LoggerAdapter[logging.Logger]):
    """A logger that adds the attempt's ids to what a record says itself in `extra`."""

    def process(self, msg: object, kwargs: MutableMapping[str, Any]) -> tuple[object, MutableMapping[str, Any]]:
        """Both sets of fields."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


class JobContext:
    """The attempt that is running: a parameter annotated with this type receives it, and `current()` returns it.

    Attributes:
        occurrence: id of the occurrence; the same in every attempt, so it serves as an idempotency key.
        attempt: 1 for the first attempt.
        max_attempts: attempts the job allows in all.
        job: name of the job.
        type: its type, the routing key, such as `sendemail.welcome`.
        scheduled_for: when the occurrence was due, UTC. It stays the same in every attempt.
        worker: id of this worker incarnation.
        timeout: seconds the attempt may take, or None.
    """

    __slots__ = (
        "_cancelled",
        "_log",
        "_reporter",
        "_started",
        "attempt",
        "job",
        "max_attempts",
        "occurrence",
        "scheduled_for",
        "timeout",
        "type",
        "worker",
    )

    def __init__(
        self,
        reporter: Reporter,
        *,
        job: str,
        type: str,
        scheduled_for: datetime,
        max_attempts: int = 1,
        worker: str = "",
        timeout: float | None = None,
    ) -> None:
        self.occurrence = reporter.occurrence
        self.attempt = reporter.attempt
        self.max_attempts = max_attempts
        self.job = job
        self.type = type
        self.scheduled_for = scheduled_for
        self.worker = worker
        self.timeout = timeout
        self._reporter = reporter
        self._cancelled = False
        self._started = time.monotonic()
        self._log: JobLog | None = None

    @property
    def log(self) -> JobLog:
        """A logger whose records are kept with the attempt, as are those of any other logger used by the handler."""
        if self._log is None:
            extra = {"job": self.job, "occurrence": self.occurrence, "attempt": self.attempt}
            self._log = JobLog(logging.getLogger(JOB_LOGGER), extra)
        return self._log

    @property
    def cancelled(self) -> bool:
        """Whether the attempt should stop: cancelled, timed out, or the worker is ending. Safe to read from any thread.

        Async handlers are interrupted with `asyncio.CancelledError` anyway; functions that run in a thread or a process
        should look here between the steps of long work.
        """
        return self._cancelled

    @property
    def remaining(self) -> float | None:
        """Seconds until the timeout, not below 0; None when there is none."""
        return None if self.timeout is None else max(0.0, self._started + self.timeout - time.monotonic())

    @property
    def deadline(self) -> datetime | None:
        """When the timeout will come, UTC by the worker's clock; None when there is none."""
        remaining = self.remaining
        return None if remaining is None else datetime.now(UTC) + timedelta(seconds=remaining)

    def progress(self, fraction: float, message: str = "") -> None:
        """Show how far the attempt is, from any thread. Cheap: at most ten reports a second are sent.

        Args:
            fraction: from 0 to 1; what lies outside is moved to the nearer end.
            message: a few words shown beside it. Default: empty.

        Raises:
            ValueError: `fraction` is NaN.
        """
        self._reporter.progress(fraction, message)

    def __repr__(self) -> str:
        return f"<JobContext {self.job} {self.type} occurrence={self.occurrence} attempt={self.attempt}>"


def current() -> JobContext:
    """The attempt in which this code runs, also in functions that the handler calls and tasks that it starts.

    Raises:
        NoJobRunning: called outside of a handler.
    """
    try:
        return running.get()
    except LookupError:
        raise NoJobRunning("leveret.current() works in a handler and in what it calls") from None
