"""A worker in the environment: it runs what the server tells it of, on the virtual loop, as a real one does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import UNSET

from leveret.config import WorkerConfig
from leveret.context import JobContext
from leveret.errors import InvalidInput, WrongPayload
from leveret.registry import Handler
from leveret.testing.clock import Clock
from leveret.testing.records import Attempt, LogLine, Occurrence
from leveret.testing.virtual_loop import VirtualLoop
from leveret.worker.report.reporter import Ending, Reporter
from leveret.worker.run.lifespans import Lifespans
from leveret.worker.run.log_capture import LogCapture
from leveret.worker.run.runner import Run
from leveret_core.messages import Checkpoint, Event, Log, Progress
from leveret_core.patterns import matches
from leveret_core.states import State


class VirtualContext(JobContext):
    """A context whose `remaining` and `deadline` go by the environment's clock."""

    __slots__ = ("_clock", "_ends_at")

    def on(self, clock: Clock) -> VirtualContext:
        """Begin now."""
        self._clock = clock
        self._ends_at = None if self.timeout is None else clock.now + timedelta(seconds=self.timeout)
        return self

    @property
    def remaining(self) -> float | None:
        """As ever, but by the environment's clock."""
        return None if self._ends_at is None else max(0.0, (self._ends_at - self._clock.now).total_seconds())

    @property
    def deadline(self) -> datetime | None:
        """As ever, but by the environment's clock."""
        return self._ends_at


class Worker:
    """Runs handlers within their limits.

    Args:
        handlers: as a worker process would serve them.
        finished: called with (occurrence, ending, result as it comes back from JSON).
        freed: called when a place has become free.
        last_success_of: what the latest success of a job before an occurrence was scheduled for.
    """

    def __init__(
        self,
        handlers: Sequence[Handler],
        config: WorkerConfig,
        clock: Clock,
        *,
        finished: Callable[[Occurrence, Ending, object], None],
        freed: Callable[[], None],
        last_success_of: Callable[[Occurrence], datetime | None],
    ) -> None:
        self.logs: list[LogLine] = []
        self.closing = False
        """Whether it takes nothing more."""
        self.loop: VirtualLoop | None = None
        self.executor: Executor | None = None
        self.lifespans = Lifespans.of(handlers)
        self.capture = LogCapture(config.redact, printed=config.capture_print)
        self._handlers = [_in_thread(handler) for handler in handlers]
        self._config = config
        self._clock = clock
        self._finished = finished
        self._freed = freed
        self._last_success_of = last_success_of
        self._running: dict[Handler, int] = dict.fromkeys(self._handlers, 0)
        self._runs: dict[int, tuple[Occurrence, Run]] = {}
        """Occurrence → its run, until the worker has told how it ended."""

    @property
    def busy(self) -> bool:
        """Whether a handler runs, stuck ones included."""
        return any(self._running.values())

    def serves(self, job_type: str) -> bool:
        """Whether a handler fits the type."""
        return any(matches(handler.pattern, job_type) for handler in self._handlers)

    def check_payload(self, job_type: str, payload: dict[str, Any]) -> None:
        """Refuse a payload that no handler of the type takes, as servers do that know the handlers.

        Raises:
            InvalidInput: names the field at fault.
        """
        serving = [handler for handler in self._handlers if matches(handler.pattern, job_type)]
        refused: list[str] = []
        for handler in serving:
            if handler.parameters.schema is None:
                return
            try:
                handler.parameters.check(msgspec.json.encode(payload))
            except WrongPayload as error:
                refused.append(f"{error} (the handler is {handler.name})")
            else:
                return
        if refused:
            raise InvalidInput.at("", refused[0])

    def begin(self, told: Sequence[Occurrence]) -> None:
        """Begin of `told` what has a handler with a free place."""
        for occurrence in () if self.closing else told:
            if self._config.concurrency is not None and sum(self._running.values()) >= self._config.concurrency:
                return
            for handler in self._handlers:
                if self._running[handler] < handler.concurrency and matches(handler.pattern, occurrence.type):
                    self._start(occurrence, handler)
                    break

    def interrupt(self, occurrence: Occurrence) -> None:
        """Its run has to stop."""
        if occurrence.id in self._runs:
            self._runs[occurrence.id][1].stop("cancelled")

    def stop(self) -> None:
        """Interrupt all that runs; the server does not hear how it ended."""
        for _, run in list(self._runs.values()):
            run.stop("lost")
        self._runs.clear()
        assert self.loop is not None, "the environment is open"
        self.loop.wake()

    def die(self, lease: float) -> None:
        """What runs is lost; the servers know it when the lease is over."""
        for occurrence, _ in self._runs.values():
            occurrence.lost_at = self._clock.after(lease)
        self.stop()

    def _start(self, occurrence: Occurrence, handler: Handler) -> None:
        assert self.loop is not None, "the environment is open"
        attempt = Attempt(len(occurrence.attempts) + 1, self._clock.now)
        occurrence.attempts.append(attempt)
        occurrence.state, occurrence.reason, occurrence.error, occurrence.progress = State.RUNNING, None, None, None
        reporter = Reporter(
            lambda event: self._said(occurrence, event),
            self._later,
            occurrence=occurrence.id,
            attempt=attempt.number,
            token="",
            log_limit=self._config.log_limit,
            capture=self.capture,
        )
        context = VirtualContext(
            reporter,
            job=occurrence.job,
            type=occurrence.type,
            scheduled_for=occurrence.scheduled_for,
            max_attempts=occurrence.retry.max_attempts,
            worker="test",
            timeout=occurrence.timeout if occurrence.timeout is not None else handler.timeout,
            checkpoint=occurrence.checkpoint,
            last_success_at=self._last_success_of(occurrence) if handler.last_success else UNSET,
            state=self.lifespans.state,
        ).on(self._clock)

        def end(ending: Ending, duration: float) -> None:
            reporter.close(ending, duration)
            del self._runs[occurrence.id]
            self._finished(occurrence, ending, msgspec.json.decode(ending.result))
            self._freed()

        def free(duration: float) -> None:
            self._running[handler] -= 1
            self._freed()

        payload = msgspec.Raw(msgspec.json.encode(occurrence.payload))
        run = Run(handler, context, payload, self.executor, self._config, on_end=end, on_free=free)
        self._running[handler] += 1
        self._runs[occurrence.id] = (occurrence, run)
        run.start()

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        assert self.loop is not None, "something runs"
        self.loop.call_soon_threadsafe(self.loop.call_later, seconds, call)

    def _said(self, occurrence: Occurrence, event: Event) -> None:
        if isinstance(event, Log):
            fields = event.fields or {}
            self.logs.append(
                LogLine(self._clock.now, occurrence.job, occurrence.id, event.attempt, event.level, event.message, fields)
            )
        elif isinstance(event, Progress):
            occurrence.progress = (event.fraction, event.message)
        elif isinstance(event, Checkpoint):
            occurrence.checkpoint = msgspec.json.decode(event.data)


def _in_thread(handler: Handler) -> Handler:
    """The handler itself; one for a process of its own runs in a thread, where debuggers and monkeypatches reach it."""
    if not handler.process:
        return handler
    return replace(handler, process=False)
