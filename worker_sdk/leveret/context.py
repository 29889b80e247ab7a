"""What a handler can know about, and say about, the attempt it runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Generator, MutableMapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol, TypeVar

from msgspec import UNSET, UnsetType

from leveret.errors import LeveretError, NoJobRunning

JOB_LOGGER = "leveret.job"
"""The logger behind `JobContext.log`."""

running: ContextVar[JobContext] = ContextVar("leveret.running")

Level = Literal["debug", "info", "warning", "error", "critical"]
"""Of a log record."""

T = TypeVar("T")


class Reports(Protocol):
    """What a context needs of whatever reports on its attempt; safe to use from any thread."""

    occurrence: int
    attempt: int
    capture: object
    """The log capture whose records it takes; None for any."""

    def log(self, level: Level, message: str, fields: dict[str, Any] | None = None, at: datetime | None = None) -> None:
        """Take a log record."""
        ...

    def printed(self, text: str) -> None:
        """Take printed text."""
        ...

    def progress(self, fraction: float, message: str = "") -> None:
        """Take progress; raises `ValueError` for NaN."""
        ...

    def checkpoint(self, data: object) -> None:
        """Take a checkpoint; raises `TypeError` or `ValueError` when it cannot be stored."""
        ...


class State:
    """What lifespans have yielded, found by type.

    Args:
        made: what there is.
        why: told when something is looked for that is not there.
    """

    __slots__ = ("_made", "_why")

    def __init__(self, made: Sequence[object] = (), why: str = "no lifespan of this worker yields one") -> None:
        self._made = tuple(made)
        self._why = why

    def __getitem__(self, kind: type[T]) -> T:
        """The first of this type.

        Raises:
            LeveretError: there is none.
        """
        for each in self._made:
            if isinstance(each, kind):
                return each
        raise LeveretError(f"ctx.state holds no {kind.__qualname__}: {self._why}")


NO_STATE = State()


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
        checkpoint: what an earlier attempt saved last with `save_checkpoint`, as it comes back from JSON; None if none did. It
            stays as it is while this attempt runs.
        state: what the lifespans of the worker have made, by type: `ctx.state[Resources]`.
    """

    __slots__ = (
        "_cancelled",
        "_last_success_at",
        "_log",
        "_reporter",
        "_started",
        "attempt",
        "checkpoint",
        "job",
        "max_attempts",
        "occurrence",
        "scheduled_for",
        "state",
        "timeout",
        "type",
        "worker",
    )

    def __init__(
        self,
        reporter: Reports,
        *,
        job: str,
        type: str,
        scheduled_for: datetime,
        max_attempts: int = 1,
        worker: str = "",
        timeout: float | None = None,
        checkpoint: Any = None,
        last_success_at: datetime | UnsetType | None = UNSET,
        state: State = NO_STATE,
    ) -> None:
        self.occurrence = reporter.occurrence
        self.attempt = reporter.attempt
        self.max_attempts = max_attempts
        self.job = job
        self.type = type
        self.scheduled_for = scheduled_for
        self.worker = worker
        self.timeout = timeout
        self.checkpoint = checkpoint
        self.state = state
        self._last_success_at = last_success_at
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

    @property
    def last_success_at(self) -> datetime | None:
        """What the latest success of the job before this occurrence was scheduled for, UTC; None when there was none.

        What came up between that and `scheduled_for` is what this occurrence has to look at.

        Raises:
            LeveretError: the handler did not ask for it, with `@job(..., last_success=True)`.
        """
        if self._last_success_at is UNSET:
            raise LeveretError("ctx.last_success_at is only known to handlers that ask for it: @job(..., last_success=True)")
        return self._last_success_at

    def save_checkpoint(self, data: object) -> Awaitable[None]:
        """Keep `data` for the next attempt, should there have to be one: it finds them in `checkpoint`. From any thread.

        Only the latest is kept. It is sent within 0.1 s, and before the end of the attempt; `await` does not wait for that. A
        worker that is killed earlier leaves the one before.

        Args:
            data: what JSON can hold, or a Struct or dataclass; at most 64 KiB of JSON.

        Raises:
            TypeError: it cannot be stored as JSON.
            ValueError: it is too large, or nested too deep.
        """
        self._reporter.checkpoint(data)
        return _SAVED

    def __repr__(self) -> str:
        return f"<JobContext {self.job} {self.type} occurrence={self.occurrence} attempt={self.attempt}>"


class _Saved:
    def __await__(self) -> Generator[None, None, None]:
        yield from ()


_SAVED = _Saved()


def current() -> JobContext:
    """The attempt in which this code runs, also in functions that the handler calls and tasks that it starts.

    Raises:
        NoJobRunning: called outside of a handler.
    """
    try:
        return running.get()
    except LookupError:
        raise NoJobRunning("leveret.current() works in a handler and in what it calls") from None
