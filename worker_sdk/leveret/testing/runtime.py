"""The parts of an environment put together: server, worker, clock, and the loop that they share."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from leveret.config import WorkerConfig
from leveret.errors import LeveretError
from leveret.registry import Handler
from leveret.testing import sleep
from leveret.testing.clock import Clock
from leveret.testing.records import ServerRules
from leveret.testing.server import Server
from leveret.testing.virtual_loop import VirtualLoop
from leveret.testing.worker import Worker
from leveret_core.job_definition import JobDefinition

MAX_THREADS = 256
LONGEST_WAIT = timedelta(hours=1)
"""For lifespans to begin or end."""

T = TypeVar("T")


class Runtime:
    """Server and worker on one clock.

    Args:
        handlers: what the worker serves.
        clock: where time begins.
        config: of the worker.
        rules: of the server.
        rng: what the delays of retries are drawn from.
        patience: as `VirtualLoop` says.
        declared: jobs to define at the beginning.
    """

    def __init__(
        self,
        handlers: Sequence[Handler],
        clock: Clock,
        *,
        config: WorkerConfig,
        rules: ServerRules,
        rng: random.Random,
        patience: float,
        declared: Sequence[JobDefinition],
    ) -> None:
        self._declared = declared
        self.clock = clock
        self.rules = rules
        self.worker: Worker = Worker(
            handlers,
            config,
            clock,
            finished=lambda occurrence, ending, result: self.server.settlement.finish(occurrence, ending, result),
            freed=self._look_again,
            last_success_of=lambda occurrence: self.server.last_success_of(occurrence),
        )
        self.server: Server = Server(clock, rules, rng, self.worker.interrupt)
        self._config = config
        self._patience = patience
        self._threads_limit = min(MAX_THREADS, max(32, sum(handler.concurrency for handler in handlers)))
        self._threads: sleep.SleepingThreads | None = None
        self._loop: VirtualLoop | None = None
        self._opened = False
        self._thread = 0
        self._serving = False
        """Whether the lifespans have begun and have not ended."""

    def open(self) -> None:
        """Begin, with the lifespans of the handlers and the jobs that are declared with them.

        Raises:
            LeveretError: it was open before.
            LifespanError: a lifespan did not start.
            InvalidInput: a declared job is wrong.
        """
        if self._opened:
            raise LeveretError("an environment is opened once; make another one")
        self._opened = True
        self._thread = threading.get_ident()
        loop = self._loop = self.worker.loop = VirtualLoop(
            self.clock,
            next_due=self.server.next_due,
            tick=self._tick,
            working=lambda: self.worker.busy or not self._serving,
            patience=self._patience,
        )
        self._threads = self.worker.executor = sleep.SleepingThreads(loop, self._threads_limit)
        loop.set_default_executor(self._threads)
        sleep.install()
        try:
            self._wait_for(self.worker.lifespans.enter())
            self._serving = True
            for definition in self._declared:
                self.do(partial(self.server.define, definition))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Interrupt what runs, leave the lifespans, and end."""
        loop, threads = self._of_open(), self._threads
        assert threads is not None
        self.server.dispatching, self.worker.closing = False, True
        try:
            self.do(self.worker.stop)
            self._serving = False
            self._wait_for(self.worker.lifespans.leave())
            self._loop = None
            loop.finish()
        finally:
            self._loop = None
            threads.shutdown(wait=False, cancel_futures=True)
            sleep.remove()

    def do(self, act: Callable[[], T]) -> T:
        """Call `act` on the loop, and let everything happen that follows from it at this moment."""
        loop = self._of_open()
        done: Future[T] = Future()

        def call() -> None:
            try:
                done.set_result(act())
            except Exception as error:
                done.set_exception(error)

        if not loop.is_running():
            loop.call_soon(call)
            self.run(self.clock.now)
        elif threading.get_ident() == self._thread:  # a handler calls
            loop.call_soon(self._tick)
            call()
        else:  # a handler in a thread
            loop.call_soon_threadsafe(call)
            loop.call_soon_threadsafe(self._tick)
        return done.result()

    def run(self, target: datetime, enough: Callable[[], bool] = lambda: False) -> None:
        """Let time pass until `target`, or until it is `enough`.

        Raises:
            LeveretError: a handler asks for it.
        """
        loop = self._of_open()
        if loop.is_running():
            raise LeveretError("a handler cannot move the clock; it can sleep")
        self.worker.capture.install(self._config.log_level, lower=True)
        try:
            loop.run_until(target, enough)
        finally:
            self.worker.capture.remove()

    def _wait_for(self, work: Coroutine[Any, Any, None]) -> None:
        """Let time pass until `work` is done."""
        task = self._of_open().create_task(work)
        self.run(self.clock.now + LONGEST_WAIT, task.done)
        if not task.done():
            raise LeveretError(f"the lifespans need more than {LONGEST_WAIT}")
        task.result()

    def _of_open(self) -> VirtualLoop:
        if self._loop is None:
            raise LeveretError("the environment is not open: write `with Environment(...) as env:`")
        return self._loop

    def _tick(self) -> None:
        self.server.tick()
        self.worker.begin(self.server.told())

    def _look_again(self) -> None:
        if self._loop is not None:
            self._loop.call_soon(self._tick)
