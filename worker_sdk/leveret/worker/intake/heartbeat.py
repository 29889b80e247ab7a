"""Renews the worker's lease from a thread and a connection of its own, so that no handler can hold it up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from leveret.worker.attempt_key import AttemptKey
from leveret.worker.intake.lease import boot_time
from leveret.worker.intake.membership import Membership
from leveret_core.broker.base import WorkerBroker
from leveret_core.messages import Alive, Ask, Heartbeat, Unknown
from leveret_core.messages.fields import MAX_HOLDING

log = logging.getLogger(__name__)

RETRY_PAUSE = 1.0
"""Seconds before a heartbeat that was not answered is repeated."""
JOIN_PAUSE = 0.1
"""Seconds between looks for whether the worker has joined."""
TIMEOUT = 5.0
"""Seconds a heartbeat may take, at most; never longer than the time between two."""
LAG_WORTH_TELLING = 1.0
"""Seconds."""


class WorkerStatus(NamedTuple):
    """What a heartbeat tells: runs under way, whether the worker takes no more, and the attempts it holds."""

    running: int
    draining: bool
    holding: Sequence[AttemptKey]


class HeartbeatSender:
    """Sends heartbeats and watches the lease. All callbacks are called on the main loop.

    Args:
        membership: whose lease is renewed.
        broker: makes the connection, in the thread that uses it; None to share `shared` on the main loop instead
            (a broker inside this process, for development).
        status: read from the heartbeat's thread.
        on_cancel: attempts that must stop.
        on_drain: the servers want the worker to end.
        on_lost: the incarnation whose lease is over or that the servers do not know any more, and why.
    """

    def __init__(
        self,
        membership: Membership,
        broker: Callable[[], WorkerBroker] | None,
        shared: WorkerBroker,
        *,
        status: Callable[[], WorkerStatus],
        on_cancel: Callable[[Sequence[Ask]], None],
        on_drain: Callable[[], None],
        on_lost: Callable[[str, str], None],
    ) -> None:
        self._membership = membership
        self._factory = broker
        self._shared = shared
        self._status = status
        self._on_cancel = on_cancel
        self._on_drain = on_drain
        self._on_lost = on_lost
        self._main: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[None] | None = None
        self._own: asyncio.AbstractEventLoop | None = None
        self._stopping = threading.Event()
        self._probe_sent: float | None = None
        self._lag = 0.0

    def start(self) -> None:
        """Begin; called on the main loop."""
        self._main = asyncio.get_running_loop()
        if self._factory is None:
            self._task = asyncio.create_task(self._run(self._shared))
        else:
            self._thread = threading.Thread(target=self._in_thread, name="leveret-heartbeat", daemon=True)
            self._thread.start()

    async def stop(self) -> None:
        """End it, and its connection. Safe to call twice and before `start`."""
        self._stopping.set()
        task, own = self._task, self._own
        self._task = None
        if task is not None and own is not None:
            with contextlib.suppress(RuntimeError):  # it has just ended by itself
                own.call_soon_threadsafe(task.cancel)
        elif task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, 5)

    def _in_thread(self) -> None:
        try:
            asyncio.run(self._with_own_broker())
        except asyncio.CancelledError:
            log.debug("the heartbeat ended")
        except Exception:
            log.exception("the heartbeat broke; the lease will end")

    async def _with_own_broker(self) -> None:
        assert self._factory is not None
        self._own = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        if self._stopping.is_set():
            return
        broker = self._factory()
        try:
            await self._run(broker)
        finally:
            await broker.stop()

    async def _run(self, broker: WorkerBroker) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            tasks.create_task(self._beat(broker))

    async def _watch(self) -> None:
        told = ""
        while True:
            worker, lease, _ = self._membership.incarnation
            remaining = lease.remaining
            if self._membership.joined.is_set() and remaining <= 0 and told != worker:
                told = worker
                self._tell(self._on_lost, worker, "no heartbeat was answered in time")
            await asyncio.sleep(min(0.5, max(0.01, remaining)))

    async def _beat(self, broker: WorkerBroker) -> None:
        if broker is not self._shared:
            while True:
                try:
                    await broker.start()
                    break
                except Exception as error:
                    log.warning("the heartbeat has no connection yet: %s", error)
                    await asyncio.sleep(RETRY_PAUSE)
        while True:
            if not self._membership.joined.is_set():
                pause = JOIN_PAUSE
            elif await self._renew(broker):
                pause = self._membership.heartbeat
            else:
                pause = min(RETRY_PAUSE, self._membership.heartbeat)
            await asyncio.sleep(pause * random.uniform(0.9, 1.0))

    async def _renew(self, broker: WorkerBroker) -> bool:
        (worker, lease, secret), status = self._membership.incarnation, self._status()
        sent_at = boot_time()
        heartbeat = Heartbeat(
            worker=worker,
            secret=secret,
            running=status.running,
            loop_lag=self._measure(),
            draining=status.draining,
            holding=[Ask(*key) for key in status.holding] if len(status.holding) <= MAX_HOLDING else None,
        )
        try:
            reply = await broker.request(heartbeat, min(TIMEOUT, self._membership.heartbeat))
        except Exception as error:
            # Nothing that goes wrong here may end the thread: without it the worker is lost.
            log.info("a heartbeat was not answered (%s); the lease lasts %.1f s more", error, lease.remaining)
            return False
        if isinstance(reply, Alive):
            lease.renew(sent_at, reply.lease)
            if reply.cancel:
                self._tell(self._on_cancel, reply.cancel)
            if reply.drain and worker == self._membership.id:
                self._tell(self._on_drain)
        elif isinstance(reply, Unknown):
            self._tell(self._on_lost, worker, reply.reason or "the servers have declared this worker lost")
        else:
            log.error("a heartbeat was refused: %r", reply)
            return False
        return True

    def _measure(self) -> float:
        """Seconds the main loop took, or has been taking, to get round to a callback; asks for the next measurement."""
        now = time.monotonic()
        if self._probe_sent is not None:
            lag = now - self._probe_sent
            if lag > LAG_WORTH_TELLING:
                log.warning("the event loop has been blocked for %.1f s; move blocking code to a plain function", lag)
            return lag
        self._probe_sent = now
        self._tell(self._answer_probe, now)
        return self._lag

    def _answer_probe(self, sent: float) -> None:
        self._lag = time.monotonic() - sent
        self._probe_sent = None

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        assert self._main is not None, "start() comes first"
        with contextlib.suppress(RuntimeError):  # the main loop is closed, and the worker with it
            self._main.call_soon_threadsafe(callback, *arguments)
