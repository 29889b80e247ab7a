"""Sends the events of all attempts, in batches, again and again until the broker has confirmed them."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from leveret._held import Held
from leveret.config import WorkerConfig
from leveret_core.broker.base import WorkerBroker
from leveret_core.messages import Event, Events, Finished, Log, Progress, encode

log = logging.getLogger(__name__)

MAX_BATCH = 500
MAX_BATCH_BYTES = 1024 * 1024
"""About where a batch ends; far below what a server reads."""
INTERVAL = 0.01
"""Seconds between the starts of two batches, unless one is full."""
RETRY_PAUSE = (0.2, 2.0)
"""Seconds before a batch that was not confirmed is sent again: the first and the longest pause."""


class _Entry(NamedTuple):
    order: int
    worker: str
    event: Event
    size: int
    held: Held | None


class EventBuffer:
    """Events on their way. What ends an attempt is never dropped; of logs and progress the oldest go first, and counted.

    Args:
        on_confirmed: called with what was held for a finished event, when the broker has it.
    """

    def __init__(self, broker: WorkerBroker, config: WorkerConfig, on_confirmed: Callable[[Held], None]) -> None:
        self._broker = broker
        self._limit = config.buffered_events
        self._timeout = config.send_timeout
        self._on_confirmed = on_confirmed
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._armed = False
        self._sending = False
        self._order = itertools.count()
        self._lock = threading.Lock()
        self._finished: deque[_Entry] = deque()
        self._others: deque[_Entry] = deque()
        self._dropped: dict[tuple[int, int], tuple[int, _Entry]] = {}

    def add(self, worker: str, event: Event) -> None:
        """Take a log or progress event of incarnation `worker`, from any thread."""
        size = 200 + len(event.message) * 2 if isinstance(event, (Log, Progress)) else 200
        with self._lock:
            self._others.append(_Entry(next(self._order), worker, event, size, None))
            if len(self._others) > self._limit:
                self._drop(self._others.popleft())
            if self._armed:
                return
            self._armed = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake.set)

    def finish(self, worker: str, event: Finished, held: Held | None = None) -> None:
        """Take the last event of an attempt, on the event loop; `held` goes to `on_confirmed`."""
        error = event.error
        size = 300 + len(event.result) + (len(error.traceback) + len(error.message)) * 2 if error else 300 + len(event.result)
        self._finished.append(_Entry(next(self._order), worker, event, size, held))
        self._armed = True
        self._wake.set()

    @property
    def waiting(self) -> int:
        """Events not confirmed, apart from those under way."""
        return len(self._finished) + len(self._others)

    async def run(self) -> None:
        """Send until cancelled."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
            if self.waiting:
                self._wake.set()
        started = 0.0
        while True:
            await self._wake.wait()
            pause = INTERVAL - (time.monotonic() - started) if self.waiting < MAX_BATCH else 0.0
            await asyncio.sleep(max(0.0, pause))
            started = time.monotonic()
            self._wake.clear()
            with self._lock:
                self._armed = False
                batch = self._take()
            if batch:
                self._sending = True
                await self._send(batch)
                self._sending = False
            if self.waiting:
                self._wake.set()

    async def flush(self, timeout: float) -> bool:
        """Wait until everything is confirmed, `timeout` seconds at most; whether it is."""
        until = time.monotonic() + timeout
        while self.waiting or self._sending:
            if time.monotonic() > until:
                return False
            await asyncio.sleep(INTERVAL)
        return True

    def _take(self) -> list[_Entry]:
        """The next batch, in the order things happened, of one incarnation. The caller holds the lock."""
        batch: list[_Entry] = []
        size = 0
        if self._dropped:
            self._others.extendleft(reversed([_notice(count, first) for count, first in self._dropped.values()]))
            self._dropped.clear()
        finished, others = self._finished, self._others
        while (finished or others) and len(batch) < MAX_BATCH and size < MAX_BATCH_BYTES:
            queue = finished if finished and (not others or finished[0].order < others[0].order) else others
            if batch and queue[0].worker != batch[0].worker:
                break
            batch.append(queue.popleft())
            size += batch[-1].size
        return batch

    def _drop(self, entry: _Entry) -> None:
        if isinstance(entry.event, Log):
            key = (entry.event.occurrence, entry.event.attempt)
            count, first = self._dropped.get(key, (0, entry))
            self._dropped[key] = (count + 1, first)

    async def _send(self, batch: list[_Entry]) -> None:
        body = encode(Events(worker=batch[0].worker, events=[entry.event for entry in batch]))
        pause, longest = RETRY_PAUSE
        while True:
            try:
                await self._broker.send_events(body, self._timeout)
                break
            except Exception as error:
                # Whatever it is, these events are the only record of what the handlers did.
                log.warning("%d events were not confirmed, sending again (%s)", len(batch), error)
                await asyncio.sleep(random.uniform(pause / 2, pause))
                pause = min(longest, pause * 2)
        for entry in batch:
            if entry.held is not None:
                self._on_confirmed(entry.held)


def _notice(count: int, first: _Entry) -> _Entry:
    """Stands in for the dropped records of an attempt, under the number of the first of them."""
    event = first.event
    assert isinstance(event, Log)
    notice = Log(
        occurrence=event.occurrence,
        attempt=event.attempt,
        token=event.token,
        seq=event.seq,
        at=datetime.now(UTC),
        level="warning",
        message=f"{count} log records were dropped because the broker could not be reached",
    )
    return _Entry(first.order, first.worker, notice, 300, None)
