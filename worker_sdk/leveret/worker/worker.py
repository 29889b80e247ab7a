"""A worker: its parts, and the order in which they start and end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from leveret.config import WorkerConfig
from leveret.errors import ConfigurationError
from leveret.registry import Handler
from leveret.worker.attempts import Attempts
from leveret.worker.intake.claims import Claims
from leveret.worker.intake.consumers import Consumers
from leveret.worker.intake.heartbeat import HeartbeatSender, WorkerStatus
from leveret.worker.intake.membership import Membership
from leveret.worker.intake.slots import WorkerSlots
from leveret.worker.report.acks import Acks
from leveret.worker.report.events import EventBuffer
from leveret.worker.run.launcher import Launcher
from leveret.worker.run.lifespans import Lifespans
from leveret.worker.run.log_capture import LogCapture
from leveret.worker.run.runner import Run
from leveret_core.broker.base import WorkerBroker
from leveret_core.messages import Ask, Cancel, Control

log = logging.getLogger(__name__)

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
        config = self.config = config or WorkerConfig()
        self.serving = asyncio.Event()
        """Set when the worker has been welcomed and takes dispatch messages."""
        self._handlers = handlers
        self._concurrency = config.concurrency or sum(handler.concurrency for handler in handlers)
        self._broker = broker
        # Report: where ends, logs and progress go.
        self._events = EventBuffer(broker, config)
        self._acks = Acks()
        # Run: what handlers run in.
        self._lifespans = Lifespans.of(handlers)
        self._capture = LogCapture(config.redact, printed=config.capture_print)
        self._launcher = Launcher(config, self._events, self._lifespans, self._capture)
        # Intake: where attempts come from.
        declared = [job for handler in handlers for job in handler.jobs]
        announced = [handler.info() for handler in handlers]
        self._membership = Membership(broker, announced, self._concurrency, config, declared)
        self._slots = WorkerSlots(handlers, self._concurrency)
        self._consumers = Consumers(broker, self._slots)
        self._claims = Claims(broker, self._membership, config, room=self._events.room)
        # The way of each attempt through all three.
        parts = (self._membership, self._slots, self._claims, self._launcher, self._events, self._acks)
        self._attempts = Attempts(*parts, config, on_lost=self._lease_lost)
        self._heartbeats = HeartbeatSender(
            self._membership,
            heartbeat_broker,
            broker,
            status=lambda: WorkerStatus(self.running, self._draining, self._attempts.holding()),
            on_cancel=self._attempts.cancel,
            on_drain=self._drain_asked,
            on_lost=self._lease_lost,
        )
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
        return sum(run.stuck for run in self._attempts.runs.values())

    async def start(self) -> None:
        """Connect; then, in the background, enter the lifespans, say hello and serve.

        Raises:
            BrokerUnavailable: the broker cannot be reached, or refuses the credentials.
        """
        await self._broker.start()
        self._ended = asyncio.get_running_loop().create_future()
        self._launcher.open(self._handlers, self._concurrency)
        self._capture.install(self.config.log_level)
        self._spawn(self._acks.run())
        self._spawn(self._claims.run())
        self._spawn(self._events.run())
        self._spawn(self._serve())
        self._spawn(self._sweep())
        self._spawn(self._membership.stay_declared())
        self._heartbeats.start()

    async def wait(self) -> None:
        """Wait until the servers want the worker drained, or it cannot go on.

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
        config, runs = self.config, self._attempts.runs
        self._drain_until = min(self._drain_until, time.monotonic() + (config.grace if grace is None else grace))
        if self._ended is None or self._draining:
            return
        self._draining = True
        log.info("draining: %d running", self.running)
        await self._broker.pause()
        self._attempts.close()
        await _until(lambda: not self._claims.outstanding, min(self._drain_until, time.monotonic() + config.ask_timeout))
        self._attempts.give_up_asking()
        await _until(lambda: not runs or time.monotonic() > self._drain_until, float("inf"))
        for run in runs.values():
            run.stop("released")
        await _until(lambda: all(run.reported for run in runs.values()), time.monotonic() + config.stop_grace + 1)
        if not await self._events.flush(FLUSH_TIMEOUT):
            log.error("the broker did not confirm the last events; the servers will try again what they tell of")
        await self._acks.flush(FLUSH_TIMEOUT)
        if self._events.kept:
            # Until the lease ends, the worker that starts here next can still tell of them.
            return
        await self._membership.say_goodbye()

    async def stop(self) -> None:
        """End at once; what still runs is interrupted, and is no other worker's until the lease is over. Safe to call twice."""
        if self._ended is None:
            return
        ended, self._ended = self._ended, None
        self._attempts.close()
        self._attempts.abandon()
        await _until(lambda: all(run.stuck for run in self._attempts.runs.values()), time.monotonic() + 1)
        await self._lifespans.leave()
        await self._heartbeats.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._capture.remove()
        self._events.close()
        await self._broker.stop()
        self._launcher.close()
        if not ended.done():
            ended.set_result(None)

    async def _serve(self) -> None:
        await self._lifespans.enter()
        await self._broker.listen(self._hear)
        # Before the hello, on which servers publish what waited for such a worker: by then the queues should be there.
        # Dispatch messages that come earlier still wait for the welcome.
        await self._consumers.start(self._attempts.receive)
        await self._membership.join()
        self.serving.set()
        patterns = ", ".join(handler.pattern for handler in self._handlers)
        log.info("worker %s serves %s with %d slots", self.id, patterns, self._concurrency)

    def _hear(self, word: Control) -> None:
        if word.worker != self._membership.id:
            return
        if isinstance(word, Cancel):
            self._attempts.cancel([Ask(word.occurrence, word.attempt)])
        else:
            self._drain_asked()

    def _drain_asked(self) -> None:
        if self._ended is not None and not self._ended.done() and not self._draining:
            log.info("told to drain")
            self._ended.set_result(None)

    def _lease_lost(self, worker: str, reason: str) -> None:
        """Stop everything that ran under a lease that is over, and begin again as a new incarnation."""
        if worker != self._membership.id or self._ended is None or not self._membership.joined.is_set():
            return
        self._membership.leave()
        stopped = self._attempts.abandon()
        log.error("the lease is over (%s); %d runs are stopped, and left to the servers to try again", reason, len(stopped))
        self._spawn(self._rejoin(stopped))

    async def _rejoin(self, stopped: Sequence[Run]) -> None:
        patience = time.monotonic() + self.config.stop_grace + 1
        await _until(lambda: all(run.stuck or run.freed for run in stopped), patience)
        await self._membership.join()
        log.info("back as worker %s", self.id)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._attempts.sweep()
            if not self._draining:
                await self._consumers.share(self._attempts.give_back)

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
