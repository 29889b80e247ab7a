"""`leveret worker` as a command; what it does is in `cli.processes.worker`, which is imported when it is asked for."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class LogLevel(StrEnum):
    """From which level on records are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How log records are written."""

    CONSOLE = "console"
    JSON = "json"


def worker(
    modules: Annotated[list[str], typer.Argument(metavar="MODULE...", help="Modules with handlers, such as app.jobs.")],
    only: Annotated[
        list[str] | None,
        typer.Option(help="Serve only handlers whose pattern fits this one, 'sendemail.*', say; repeatable."),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            envvar="LEVERET_CONCURRENCY",
            min=1,
            help="Runs at the same time in a process, at most. Default: what the handlers allow together.",
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            envvar="LEVERET_PROCESSES", min=1, help="Worker processes, under a supervisor that starts them again when they end."
        ),
    ] = None,
    max_memory: Annotated[
        str | None,
        typer.Option(
            envvar="LEVERET_MAX_MEMORY",
            metavar="SIZE",
            help="Replace a process that takes so much memory with its children, 512M, say.",
        ),
    ] = None,
    max_occurrences: Annotated[
        int | None,
        typer.Option(envvar="LEVERET_MAX_OCCURRENCES", min=1, help="Replace a process after so many runs."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(envvar="LEVERET_WORKER_NAME", help="Shown to people. Default: the host's name.")
    ] = None,
    grace: Annotated[
        float | None,
        typer.Option(
            envvar="LEVERET_GRACE", min=0, help="Seconds that runs get to end when the worker is told to. Default: 30."
        ),
    ] = None,
    capture_print: Annotated[
        bool, typer.Option("--capture-print", envvar="LEVERET_CAPTURE_PRINT", help="Keep what handlers print as log records.")
    ] = False,
    spool_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="LEVERET_SPOOL_DIR",
            help="Folder for results and logs while the broker is away. Default: a folder of this user's in /tmp.",
        ),
    ] = None,
    spool_size: Annotated[
        str | None,
        typer.Option(envvar="LEVERET_SPOOL_SIZE", metavar="SIZE", help="How much of them, 0 for none. Default: 256M."),
    ] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the broker at the start.")] = 60,
    log_level: Annotated[LogLevel, typer.Option(envvar="LEVERET_LOG_LEVEL")] = LogLevel.INFO,
    log_format: Annotated[LogFormat, typer.Option(envvar="LEVERET_LOG_FORMAT")] = LogFormat.CONSOLE,
) -> None:
    """Serve the handlers of your modules. Needs RabbitMQ (LEVERET_AMQP_URL) and nothing else."""
    from leveret.cli.processes.worker import run_worker

    run_worker(
        modules,
        concurrency=concurrency,
        only=only or (),
        name=name,
        grace=grace,
        processes=processes,
        max_memory=max_memory,
        max_occurrences=max_occurrences,
        capture_print=capture_print,
        spool_dir=spool_dir,
        spool_size=spool_size,
        log_level=log_level.value,
        log_format=log_format.value,
        wait=wait,
    )
