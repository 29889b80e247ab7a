"""Running a server process until it is told to end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from leveret_core.supervision import end_tasks

log = logging.getLogger("leveret.process")

LAST_TASKS = 10.0
"""Seconds that what still runs after the orderly end has to end, when it is cancelled."""
STUCK = 70
"""The exit code of a process in which a task would not end."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def run(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run `main` on an event loop of its own (uvloop's where it is installed) until it returns.

    Args:
        main: gets an event that SIGTERM and SIGINT set: it then ends everything in order and returns. A second signal
            cancels it.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_until_told(main))


async def _until_told(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    stopping = asyncio.Event()
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def told(number: signal.Signals) -> None:
        if stopping.is_set():
            log.warning("%s again: ending at once", number.name)
            task.cancel()
        else:
            log.info("%s: ending", number.name)
            stopping.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, told, number)
    try:
        await main(stopping)
    except asyncio.CancelledError:
        sys.exit(1)
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
        # The runner would wait for them without end.
        if await end_tasks(asyncio.all_tasks() - {task}, LAST_TASKS):
            log.critical("the process ends although tasks have not: see above")
            logging.shutdown()
            os._exit(STUCK)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
