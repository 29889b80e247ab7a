"""One run of a handler: its task, its timeout, its interruption, its end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Literal

import msgspec

from leveret.config import WorkerConfig
from leveret.context import JobContext
from leveret.registry import Handler
from leveret.worker.report.reporter import Ending
from leveret.worker.run.invocation import invoke
from leveret_core.messages import JobError

if TYPE_CHECKING:
    from leveret.worker.run.child_process import Child

log = logging.getLogger(__name__)

StopReason = Literal["timed_out", "cancelled", "released", "lost"]
"""Why a run is interrupted: by its timeout, by a cancel, because the worker ends, or because the lease is over."""


class Run:
    """A granted attempt in a task of its own.

    Args:
        handler: what runs.
        context: of the attempt; its `timeout` in seconds, None for no limit.
        payload: a JSON object.
        executor: for handlers that run in a thread or a process; None for the event loop's own.
        config: the worker's.
        on_end: called once with how it ended, at the latest `stop_grace` after its interruption. After `stop("lost")` the
            end is not told.
        on_free: called once with the seconds it took, when the handler has really ended and its slot is free.
    """

    __slots__ = (
        "_child",
        "_config",
        "_entered",
        "_executor",
        "_handler",
        "_on_end",
        "_on_free",
        "_payload",
        "_task",
        "_timer",
        "context",
        "freed",
        "reason",
        "reported",
        "started",
        "stuck",
    )

    def __init__(
        self,
        handler: Handler,
        context: JobContext,
        payload: msgspec.Raw,
        executor: Executor | None,
        config: WorkerConfig,
        *,
        on_end: Callable[[Ending, float], None],
        on_free: Callable[[float], None],
    ) -> None:
        self.context = context
        self.reason: StopReason | None = None
        self.stuck = False
        """Whether it was reported as over although its handler still runs."""
        self.reported = False
        """Whether its end was told, or is not to be told."""
        self.freed = False
        """Whether its handler has really ended."""
        self.started = time.monotonic()
        self._handler = handler
        self._payload = payload
        self._child: Child | None = None
        self._executor = executor
        self._config = config
        self._on_end = on_end
        self._on_free = on_free
        self._entered = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        loop = asyncio.get_running_loop()
        if self.context.timeout is not None:
            self._timer = loop.call_later(self.context.timeout, self.stop, "timed_out")
        self._task = loop.create_task(self._main())

    def stop(self, reason: StopReason) -> None:
        """Interrupt it: an async handler gets `CancelledError`, the others see `ctx.cancelled`.

        Of two reasons the first stands, except that a lost lease overrides all.
        """
        if reason == "lost":
            self.reported = True
        if self.reason is not None:
            return
        self.reason = reason
        self.context._cancelled = True  # pyright: ignore[reportPrivateUsage]
        self._clear_timer()
        self._timer = asyncio.get_running_loop().call_later(self._config.stop_grace, self._give_up)
        if self._handler.kind == "async" and self._entered and self._task is not None:
            self._task.cancel()
        elif self._child is not None:
            self._child.interrupt()

    async def _main(self) -> None:
        self._entered = True
        ending = Ending("released")
        try:
            if self.reason is None:
                ending = await self._invoke()
        except asyncio.CancelledError:
            # By `stop`; or by the end of the whole event loop, when nothing is left to hear of it.
            ending = Ending("released")
        finally:
            duration = time.monotonic() - self.started
            self._clear_timer()
            self._report(ending, duration)
            self.freed = True
            self._on_free(duration)

    async def _invoke(self) -> Ending:
        handler, limit = self._handler, self._config.result_limit
        if handler.kind != "process":
            return await invoke(handler, self.context, self._payload, self._executor, limit)
        from leveret.worker.run.child_process import Child  # most workers never need multiprocessing

        self._child = Child(handler, self.context, bytes(self._payload), self._config)
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._child.run)

    def _give_up(self) -> None:
        self._timer = None
        if self._child is not None:
            self._child.kill()
            return
        self.stuck = True
        duration = time.monotonic() - self.started
        log.warning(
            "%s ignores its interruption (%s) for %.0f s; its slot stays taken until it ends",
            self._handler.name,
            self.reason,
            self._config.stop_grace,
        )
        self._report(Ending("released"), duration)
        if self._handler.kind == "async" and self._task is not None:
            self._task.cancel()

    def _report(self, ending: Ending, duration: float) -> None:
        if self.reported:
            return
        self.reported = True
        self._on_end(ending if self.reason is None else _interrupted(self.reason, self.context.timeout), duration)

    def _clear_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _interrupted(reason: StopReason, timeout: float | None) -> Ending:
    match reason:
        case "timed_out":
            error = JobError(type="TimeoutError", message=f"did not end within its timeout of {timeout:g} s")
            return Ending("timed_out", error=error)
        case "cancelled":
            return Ending("cancelled")
        case _:
            return Ending("released")
