"""Ends a process that does not come on: a holder that cannot renew its term cannot resign either, and an ingestor that hangs
keeps its events from the others."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable

from leveret_dispatcher.leadership.term import boottime

log = logging.getLogger(__name__)

EXIT_CODE = 70
"""`EX_SOFTWARE` of sysexits.h; the service manager starts the process again."""


def end_process() -> None:
    """Leave without clean-up: the loop that would run it is what hangs."""
    os._exit(EXIT_CODE)


def never_stuck(_: float) -> str | None:
    """For those who watch the event loop alone."""
    return None


class Watchdog:
    """A thread that looks whether the event loop still turns, and whether what runs on it comes on.

    A process that was stopped as a whole (SIGSTOP, a suspended machine) is not blocked: the thread was asleep too, sees that by
    its own clock, and gives the loop its full time again.

    Args:
        limit: seconds the loop may be blocked.
        end: called once, from the thread, when it was blocked longer. Default: ends the process.
        stuck: asked from the thread for what does not come on, with the time, on `time.monotonic()`, since when the process has
            not been stopped; None when all is well.
    """

    def __init__(
        self, limit: float, end: Callable[[], None] = end_process, stuck: Callable[[float], str | None] = never_stuck
    ) -> None:
        self._limit = limit
        self._end = end
        self._stuck = stuck
        self._pause = limit / 8
        self._beat = 0.0
        self._beating: asyncio.Task[None] | None = None
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin to watch the running loop."""
        self._beat = boottime()
        loop = asyncio.get_running_loop()
        self._beating = loop.create_task(self._beats())
        threading.Thread(target=self._watch, args=(loop,), name="leveret-watchdog", daemon=True).start()

    def stop(self) -> None:
        """Watch no longer. Safe to call twice and before `start`."""
        self._stopped.set()
        if self._beating is not None:
            self._beating.cancel()

    async def _beats(self) -> None:
        while True:
            self._beat = boottime()
            await asyncio.sleep(self._pause)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        looked, awake_since = boottime(), 0.0
        while not self._stopped.wait(self._pause) and not loop.is_closed():
            now = boottime()
            if now - looked > self._pause * 4:
                self._beat, awake_since = now, time.monotonic()  # we were asleep ourselves
            looked = now
            if now - self._beat > self._limit:
                log.critical("watchdog: the event loop was blocked for %.0f s; ending the process", now - self._beat)
                self._end()
                return
            if (stuck := self._stuck(awake_since)) is not None:
                log.critical("watchdog: %s does not come on; ending the process", stuck)
                self._end()
                return
