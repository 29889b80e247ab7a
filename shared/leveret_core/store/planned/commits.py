"""Hearing of planned runs that users' own transactions have committed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg

from leveret_core.cancellation import heed_cancellation

CHANNEL = "leveret_scheduled"
"""What `leveret_trigger` notifies."""
CHECK = 15.0
"""Seconds between looks whether the connection still answers."""


async def listen_to_commits(url: str, heard: Callable[[], None]) -> None:
    """Listen on a connection of its own until that is lost, or cancelled.

    Args:
        url: of the database; behind a pooler that shares sessions nothing is heard.
        heard: called on the event loop, at the beginning too, for what was committed before; must not block.
    """
    connection = await asyncpg.connect(
        url, timeout=5, command_timeout=5, server_settings={"application_name": "leveret listener"}
    )
    closed = asyncio.Event()

    def lost(_: object) -> None:
        closed.set()

    def committed(*_: object) -> None:
        heard()

    connection.add_termination_listener(lost)
    try:
        await connection.add_listener(CHANNEL, committed)
        heard()
        while not closed.is_set():
            try:
                async with asyncio.timeout(CHECK):
                    await closed.wait()
            except TimeoutError:
                heed_cancellation()
                await connection.fetchval("select 1")
    finally:
        connection.terminate()
