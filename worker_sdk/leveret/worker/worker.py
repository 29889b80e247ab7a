"""A worker: takes doorbells, claims what they ring for, runs it, and tells how it ended."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from leveret.config import WorkerConfig
from leveret.errors import ConfigurationError
from leveret.registry import Handler
from leveret.worker.attempts import Attempts
from leveret.worker.intake.heartbeat import Condition, Pulse
from leveret.worker.intake.membership import Membership
from leveret.worker.intake.slots import Lanes
from leveret.worker.run.lifespans import Lifespans
from leveret.worker.run.log_capture import LogCapture
from leveret.worker.run.runner import Run
from leveret_core.broker.base import WorkerBroker
from leveret_core.messages import Ask, Cancel, Control

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds a doorbell may wait unclaimed for a slot of this worker, about; then others get it."""
FLUSH_TIMEOUT = 10.0
"""Seconds the last events may take to be confirmed when the worker ends."""


class Worker:
    """Serves handlers until it is drained. It belongs to the event loop that calls `start`.

    Args:
        handlers: at least one.
        broker: not started yet; started and stopped by the worker.
        heartbeat_broker: makes a second one in the heartbeat's own thread; None to share `broker` on the event loop, for
            a broker inside this process.
        config: default: all defaults.

    Raises:
        ConfigurationError: no handlers.
    """

    def __init__(
        self,
        handlers: Sequence[Handler],
        broker: WorkerBroker,
        *,
        heartbeat_broker: Callable[[], WorkerBroker] | None = None,
        config: WorkerConfig | None = None,
    ) -> None:
        if not handlers:
            raise ConfigurationError("no handlers to serve")
        self.config = config or WorkerConfig()
        self.serving = asyncio.Event()
        """Set when the worker has been welcomed and takes doorbells."""
        self._broker = broker
        self._heartbeat_broker = heartbeat_broker
        concurrency = self.config.concurrency or sum(handler.concurrency for handler in handlers)
        declared = [job for handler in handlers for job in handler.jobs]
        self._membership = Membership(broker, [handler.info() for handler in handlers], concurrency, self.config, declared)
        self._attempts = Attempts(
            broker, self._membership, self.config, partial(Lanes, handlers, concurrency), on_lost=self._lose
        )
        self._capture = self._attempts.capture = LogCapture(self.config.redact, printed=self.config.capture_print)
        lifespans = {id(each): each for handler in handlers for each in handler.lifespans}
        self._lifespans = self._attempts.lifespans = Lifespans(list(lifespans.values()))
        self._pulse: Pulse | None = None
        self._executor: ThreadPoolExecutor | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[None] | None = None
        self._draining = False
        self._drain_until = float("inf")

    @property
    def id(self) -> str:
        """The present incarnation's."""
        return self._membership.id

    @property
    def running(self) -> int:
        """Runs under way, stuck ones included."""
        return len(self._attempts.runs)

    @property
    def finished(self) -> int:
        """Runs that have ended, however they did."""
        return self._attempts.finished

    @property
    def stuck(self) -> int:
        """Slots taken by handlers that ignore their interruption."""
        return sum(run.stuck for run in self._attempts.runs)

    async def start(self) -> None:
        """Connect; then, in the background, enter the lifespans, say hello and serve.

        Raises:
            BrokerUnavailable: the broker cannot be reached, or refuses the credentials.
        """
        await self._broker.start()
        self._ended = asyncio.get_running_loop().create_future()
        attempts = self._attempts
        threads = sum(lane.limit for lane in attempts.lanes.all if lane.handler.kind != "async")
        if threads:
            attempts.executor = self._executor = ThreadPoolExecutor(min(threads, attempts.lanes.total.limit), "leveret-job")
        if any(lane.handler.kind == "process" for lane in attempts.lanes.all):
            from leveret.worker.run.child_process import prepare  # most workers never need multiprocessing

            prepare(lane.handler for lane in attempts.lanes.all)
        self._capture.install(self.config.log_level)
        for work in (attempts.settling, attempts.claims, attempts.events):
            self._spawn(work.run())
        self._spawn(self._serve())
        self._spawn(self._sweep())
        self._spawn(self._membership.stay_declared())
        self._pulse = Pulse(
            self._membership,
            self._heartbeat_broker,
            self._broker,
            condition=lambda: Condition(len(attempts.runs), self._draining, attempts.holding()),
            on_cancel=attempts.cancel,
            on_drain=self._told_to_drain,
            on_lost=self._lose,
        )
        self._pulse.start()

    async def wait(self) -> None:
        """Wait until somebody wants the worker drained from afar, or it cannot go on.

        Raises:
            ConfigurationError: the servers refuse this worker, or a job that its code declares.
            LifespanError: a lifespan did not start.
            Exception: whatever broke in it.
        """
        assert self._ended is not None, "start() comes first"
        await asyncio.shield(self._ended)

    async def drain(self, grace: float | None = None) -> None:
        """Take nothing more; let what runs end, interrupt it after `grace` seconds, hand back the rest; say goodbye.

        Args:
            grace: default: the configuration's. A second call returns at once, and can only shorten the time that is left.
        """
        attempts, config = self._attempts, self.config
        self._drain_until = min(self._drain_until, time.monotonic() + (config.grace if grace is None else grace))
        if self._ended is None or self._draining:
            return
        self._draining = True
        log.info("draining: %d running", self.running)
        await self._broker.pause()
        attempts.close()
        await _until(lambda: not attempts.claims.outstanding, min(self._drain_until, time.monotonic() + config.ask_timeout))
        attempts.give_up_asking()
        await _until(lambda: not attempts.runs or time.monotonic() > self._drain_until, float("inf"))
        for run in attempts.runs:
            run.stop("released")
        await _until(lambda: all(run.reported for run in attempts.runs), time.monotonic() + config.stop_grace + 1)
        if not await attempts.events.flush(FLUSH_TIMEOUT):
            log.error("the broker did not confirm the last events; the servers will try again what they tell of")
        await attempts.settling.flush(FLUSH_TIMEOUT)
        if attempts.events.kept:
            # Until the lease ends, the worker that starts here next can still tell of them.
            return
        await self._membership.say_goodbye()

    async def stop(self) -> None:
        """End at once; what still runs is interrupted, and nobody else's until the lease is over. Safe to call twice."""
        if self._ended is None:
            return
        ended, self._ended = self._ended, None
        self._attempts.close()
        self._attempts.abandon()
        await _until(lambda: all(run.stuck for run in self._attempts.runs), time.monotonic() + 1)
        await self._lifespans.leave()
        if self._pulse is not None:
            await self._pulse.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._capture.remove()
        self._attempts.events.close()
        await self._broker.stop()
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
        if not ended.done():
            ended.set_result(None)

    async def _serve(self) -> None:
        await self._lifespans.enter()
        await self._broker.listen(self._hear)
        lanes = self._attempts.lanes
        # Before the hello, which makes servers ring for what waited for such a worker: by then the queues should be there.
        # Doorbells that come earlier still wait for the welcome.
        async with asyncio.TaskGroup() as group:
            for lane in lanes.all:
                group.create_task(self._broker.serve(lane.handler.pattern, lane.limit, partial(self._attempts.ring, lane)))
        await self._membership.join()
        self.serving.set()
        patterns = ", ".join(lane.handler.pattern for lane in lanes.all)
        log.info("worker %s serves %s with %d slots", self.id, patterns, lanes.total.limit)

    def _hear(self, word: Control) -> None:
        if word.worker != self._membership.id:
            return
        if isinstance(word, Cancel):
            self._attempts.cancel([Ask(word.occurrence, word.attempt)])
        else:
            self._told_to_drain()

    def _told_to_drain(self) -> None:
        if self._ended is not None and not self._ended.done() and not self._draining:
            log.info("told to drain")
            self._ended.set_result(None)

    def _lose(self, worker: str, reason: str) -> None:
        """Stop everything that ran under a lease that is over, and begin again as a new incarnation."""
        if worker != self._membership.id or self._ended is None or not self._membership.joined.is_set():
            return
        self._membership.leave()
        stopped = self._attempts.abandon()
        log.error("the lease is over (%s); %d runs are stopped, and left to the servers to try again", reason, len(stopped))
        self._spawn(self._rejoin(stopped))

    async def _rejoin(self, stopped: Sequence[Run]) -> None:
        runs = self._attempts.runs
        patience = time.monotonic() + self.config.stop_grace + 1
        await _until(lambda: all(run.stuck or run not in runs for run in stopped), patience)
        await self._membership.join()
        log.info("back as worker %s", self.id)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._attempts.sweep()
            if not self._draining:
                await self._share()

    async def _share(self) -> None:
        """Leave to other workers what would wait here. It comes when a doorbell is acknowledged before its run has ended, or
        when the slots in all are fewer than those of the handlers.
        """
        lanes = self._attempts.lanes
        for lane in lanes.crowded(time.monotonic() - PATIENCE):
            lane.held_back = True
            await self._broker.hold(lane.handler.pattern)
            self._attempts.give_back(lane)
        for lane in lanes.relieved():
            lane.held_back = False
            await self._broker.resume(lane.handler.pattern)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)


async def _until(met: Callable[[], bool], deadline: float) -> None:
    while not met() and time.monotonic() < deadline:  # noqa: ASYNC110  # many things can make it true
        await asyncio.sleep(0.02)
