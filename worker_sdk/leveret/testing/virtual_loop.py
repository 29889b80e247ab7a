"""An event loop on a clock that goes forward only when nothing else can happen."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Executor
from datetime import datetime
from typing import Any

from leveret.testing.clock import Clock


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs handlers in the thread of the test, and jumps over all the time in which they only wait.

    Args:
        clock: what it goes by, and moves.
        next_due: when the server has something to do next; None for never.
        tick: called whenever that time has come, before the timers of the same moment.
        working: whether a handler runs at all.
        patience: real seconds to wait in silence for threads and child processes before the clock goes on; a tenth of it for
            sockets and pipes, as connections may be open that no handler waits for.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        next_due: Callable[[], datetime | None],
        tick: Callable[[], None],
        working: Callable[[], bool],
        patience: float,
    ) -> None:
        self._clock = clock
        self._next_due = next_due
        self._tick = tick
        self._working = working
        self._patience = patience
        self._target = clock.now
        self._enough: Callable[[], bool] = lambda: False
        self._in_threads = 0
        self._finishing = False
        self._asleep: set[threading.Event] = set()
        self._children: list[asyncio.SubprocessTransport] = []
        self._jumping = _JumpingSelector(self._wait)
        super().__init__(self._jumping)

    def time(self) -> float:
        """Seconds by the virtual clock."""
        return self._clock.seconds

    def run_until(self, target: datetime, enough: Callable[[], bool] = lambda: False) -> None:
        """Let everything happen that happens until `target`, this instant included; at the end the clock stands there.

        Args:
            enough: whether to stop before the clock moves on.
        """
        self._target, self._enough = target, enough
        self.call_soon(self._tick)
        with _aside():
            self.run_forever()

    def wake(self) -> None:
        """Wake all threads that sleep."""
        for woken in list(self._asleep):
            self._wake(woken)

    def finish(self) -> None:
        """Interrupt what still runs, and close the loop."""
        self._finishing = True
        self.wake()
        with _aside():
            left = asyncio.all_tasks(self)
            for task in left:
                task.cancel()
            # What ignores its cancellation is left behind, as at the end of a process.
            self.run_until(self._clock.now)
            self.run_until_complete(self.shutdown_asyncgens())
        self.close()

    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """As everywhere; the clock waits for the thread."""
        future = super().run_in_executor(executor, func, *args)
        self._in_threads += 1
        future.add_done_callback(self._thread_done)
        return future

    async def subprocess_exec(self, *args: Any, **more: Any) -> Any:
        """As everywhere; the clock waits for the child process."""
        return self._watched(await super().subprocess_exec(*args, **more))

    async def subprocess_shell(self, *args: Any, **more: Any) -> Any:
        """As everywhere; the clock waits for the child process."""
        return self._watched(await super().subprocess_shell(*args, **more))

    def sleep_in_thread(self, seconds: float) -> None:
        """What `time.sleep` is in a handler's thread: it sleeps by the virtual clock."""
        woken = threading.Event()
        with contextlib.suppress(RuntimeError):  # closed meanwhile
            self.call_soon_threadsafe(self._fall_asleep, seconds, woken)
            woken.wait()
        if self._finishing:
            # The test is over: nothing waits for the thread, and it must not go on for ever.
            raise SystemExit

    def _watched(self, child: tuple[asyncio.SubprocessTransport, Any]) -> tuple[asyncio.SubprocessTransport, Any]:
        self._children.append(child[0])
        return child

    def _busy_elsewhere(self) -> bool:
        self._children = [child for child in self._children if child.get_returncode() is None]
        return self._in_threads > 0 or bool(self._children)

    def _thread_done(self, _: asyncio.Future[Any]) -> None:
        self._in_threads -= 1

    def _fall_asleep(self, seconds: float, woken: threading.Event) -> None:
        self._in_threads -= 1
        self._asleep.add(woken)
        self.call_later(seconds, self._wake, woken)

    def _wake(self, woken: threading.Event) -> None:
        if woken in self._asleep:
            self._asleep.remove(woken)
            self._in_threads += 1
            woken.set()

    def _wait(self, timeout: float | None) -> float:
        """Nothing is left to do at this moment: the real seconds to wait for others, or 0 after the clock has been moved."""
        following = min((at for at in (self._due(timeout), self._next_due()) if at is not None), default=None)
        if self._busy_elsewhere() and not self._jumping.silent:
            return self._patience
        if self._jumping.waits_for_others and self._working() and not self._jumping.silent:
            return self._patience / 10
        if self._enough():
            self.stop()
            return 0.0
        if following is None or following > self._target:
            self._clock.move_to(self._target)
            self.stop()
            return 0.0
        self._clock.move_to(following)
        self._tick()
        return 0.0

    def _due(self, timeout: float | None) -> datetime | None:
        return None if timeout is None else self._clock.after(timeout)


class _JumpingSelector(selectors.DefaultSelector):
    """Asks `wait` what to do where other selectors would sleep."""

    def __init__(self, wait: Callable[[float | None], float]) -> None:
        super().__init__()
        self._wait = wait
        self.silent = False
        """Whether the real wait for this moment is over and nothing came."""

    @property
    def waits_for_others(self) -> bool:
        """Whether more than the loop's own wake-up call is watched: sockets, pipes."""
        return len(self.get_map()) > 1

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        self.silent = False
        while seconds := self._wait(timeout):
            ready = super().select(seconds)
            if ready:
                return ready
            self.silent = True
        return []


@contextlib.contextmanager
def _aside() -> Generator[None]:
    """Let another event loop run in this thread although one is running: the test's, which waits meanwhile."""
    outer = asyncio._get_running_loop()
    if outer is None:
        yield
        return
    task = asyncio.current_task(outer)
    if task is not None:
        asyncio.tasks._leave_task(outer, task)
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(outer)
        if task is not None:
            asyncio.tasks._enter_task(outer, task)
