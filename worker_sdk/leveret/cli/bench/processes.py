"""The processes of a measurement: one API replica and any number of workers, as they are started in production."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager

import asyncpg

from leveret.cli.bench.handlers import SLOTS
from leveret_core.errors import ConfigurationError

START_TIMEOUT = 60.0
"""Seconds for all of them together."""
_STOP_TIMEOUT = 15.0


@asynccontextmanager
async def running(
    connection: asyncpg.Connection[asyncpg.Record], *, workers: int = 1, slots: int = 500
) -> AsyncGenerator[None]:
    """One API replica and `workers` worker processes with `slots` for each handler, ended afterwards.

    Raises:
        ConfigurationError: one of them did not come up.
    """
    with ExitStack() as processes:
        processes.enter_context(_process("api", "--port", "0"))
        await _until(connection, "select lease_until > now() from term", "dispatcher")
        for _ in range(workers):
            processes.enter_context(_process("worker", "leveret.cli.bench.handlers", slots=slots))
        alive = "select count(*) >= $1 from worker where stopped_at is null and lease_until > now()"
        await _until(connection, alive, f"{workers} workers" if workers > 1 else "worker", workers)
        yield


async def _until(connection: asyncpg.Connection[asyncpg.Record], question: str, what: str, *args: object) -> None:
    for _ in range(int(START_TIMEOUT * 10)):
        if await connection.fetchval(question, *args):
            return
        await asyncio.sleep(0.1)
    raise ConfigurationError(f"no {what} within {START_TIMEOUT:.0f} s; see the processes' output")


@contextmanager
def _process(*args: str, slots: int = 500) -> Generator[None]:
    level = os.environ.get("LEVERET_LOG_LEVEL", "warning")
    environment = {**os.environ, "LEVERET_LOG_LEVEL": level, SLOTS: str(slots)}
    command = [sys.executable, "-m", "leveret", *args]
    process = subprocess.Popen(command, env=environment, stdout=sys.stderr)  # noqa: S603  # our own command line
    try:
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_TIMEOUT)
        process.kill()
        process.wait()
