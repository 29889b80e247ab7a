"""`leveret worker --processes 4`: the same command in several processes, under a supervisor."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Mapping, Sequence

from leveret.cli.log_format import configure
from leveret.cli.processes.shutdown import run
from leveret.cli.processes.supervisor import Limits, Supervisor
from leveret.cli.processes.worker_process import WorkerProcess

KILLED = 130
"""The exit code after a second signal."""


def run_supervised(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    processes: int,
    name: str | None,
    limits: Limits,
    log_level: str,
    log_format: str,
) -> int:
    """Run `leveret worker ARGUMENTS` in `processes` processes until SIGTERM or SIGINT, which drains them all.

    Args:
        arguments: without `--name`, which each process gets of its own: `NAME-1`, `NAME-2`, …
        environment: variables on top of this process's own.
        name: default: the host's.
        limits: of each process.

    Returns:
        the exit code.

    Raises:
        NoWorkerStarts: none of them can be started any more.
    """
    configure(log_level, log_format)
    code = 0
    name = name or socket.gethostname()

    def start(each: str) -> WorkerProcess:
        # No fork: a process begins as it would by itself, with nothing of this one's but its environment.
        command = [sys.executable, "-m", "leveret", "worker", *arguments, "--name", each]
        return WorkerProcess(each, command, environment)

    async def main(stopping: asyncio.Event) -> None:
        nonlocal code
        supervisor = Supervisor([f"{name}-{number}" for number in range(1, processes + 1)], start, limits)
        try:
            code = await supervisor.run(stopping)
        except asyncio.CancelledError:
            code = KILLED

    run(main)
    return code
