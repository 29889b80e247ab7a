"""`leveret worker` as a command; what it does is in `worker`, which is imported when it is asked for."""

from __future__ import annotations

from enum import StrEnum
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
        int | None, typer.Option(min=1, help="Runs at the same time, at most. Default: what the handlers allow together.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(envvar="LEVERET_WORKER_NAME", help="Shown to people. Default: the host's name.")
    ] = None,
    grace: Annotated[
        float | None, typer.Option(min=0, help="Seconds that runs get to end when the worker is told to. Default: 30.")
    ] = None,
    log_level: Annotated[LogLevel, typer.Option(envvar="LEVERET_LOG_LEVEL")] = LogLevel.INFO,
    log_format: Annotated[LogFormat, typer.Option(envvar="LEVERET_LOG_FORMAT")] = LogFormat.CONSOLE,
) -> None:
    """Serve the handlers of your modules. Needs RabbitMQ (LEVERET_AMQP_URL) and nothing else."""
    from leveret.commands.worker import run_worker

    run_worker(
        modules,
        concurrency=concurrency,
        only=only or (),
        name=name,
        grace=grace,
        log_level=log_level.value,
        log_format=log_format.value,
    )
