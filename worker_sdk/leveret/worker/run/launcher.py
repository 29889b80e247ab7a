"""Makes a run of a granted attempt: its reporter, its context, the thread or process of its handler."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

import msgspec
from msgspec import UNSET

from leveret.config import WorkerConfig
from leveret.context import JobContext
from leveret.registry import Handler
from leveret.worker.report.events import EventBuffer
from leveret.worker.report.reporter import Ending, Reporter
from leveret.worker.run.lifespans import Lifespans
from leveret.worker.run.log_capture import LogCapture
from leveret.worker.run.runner import Run
from leveret_core.messages import Answer


class Launcher:
    """What the runs of one worker share.

    Args:
        config: the worker's.
        events: where log records and progress go.
        lifespans: what handlers share.
        capture: takes their log records.
    """

    def __init__(self, config: WorkerConfig, events: EventBuffer, lifespans: Lifespans, capture: LogCapture) -> None:
        self._config = config
        self._events = events
        self._lifespans = lifespans
        self._capture = capture
        self._executor: ThreadPoolExecutor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self, handlers: Sequence[Handler], limit: int) -> None:
        """Prepare threads and processes for at most `limit` runs at once; called on the event loop."""
        self._loop = asyncio.get_running_loop()
        threads = sum(min(handler.concurrency, limit) for handler in handlers if handler.kind != "async")
        if threads:
            self._executor = ThreadPoolExecutor(min(threads, limit), "leveret-job")
        if any(handler.kind == "process" for handler in handlers):
            from leveret.worker.run.child_process import prepare  # most workers never need multiprocessing

            prepare(handlers)

    def close(self) -> None:
        """End the threads; those that are stuck end with the process."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    def launch(
        self,
        handler: Handler,
        answer: Answer,
        worker: str,
        *,
        on_end: Callable[[Reporter, Ending, float], None],
        on_free: Callable[[float], None],
    ) -> Run:
        """The run of an attempt, not started yet.

        Args:
            answer: the claim desk's.
            worker: the incarnation that the claim was granted to.
            on_end: called with the attempt's reporter and what `Run` tells.
            on_free: as of `Run`.
        """
        reporter = Reporter(
            partial(self._events.add, worker),
            self._later,
            occurrence=answer.occurrence,
            attempt=answer.attempt,
            token=answer.token,
            log_limit=self._config.log_limit,
            capture=self._capture,
        )
        context = JobContext(
            reporter,
            job=answer.job,
            type=answer.type,
            scheduled_for=answer.scheduled_for or datetime.now(UTC),
            max_attempts=answer.max_attempts,
            worker=worker,
            timeout=answer.timeout if answer.timeout is not None else handler.timeout,
            checkpoint=None if answer.checkpoint is UNSET else msgspec.json.decode(answer.checkpoint),
            last_success_at=answer.last_success_at if handler.last_success else UNSET,
            state=self._lifespans.state,
        )
        end = partial(on_end, reporter)
        return Run(handler, context, answer.payload, self._executor, self._config, on_end=end, on_free=on_free)

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        assert self._loop is not None, "open() comes first"
        self._loop.call_soon_threadsafe(self._loop.call_later, seconds, call)
