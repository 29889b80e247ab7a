"""A trap of asyncio with network clients: cleaning up a cancelled call can fail, and that error hides the cancellation."""

from __future__ import annotations

import asyncio


def heed_cancellation() -> None:
    """To be called where a loop is about to go on after an error: ends the task if it was asked to end meanwhile.

    Raises:
        asyncio.CancelledError: the current task has been cancelled.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
