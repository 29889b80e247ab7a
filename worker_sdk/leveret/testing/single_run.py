"""One run of one handler, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from leveret.config import WorkerConfig
from leveret.context import JobContext, State
from leveret.registry import Handler, default_registry
from leveret.worker.report.reporter import Ending, Reporter
from leveret.worker.run.log_capture import LogCapture
from leveret.worker.run.runner import Run
from leveret_core.messages import Checkpoint, Event, JobError, Log, Progress

__all__ = ["JobDone", "run_job"]


@dataclass(frozen=True)
class JobDone:
    """How an attempt ended.

    Attributes:
        outcome: `succeeded`, `failed`, `timed_out`, `cancelled`, `skipped` or `snoozed`.
        result: what the handler returned, as it comes back from JSON; None unless it succeeded.
        error: type, message and traceback of what went wrong.
        retry: whether the job's retry policy applies; only of interest after `failed` and `timed_out`.
        retry_after: seconds that the handler asked to wait, if it did.
        checkpoint: what it saved last; None if nothing.
        logs: the records it wrote, from `info` on.
        progress: what it reported, as (fraction, message); of several reports within 0.1 s the last.
    """

    outcome: Literal["succeeded", "failed", "timed_out", "cancelled", "released", "skipped", "snoozed"]
    result: Any = None
    error: JobError | None = None
    retry: bool = True
    retry_after: float | None = None
    checkpoint: Any = None
    logs: list[Log] = field(default_factory=list[Log])
    progress: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])


async def run_job(
    function: Callable[..., Any],
    payload: object = None,
    *,
    job: str = "test",
    type: str | None = None,
    occurrence: int = 1,
    attempt: int = 1,
    max_attempts: int = 1,
    scheduled_for: datetime | None = None,
    timeout: float | None = None,
    state: Sequence[object] = (),
    checkpoint: object = None,
    last_success_at: datetime | None = None,
    cancel_after: float | None = None,
    config: WorkerConfig | None = None,
) -> JobDone:
    """Run a handler once, as a worker would: payload conversion, context, timeout, result and errors included.

    A handler with `process=True` runs in a thread here, where a debugger and monkeypatching reach it.

    Args:
        function: the function under `@job`; a plain one is taken as a handler with all defaults.
        payload: anything JSON can hold, or a Struct or dataclass. Default: an empty object.
        job, type, occurrence, attempt, max_attempts, scheduled_for: what the handler sees in its context. Defaults: a
            first and only attempt, due now, of a type that fits the handler's pattern.
        timeout: seconds; default: the handler's.
        state: what `ctx.state` holds, instead of what lifespans yield: `state=[Resources(...)]`.
        checkpoint: what an earlier attempt saved. Default: nothing.
        last_success_at: for a handler that asks for it. Default: there was no success before.
        cancel_after: seconds after which the attempt is cancelled. Default: never.
        config: the worker's, for `stop_grace` and the limits.

    Raises:
        InvalidInput: `function` cannot be a handler.
    """
    found = default_registry.of(function) or Handler(function, "test.job")
    handler = Handler(function, found.pattern, found.concurrency, found.timeout)
    config = config or WorkerConfig()
    events: list[Event] = []
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Ending] = loop.create_future()

    def later(seconds: float, call: Callable[[], None]) -> None:
        loop.call_soon_threadsafe(lambda: loop.call_later(seconds, call))

    reporter = Reporter(
        events.append,
        later,
        occurrence=occurrence,
        attempt=attempt,
        token="",
        log_limit=config.log_limit,
    )
    context = JobContext(
        reporter,
        job=job,
        type=type or handler.pattern.replace("*", "test").replace("#", "test"),
        scheduled_for=scheduled_for or datetime.now(UTC),
        max_attempts=max_attempts,
        worker="test",
        timeout=timeout if timeout is not None else handler.timeout,
        state=State(state, "give it to run_job(..., state=[...])"),
        checkpoint=None if checkpoint is None else msgspec.json.decode(msgspec.json.encode(checkpoint)),
        last_success_at=last_success_at if found.last_success else UNSET,
    )
    encoded = msgspec.Raw(msgspec.json.encode({} if payload is None else payload))

    def end(ending: Ending, duration: float) -> None:
        reporter.close(ending, duration)
        ended.set_result(ending)

    run = Run(handler, context, encoded, None, config, on_end=end, on_free=lambda _: None)
    capture = LogCapture(config.redact, printed=config.capture_print)
    capture.install(config.log_level, lower=True)  # as in a worker, whose root logger has its level
    try:
        run.start()
        if cancel_after is not None:
            loop.call_later(cancel_after, run.stop, "cancelled")
        ending = await ended
    finally:
        capture.remove()
    return JobDone(
        outcome=ending.outcome,
        result=msgspec.json.decode(ending.result),
        error=ending.error,
        retry=ending.retry,
        retry_after=ending.retry_after,
        checkpoint=next((msgspec.json.decode(each.data) for each in reversed(events) if isinstance(each, Checkpoint)), None),
        logs=[event for event in events if isinstance(event, Log)],
        progress=[(event.fraction, event.message) for event in events if isinstance(event, Progress)],
    )
