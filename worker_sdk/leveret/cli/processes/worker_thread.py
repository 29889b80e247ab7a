"""A worker in a thread and event loop of its own, so that a handler that blocks its loop blocks no server in the process."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, nullcontext

from leveret.worker import Worker
from leveret_core.errors import BrokerUnavailable

log = logging.getLogger("leveret.process")

CONNECT_RETRY = 2.0
"""Seconds between tries while the broker is away."""
STOP_MARGIN = 20.0
"""Seconds past its grace that a worker gets to end, before it is left behind."""

Surroundings = Callable[[], AbstractAsyncContextManager[None]]


class WorkerThread:
    """Runs one worker, once.

    Args:
        make: makes the worker, in its thread; called again while the broker is away.
        surroundings: entered in the worker's loop before it starts, left after it ended. Default: nothing.

    Attributes:
        ended: done when the worker is; holds the error that ended it, if one did.
    """

    def __init__(self, make: Callable[[], Worker], surroundings: Surroundings = nullcontext) -> None:
        self._make = make
        self._surroundings = surroundings
        self._stopping = asyncio.Event()
        self._loop: Future[asyncio.AbstractEventLoop] = Future()
        self._serving: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="leveret-worker", daemon=True)
        self._grace: float | None = None  # until told otherwise the worker's own: a word from afar may end it
        self.ended: Future[None] = Future()
        for future in (self._loop, self._serving, self.ended):
            # So that a caller that gives up waiting for one cannot cancel it.
            future.set_running_or_notify_cancel()

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    async def serving(self, timeout: float) -> bool:
        """Wait until the worker takes dispatch messages; False if it has ended, or does not within `timeout` seconds."""
        waiting = {asyncio.wrap_future(self._serving), asyncio.wrap_future(self.ended)}
        await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            if not each.done():
                each.cancel()
            elif not each.cancelled():
                each.exception()
        return self._serving.done() and not self.ended.done()

    async def stop(self, grace: float) -> None:
        """Drain the worker: what runs gets `grace` seconds to end. Never raises; safe to call twice."""
        if not self._thread.is_alive():
            return
        self._grace = grace
        loop = await asyncio.to_thread(self._loop.result)
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._stopping.set)
        await asyncio.to_thread(self._thread.join, grace + STOP_MARGIN)
        if self._thread.is_alive():
            log.error("the worker does not end; a handler must be blocking its event loop")

    def _run(self) -> None:
        try:
            asyncio.run(self._session())
        except BaseException as error:
            self.ended.set_exception(error)
        else:
            self.ended.set_result(None)

    async def _session(self) -> None:
        self._loop.set_result(asyncio.get_running_loop())
        async with self._surroundings():
            worker = await self._connected()
            if worker is None:
                return
            tasks = [asyncio.create_task(each) for each in (worker.wait(), self._stopping.wait(), self._tell(worker))]
            try:
                await asyncio.wait(tasks[:2], return_when=asyncio.FIRST_COMPLETED)
                if tasks[0].done():
                    tasks[0].result()
                await worker.drain(self._grace)
            finally:
                for task in tasks:
                    task.cancel()
                await worker.stop()

    async def _connected(self) -> Worker | None:
        """A worker that has started; None when it is to stop before."""
        while not self._stopping.is_set():
            worker = self._make()
            try:
                await worker.start()
            except BrokerUnavailable as error:
                log.warning("the worker waits for its broker: %s", error)
                await worker.stop()
            else:
                return worker
            try:
                async with asyncio.timeout(CONNECT_RETRY):
                    await self._stopping.wait()
            except TimeoutError:
                continue
        return None

    async def _tell(self, worker: Worker) -> None:
        await worker.serving.wait()
        self._serving.set_result(None)
