"""Batches of events on disk, each with the ends that wait for its confirmation."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from leveret.worker.report.outbox import End, Entry, encode_batch, ends_of
from leveret.worker.report.spool import Spool

Result = TypeVar("Result")


class DiskQueue:
    """A spool that is written and read in a thread of its own.

    Args:
        folder, limit: as of `Spool`.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._spool = Spool(folder, limit)
        self._batches: deque[list[End]] = deque()
        self._lost: list[End] = []
        self._thread: ThreadPoolExecutor | None = None

    @property
    def empty(self) -> bool:
        """Whether every batch was confirmed."""
        return self._spool.empty

    @property
    def for_ends_only(self) -> bool:
        """Whether logs and progress have taken their half of the space; a disk that fails is as good as full."""
        return self._spool.size > self._spool.limit // 2 or bool(self._spool.broken)

    async def append(self, batch: Sequence[Entry]) -> bool:
        """Write a batch; False where the disk is full or refuses."""
        body = encode_batch(batch)
        if not await self._in_thread(lambda: self._spool.append(body)):
            return False
        self._batches.append(ends_of(batch))
        return True

    async def first(self) -> bytes | None:
        """The oldest batch as it is sent; None when there is none. Damaged ones before it are given up."""
        body = await self._in_thread(self._spool.first)
        for _ in range(self._spool.skipped if body is not None else 0):
            self._lost += self._batches.popleft()
        return body

    async def drop_first(self) -> list[End]:
        """What `first` returned last is confirmed; returns what waited for that."""
        await self._in_thread(self._spool.drop_first)
        return self._batches.popleft()

    def given_up(self) -> list[End]:
        """When the spool is empty: what waits for a confirmation that will not come, after damage."""
        lost = [*self._lost, *(end for batch in self._batches for end in batch)]
        self._lost.clear()
        self._batches.clear()
        return lost

    def close(self, next_batch: Callable[[], Sequence[Entry]]) -> bool:
        """Write what is left, batch by batch until one is empty or does not fit; whether anything stays on disk."""
        if self._thread is not None:
            self._thread.shutdown()
        while (batch := next_batch()) and self._spool.append(encode_batch(batch)):
            pass
        stays = not self._spool.empty
        self._spool.close()
        return stays

    async def _in_thread(self, call: Callable[[], Result]) -> Result:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "leveret-spool")
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)
