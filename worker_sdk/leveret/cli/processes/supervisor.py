"""Keeps several worker processes running: starts them again when they end, and replaces those that are worn out."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from leveret.cli.processes.memory import family_memory, show_size
from leveret.cli.processes.worker_process import WorkerProcess
from leveret_core.errors import LeveretError

log = logging.getLogger("leveret.supervisor")

TICK = 0.1
"""Seconds between looks at the processes."""
CHECK_INTERVAL = 2.0
"""Seconds between looks at what the processes have used up."""
KILL_MARGIN = 30.0
"""Seconds past its grace after which a process that was told to end is killed."""
LAST_WORDS = 3.0
"""Seconds that processes get after a second signal."""


class NoWorkerStarts(LeveretError):
    """All processes end before they have begun to work, again and again; the message says how the last one did."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a supervisor is told; times are seconds.

    Args:
        grace: seconds that runs get to end.
        max_memory: resident bytes of a process and its children at which it is replaced; None for no limit.
        max_occurrences: ended runs at which it is replaced; None for no limit.
        pauses: seconds before a process that ended is started again: the first pause, and the longest; each is twice as long
            as the one before. Defaults: half a second, half a minute.
        steady: seconds that a process must last for its end to count as the first one of a series. Default 60.
        tries: times in a row that every process may end before it has reached the broker. Default 8, about a minute.
    """

    grace: float = 30.0
    max_memory: int | None = None
    max_occurrences: int | None = None
    pauses: tuple[float, float] = (0.5, 30.0)
    steady: float = 60.0
    tries: int = 8


class Supervisor:
    """Runs one process for each name.

    The first one starts alone: what it finds wrong with the modules or the settings is said once and ends the supervisor.
    Then come the others. A process that ends by itself is started again after a pause. One that is worn out is told to end
    when another works in its place; only one at a time is replaced.

    Args:
        names: of the workers.
        start: starts the process of a name.
        limits: see there.
    """

    def __init__(self, names: Sequence[str], start: Callable[[str], WorkerProcess], limits: Limits) -> None:
        self._start = start
        self._limits = limits
        self._seats = {name: _Seat() for name in names}
        self._successor: WorkerProcess | None = None
        self._old: list[WorkerProcess] = []
        """Worn out, and ending in their own time."""
        self._check_at = 0.0

    async def run(self, stopping: asyncio.Event) -> int:
        """Run until `stopping` is set, then drain all processes. Cancelling ends them at once.

        Returns:
            0; or, when the first process ended before it had begun to work, its exit code, and 1 where that says nothing.

        Raises:
            NoWorkerStarts: none can be started any more.
        """
        name, seat = next(iter(self._seats.items()))
        log.info("supervising %d worker processes: %s", len(self._seats), ", ".join(self._seats))
        try:
            first = self._begin(name, seat)
            while not first.connected.is_set() and not stopping.is_set():  # noqa: ASYNC110
                await asyncio.sleep(TICK)
            if first.ended.is_set() and not first.has_connected and not stopping.is_set():
                # What was wrong it has said itself.
                log.error("worker %s %s; no other was started", name, first.why)
                return first.code if first.code is not None and first.code > 0 else 1
            while not stopping.is_set():
                self._tend()
                await asyncio.sleep(TICK)
            await self._drain()
            return 0
        except NoWorkerStarts:
            await self._drain()
            raise
        finally:
            await self._end_at_once()

    @property
    def _living(self) -> list[WorkerProcess]:
        seated = [seat.process for seat in self._seats.values()]
        return [process for process in (*seated, self._successor, *self._old) if process is not None and process.code is None]

    def _begin(self, name: str, seat: _Seat) -> WorkerProcess:
        process = seat.process = self._start(name)
        log.info("worker %s starts as process %d", name, process.pid)
        return process

    def _tend(self) -> None:
        now = time.monotonic()
        for name, seat in self._seats.items():
            if seat.process is None:
                if now >= seat.start_at:
                    try:
                        self._begin(name, seat)
                    except OSError as error:
                        seat.start_at = now + self._limits.pauses[1]
                        log.error("worker %s cannot be started now: %s", name, error)
            elif seat.process.ended.is_set():
                self._has_ended(seat, seat.process, now)
            elif seat.process.has_connected:
                seat.unconnected = 0
        if min(seat.unconnected for seat in self._seats.values()) >= self._limits.tries:
            why = max((seat for seat in self._seats.values()), key=lambda seat: seat.start_at).why
            raise NoWorkerStarts(f"no worker process can be started any more; the last one {why}")
        if self._successor is not None:
            self._look_at(self._successor, now)
        elif now >= self._check_at:
            self._check_at = now + CHECK_INTERVAL
            self._look_for_worn()

    def _has_ended(self, seat: _Seat, process: WorkerProcess, now: float) -> None:
        shortest, longest = self._limits.pauses
        seat.failures = 1 if process.age > self._limits.steady else seat.failures + 1
        seat.unconnected = 0 if process.has_connected else seat.unconnected + 1
        pause = min(longest, shortest * 2.0 ** min(seat.failures - 1, 20)) * random.uniform(0.5, 1.0)
        why = f"{process.why} ({process.error})" if process.error else process.why
        log.warning("worker %s (process %d) %s; another one starts in %.1f s", process.name, process.pid, why, pause)
        seat.process, seat.start_at, seat.why = None, now + pause, why

    def _look_for_worn(self) -> None:
        limits = self._limits
        self._old = [process for process in self._old if not process.ended.is_set()]
        still_ending = {process.name for process in self._old}
        serving = [seat.process for seat in self._seats.values() if seat.process is not None and seat.process.serving.is_set()]
        memory = family_memory([process.pid for process in serving]) if limits.max_memory is not None else {}
        for process in serving:
            if process.ended.is_set() or process.name in still_ending:
                continue  # the latter lest there be ever more of them
            if limits.max_occurrences is not None and process.finished >= limits.max_occurrences:
                why = f"has run {process.finished} occurrences"
            elif limits.max_memory is not None and memory[process.pid] >= limits.max_memory:
                why = f"takes {show_size(memory[process.pid])} of memory"
            else:
                continue
            self._successor = self._start(process.name)
            pids = process.name, process.pid, why, self._successor.pid
            log.info("worker %s (process %d) %s: process %d is to take its place", *pids)
            return

    def _look_at(self, successor: WorkerProcess, now: float) -> None:
        seat = self._seats[successor.name]
        if successor.ended.is_set():
            log.warning("worker %s: the new process %d %s; the old one goes on", successor.name, successor.pid, successor.why)
            self._successor, self._check_at = None, now + self._limits.pauses[1]
        elif successor.serving.is_set() or seat.process is None:
            worn, seat.process, self._successor = seat.process, successor, None
            if worn is not None and not worn.ended.is_set():
                log.info("worker %s: process %d works, %d ends when its runs have", successor.name, successor.pid, worn.pid)
                self._old.append(worn)
                worn.retire()

    async def _drain(self) -> None:
        for process in self._living:
            process.signal(signal.SIGTERM)
        await self._all_end(self._limits.grace + KILL_MARGIN)
        for process in self._living:
            log.error("worker %s (process %d) does not end and is killed", process.name, process.pid)

    async def _end_at_once(self) -> None:
        """Nothing is left running, whatever happens."""
        try:
            for process in self._living:
                process.signal(signal.SIGTERM)  # the second one, where they were draining
            await self._all_end(LAST_WORDS)
        finally:
            for process in self._living:
                process.signal(signal.SIGKILL)
            await self._all_end(LAST_WORDS)

    async def _all_end(self, timeout: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                for process in self._living:
                    await process.ended.wait()


class _Seat:
    """The place of one worker: who has it, and what became of those before."""

    def __init__(self) -> None:
        self.process: WorkerProcess | None = None
        self.start_at = 0.0
        self.why = ""
        self.failures = 0
        """Processes in a row that ended soon."""
        self.unconnected = 0
        """Processes in a row that ended before they had reached the broker."""
