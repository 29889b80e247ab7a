"""`time.sleep` for handlers that run in threads: an hour takes no time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, SupportsIndex


class Sleeper(Protocol):
    """Whose time the threads sleep by."""

    def sleep_in_thread(self, seconds: float) -> None:
        """Sleep in a thread of its."""
        ...


class SleepingThreads(ThreadPoolExecutor):
    """Threads in which `time.sleep` goes by the clock of a virtual loop, while at least one environment is open.

    Args:
        loop: whose clock.
        limit: threads, at most.
    """

    def __init__(self, loop: Sleeper, limit: int) -> None:
        super().__init__(limit, "leveret-testing", initializer=_live_by, initargs=(loop,))


def install() -> None:
    """Put the other `time.sleep` in place; `remove` as often as this."""
    global _installed
    with _lock:
        _installed += 1
        if _installed == 1:
            time.sleep = _sleep


def remove() -> None:
    """Put the real one back, unless a test has put its own there."""
    global _installed
    with _lock:
        _installed -= 1
        if _installed == 0 and time.sleep is _sleep:
            time.sleep = _real_sleep


_real_sleep = time.sleep
_lock = threading.Lock()
_installed = 0
_here = threading.local()


def _live_by(loop: Sleeper) -> None:
    _here.loop = loop


def _sleep(seconds: float | SupportsIndex, /) -> None:
    loop: Sleeper | None = getattr(_here, "loop", None)
    if loop is None or float(seconds) <= 0:
        _real_sleep(seconds)
    else:
        loop.sleep_in_thread(float(seconds))
