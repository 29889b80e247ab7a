"""Sends the events of all attempts, in batches, again and again until the broker has confirmed them."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence

from leveret.config import WorkerConfig
from leveret.worker.attempt_key import AttemptKey
from leveret.worker.report.disk_queue import DiskQueue
from leveret.worker.report.left_over import send_left_over
from leveret.worker.report.outbox import MAX_BATCH, End, Entry, Outbox, encode_batch, ends_of
from leveret_core.broker.base import WorkerBroker
from leveret_core.messages import Event, Finished, Log, Progress

log = logging.getLogger(__name__)

INTERVAL = 0.01
"""Seconds between the starts of two batches, unless one is full."""
SPILL_INTERVAL = 0.05
"""Seconds between two writes to the disk."""
RETRY_PAUSE = (0.2, 2.0)
"""Seconds before a batch that was not confirmed is sent again: the first and the longest pause."""


class EventBuffer:
    """Events on their way: in memory, and on disk while the broker takes none.

    What ends an attempt is never dropped. When memory and disk are full, logs and progress go first, the oldest, and are
    counted; when even ends have filled them there is no more `room`, and nothing may be claimed until there is.

    Attributes:
        room: set while results of more attempts can be kept.
        unconfirmed: attempts whose end the broker has not confirmed yet.
    """

    def __init__(self, broker: WorkerBroker, config: WorkerConfig) -> None:
        self.room = asyncio.Event()
        self.room.set()
        self.unconfirmed: dict[AttemptKey, None] = {}
        self._broker = broker
        self._timeout = config.send_timeout
        self._folder = config.spool_dir
        self._disk = DiskQueue(config.spool_dir, config.spool_size) if config.spool_dir and config.spool_size else None
        self._outbox = Outbox(config.buffered_events, config.buffered_bytes)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._armed = False
        self._told_full = False
        self._under_way: list[Entry] = []
        """Taken out, and neither confirmed nor on disk."""

    def add(self, worker: str, event: Event) -> None:
        """Take a log or progress event of incarnation `worker`, from any thread."""
        self._outbox.add(worker, event)
        # Set after the event is in, and cleared before events are taken: every event has been, or is about to be, announced.
        if not self._armed:
            self._armed = True
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._wake.set)

    def finish(self, worker: str, event: Finished, confirmed: Callable[[], None] | None = None) -> None:
        """Take the last event of an attempt, on the event loop; `confirmed` is called when the broker has it."""
        self.unconfirmed[event.occurrence, event.attempt] = None
        self._outbox.finish(worker, event, confirmed)
        self._armed = True
        self._wake.set()
        if not self._outbox.room(0):
            self.room.clear()

    @property
    def waiting(self) -> int:
        """Events in memory, apart from those under way."""
        return len(self._outbox)

    @property
    def kept(self) -> bool:
        """Whether events that the broker did not confirm are on disk."""
        return self._disk is not None and not self._disk.empty

    async def run(self) -> None:
        """Send until cancelled."""
        self._loop = asyncio.get_running_loop()
        if self.waiting:
            self._wake.set()
        async with asyncio.TaskGroup() as tasks:
            if self._folder is not None:
                tasks.create_task(send_left_over(self._folder, self._sent, RETRY_PAUSE))
            tasks.create_task(self._send())

    async def flush(self, timeout: float) -> bool:
        """Wait until everything is confirmed, `timeout` seconds at most; whether it is."""
        until = time.monotonic() + timeout
        while self.waiting or self._under_way or self.kept:
            if time.monotonic() > until:
                return False
            await asyncio.sleep(INTERVAL)
        return True

    def close(self) -> None:
        """After the end of `run`: leave on disk what the broker has not confirmed, for the next process."""
        if self._disk is not None and self._disk.close(self._next_batch):
            log.warning("unconfirmed events stay in %s; the next worker that starts there sends them", self._folder)

    def _next_batch(self) -> list[Entry]:
        batch, self._under_way = self._under_way or self._outbox.take(), []
        return batch

    async def _send(self) -> None:
        started = 0.0
        while True:
            await self._wake.wait()
            pause = INTERVAL - (time.monotonic() - started) if self.waiting < MAX_BATCH else 0.0
            await asyncio.sleep(max(0.0, pause))
            started = time.monotonic()
            self._wake.clear()
            self._armed = False
            self._under_way = self._outbox.take()
            if self._under_way:
                await self._deliver()
            self._look_for_room()
            if self.waiting:
                self._wake.set()

    async def _deliver(self) -> None:
        """Have what is under way confirmed: at once, or else by way of the disk, or else some time later."""
        body = encode_batch(self._under_way)
        pause, longest = RETRY_PAUSE
        # Without a connection the disk comes first: to wait for one would leave the ends to memory alone.
        while (self._disk is not None and not self._broker.connected) or not await self._sent(body):
            if self._disk is not None:
                await self._by_way_of(self._disk)
                return
            self._look_for_room(stuck=True)
            await asyncio.sleep(random.uniform(pause / 2, pause))
            pause = min(longest, pause * 2)
        confirmed, self._under_way = self._under_way, []
        self._confirm(ends_of(confirmed))

    async def _by_way_of(self, disk: DiskQueue) -> None:
        """Write everything to the disk, and send from there until nothing is left on it."""
        sending: asyncio.Task[None] | None = None
        try:
            while True:
                while self._under_way and await self._spill(disk):
                    self._under_way = self._outbox.take(ends_only=disk.for_ends_only)
                self._look_for_room(stuck=bool(self._under_way))
                sending = sending or asyncio.create_task(self._send_from(disk))
                woken = asyncio.create_task(self._wake.wait())
                await asyncio.wait({sending, woken}, return_when=asyncio.FIRST_COMPLETED)
                woken.cancel()
                if sending.done():
                    sending.result()
                    if disk.empty:
                        break
                    sending = None  # something was written after it had looked
                    continue
                await asyncio.sleep(SPILL_INTERVAL)
                self._wake.clear()
                self._armed = False
                if not self._under_way:
                    self._under_way = self._outbox.take(ends_only=disk.for_ends_only)
        finally:
            if sending is not None:
                sending.cancel()
        self._outbox.put_back(self._under_way)
        self._under_way = []

    async def _spill(self, disk: DiskQueue) -> bool:
        """Write what is under way to the disk; False where the disk is full: then only the ends of it are left under way."""
        batch = self._under_way
        if disk.for_ends_only:
            batch = [entry for entry in batch if not isinstance(entry.event, Log | Progress)]
            self._outbox.put_back([entry for entry in self._under_way if isinstance(entry.event, Log | Progress)])
            self._under_way = batch
            if not batch:
                return True
        if not await disk.append(batch):
            return False
        self._under_way = []
        return True

    async def _send_from(self, disk: DiskQueue) -> None:
        pause, longest = RETRY_PAUSE
        # With a disk that takes nothing this ends after a pause, and the batch in memory is tried again.
        first = longest if disk.empty else pause
        await asyncio.sleep(random.uniform(first / 2, first))
        while (body := await disk.first()) is not None:
            if await self._sent(body):
                self._confirm(await disk.drop_first())
                pause = RETRY_PAUSE[0]
            else:
                await asyncio.sleep(random.uniform(pause / 2, pause))
                pause = min(longest, pause * 2)
        self._confirm(disk.given_up())

    async def _sent(self, body: bytes) -> bool:
        try:
            await self._broker.send_events(body, self._timeout)
        except Exception as error:
            # Whatever it is, these events are the only record of what the handlers did.
            log.warning("%d bytes of events were not confirmed, sending again (%s)", len(body), error)
            return False
        return True

    def _confirm(self, ends: Sequence[End]) -> None:
        for key, confirmed in ends:
            self.unconfirmed.pop(key, None)
            if confirmed is not None:
                confirmed()

    def _look_for_room(self, *, stuck: bool = False) -> None:
        """See whether the results in memory leave room for more; `stuck` when they can go nowhere."""
        taken = sum(entry.size for entry in self._under_way if isinstance(entry.event, Finished))
        if self._outbox.room(taken):
            self._told_full = False
            self.room.set()
            return
        self.room.clear()
        if stuck and not self._told_full:
            self._told_full = True
            log.error("results fill memory and disk, for the broker takes none: nothing more is claimed until it does")
