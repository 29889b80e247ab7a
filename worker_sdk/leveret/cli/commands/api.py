"""`leveret api`, `leveret dispatcher` and `leveret all`: server processes on real services."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import asyncio

    from leveret.cli.processes.server import Beside
    from leveret.registry import Handler
    from leveret_core.settings import Settings

Host = Annotated[str | None, typer.Option(help="Address to listen on. Default: LEVERET_HOST, or 127.0.0.1.")]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one. Default: LEVERET_PORT, or 8080.")
]
NoMigrate = Annotated[bool, typer.Option("--no-migrate", help="Do not apply missing migrations; end if there are some.")]
Wait = Annotated[float, typer.Option(min=0, help="Seconds to wait for Postgres at the start.")]


def api(
    host: Host = None,
    port: Port = None,
    no_dispatcher: Annotated[
        bool, typer.Option("--no-dispatcher", help="Never lead; leave that to other replicas or `leveret dispatcher`.")
    ] = False,
    no_migrate: NoMigrate = False,
    wait: Wait = 60,
) -> None:
    """Serve REST, the dashboard, claims and events; one replica at a time dispatches."""
    _serve(_settings(host, port), migrate=not no_migrate, wait=wait, dispatcher=not no_dispatcher)


def dispatcher(no_migrate: NoMigrate = False, wait: Wait = 60) -> None:
    """Dispatch, as a candidate for the term, without an API."""
    _serve(_settings(None, None), migrate=not no_migrate, wait=wait, web=False)


def all_(
    modules: Annotated[list[str], typer.Argument(metavar="MODULE...", help="Modules with handlers, such as app.jobs.")],
    host: Host = None,
    port: Port = None,
    only: Annotated[list[str] | None, typer.Option(help="Serve only handlers whose pattern fits this one; repeatable.")] = None,
    no_migrate: NoMigrate = False,
    wait: Wait = 60,
) -> None:
    """Run API, dispatcher and a worker in one process, on real services."""
    from leveret.registry import import_handlers

    settings = _settings(host, port)
    handlers = import_handlers(modules, only=only or ())
    _serve(settings, migrate=not no_migrate, wait=wait, beside=_worker_beside(settings, handlers))


def _settings(host: str | None, port: int | None) -> Settings:
    import logging
    import os

    from leveret.cli.log_format import configure
    from leveret.cli.variables import unknown_variables
    from leveret_core.settings import Settings, load_settings

    settings = load_settings(host=host, port=port)
    configure(settings.log_level, settings.log_format)
    for name, hint in unknown_variables(os.environ, Settings.model_fields):
        logging.getLogger("leveret.process").warning("nothing reads the variable %s%s", name, hint)
    return settings


def _serve(
    settings: Settings,
    *,
    migrate: bool,
    wait: float,
    dispatcher: bool = True,
    web: bool = True,
    beside: Beside | None = None,
) -> None:
    import asyncio

    from leveret.cli.processes.database import prepare
    from leveret.cli.processes.server import Adapters, run_server
    from leveret.cli.processes.shutdown import run

    async def main(stopping: asyncio.Event) -> None:
        preparing = asyncio.create_task(prepare(settings.database_url, wait=wait, apply=migrate))
        told = asyncio.create_task(stopping.wait())
        await asyncio.wait({preparing, told}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if not preparing.done():
            preparing.cancel()
            return
        preparing.result()
        await run_server(settings, Adapters.of(settings), stopping, dispatcher=dispatcher, web=web, beside=beside)

    run(main)


def _worker_beside(settings: Settings, handlers: Sequence[Handler]) -> Beside:
    import asyncio
    import os
    from contextlib import asynccontextmanager

    from leveret.cli.processes.worker_thread import WorkerThread
    from leveret.config import REDACT, WorkerConfig
    from leveret.worker import Worker
    from leveret_core.broker.rabbitmq_worker import RabbitWorkerBroker

    def broker() -> RabbitWorkerBroker:
        return RabbitWorkerBroker(settings.amqp_url)

    config = WorkerConfig(redact=os.environ.get("LEVERET_REDACT", REDACT))

    def make() -> Worker:
        return Worker(handlers, broker(), heartbeat_broker=broker, config=config)

    @asynccontextmanager
    async def beside(_: str) -> AsyncGenerator[asyncio.Future[None]]:
        thread = WorkerThread(make)
        thread.start()
        ended = asyncio.wrap_future(thread.ended)
        try:
            yield ended
        finally:
            await thread.stop(config.grace)
            ended.cancel()

    return beside
