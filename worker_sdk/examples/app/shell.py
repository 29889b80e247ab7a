"""`shell.*`: the commands of an imported crontab. Served only with LEVERET_EXAMPLE_SHELL=1: it runs what a job says."""

from __future__ import annotations

import asyncio
import getpass
import os
import signal
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import Mapping

from examples.app import settings
from leveret import Fail, JobContext, job

KILL_AFTER = 3.0
"""Seconds a command gets to end by itself, once it was told to; less than the worker waits for a handler."""
LONGEST_LINE = 64 * 1024
"""Bytes of one line of output that are kept."""


async def run(
    ctx: JobContext, command: str, stdin: str | None = None, env: dict[str, str] | None = None, user: str | None = None
) -> dict[str, object]:
    """Run a command as cron does; its output goes into the log by lines, and any exit status but 0 is a failure.

    SHELL in `env` names the shell (default: /bin/sh), and HOME the folder in which the command begins (default: the home of the
    worker's user).
    """
    if user is not None and user != getpass.getuser():
        raise Fail(f"the command is {user}'s, and this worker runs as {getpass.getuser()}: start a worker as {user}")
    given = env or {}
    shell = given.get("SHELL") or "/bin/sh"
    if not os.access(shell, os.X_OK):
        raise Fail(f"SHELL is {shell}, which this worker's machine does not have")
    process = await asyncio.create_subprocess_exec(
        shell,
        "-c",
        command,
        stdin=PIPE,
        stdout=PIPE,
        stderr=STDOUT,
        cwd=_folder(given),
        env=os.environ | {"SHELL": shell} | given,
        limit=LONGEST_LINE,
        # A group of its own: on a timeout, all that the command started ends with it.
        start_new_session=True,
    )
    tail: deque[str] = deque(maxlen=20)
    try:
        await asyncio.gather(_feed(process, stdin or ""), _read(process, ctx, tail))
        status = await process.wait()
    except BaseException:
        await _end(process)
        raise
    if status != 0:
        raise Fail(f"exit status {status}" if status > 0 else f"ended by {signal.Signals(-status).name}")
    return {"exit_status": status, "output": "\n".join(tail)}


def _folder(env: Mapping[str, str]) -> str | None:
    """Where the command begins; None for the worker's own folder, if its user has no home."""
    home = env.get("HOME") or os.path.expanduser("~")
    if os.path.isdir(home):
        return home
    if env.get("HOME"):
        raise Fail(f"HOME is {home}, which this worker's machine does not have")
    return None


async def _feed(process: Process, text: str) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(text.encode())
        await process.stdin.drain()
        process.stdin.close()
        await process.stdin.wait_closed()
    except (BrokenPipeError, ConnectionResetError):
        pass  # a command need not read its input


async def _read(process: Process, ctx: JobContext, tail: deque[str]) -> None:
    assert process.stdout is not None
    while True:
        try:
            line = await process.stdout.readline()
        except ValueError:
            ctx.log.warning("a line longer than %d bytes was left out", LONGEST_LINE)
            continue
        if not line:
            return
        text = line.decode(errors="replace").rstrip("\n")
        tail.append(text)
        ctx.log.info("%s", text)


async def _end(process: Process) -> None:
    """End the command's whole group: asked first, killed after 3 s."""
    for how, patience in ((signal.SIGTERM, KILL_AFTER), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, how)
        except ProcessLookupError:
            break
        try:
            async with asyncio.timeout(patience):
                await process.wait()
        except TimeoutError:
            continue


if settings.SHELL:
    job("shell.*", concurrency=5)(run)
