"""`leveret dev`: everything in one process, nothing else to install."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import asyncio

    from leveret.registry import Handler
    from leveret_core.settings import Settings

HOST = "127.0.0.1"


def dev(
    modules: Annotated[list[str], typer.Argument(metavar="MODULE...", help="Modules with handlers, such as app.jobs.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of API and dashboard; 0 takes a free one.")] = 8080,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the data of earlier runs first.")] = False,
    no_reload: Annotated[bool, typer.Option("--no-reload", help="Do not restart the worker when its code changes.")] = False,
    data: Annotated[Path, typer.Option(help="Folder that keeps the data.")] = Path(".leveret"),
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the dashboard.")] = False,
) -> None:
    """Run API, dashboard, dispatcher and a worker on your modules in one process, for development.

    Postgres comes from a wheel and keeps its data in the folder; broker and lock are in the process.
    """
    from leveret.cli.local.data_folder import data_folder, forget
    from leveret.cli.local.dev_worker import load_or_tell
    from leveret.cli.local.embedded_postgres import EmbeddedPostgres
    from leveret.cli.local.reloading import load
    from leveret.cli.log_format import configure
    from leveret.cli.processes.shutdown import run
    from leveret_core.settings import load_settings

    # What the environment says of real services does not matter here.
    places = {"database_url": "postgresql://embedded", "redis_url": "redis://in-process", "amqp_url": "amqp://in-process"}
    settings = load_settings(host=HOST, port=_free_port(port), **places)
    configure(settings.log_level, settings.log_format)
    # Handlers that call the API find it, wherever they look for it in production.
    os.environ["LEVERET_URL"] = f"http://{HOST}:{settings.port}"
    with data_folder(data) as folder:
        postgres = EmbeddedPostgres(folder / "postgres")
        try:
            if fresh:
                postgres.stop_stale()
                forget(folder)
            settings = settings.model_copy(update={"database_url": postgres.start()})
            # It comes up while the rest is imported.
            handlers = load(modules) if no_reload else load_or_tell(modules, first=True)
            main = _composed(settings, modules, handlers, folder, reload=not no_reload, browser=not no_browser)
            postgres.wait()
            run(main)
        finally:
            postgres.stop()


def _composed(
    settings: Settings, modules: list[str], handlers: list[Handler] | None, folder: Path, *, reload: bool, browser: bool
) -> Callable[[asyncio.Event], Coroutine[Any, Any, None]]:
    import asyncio
    from contextlib import asynccontextmanager

    from fakeredis import FakeAsyncRedis

    from leveret.cli.local.dev_worker import GRACE, DevWorker
    from leveret.cli.processes.database import prepare
    from leveret.cli.processes.server import Adapters, run_server
    from leveret_core.broker.memory import MemoryBroker
    from leveret_core.hints import Hints
    from leveret_core.supervision import Supervisor

    @asynccontextmanager
    async def beside(url: str) -> AsyncGenerator[asyncio.Future[None]]:
        worker = DevWorker(modules, handlers, broker, folder, url)
        await worker.start()
        typer.echo(f"Dashboard: {url}")
        if browser:
            _open(url)
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        watching = asyncio.create_task(worker.reload_on_change()) if reload else never
        try:
            yield watching
        finally:
            worker.end()
            if watching is not never:
                await watching
            await worker.stop(GRACE)

    async def main(stopping: asyncio.Event) -> None:
        await prepare(settings.database_url, wait=0, apply=True)
        supervisor = Supervisor()
        adapters = Adapters(broker.server(supervisor), FakeAsyncRedis(), None, Hints(None), supervisor)
        await run_server(settings, adapters, stopping, beside=beside)

    broker = MemoryBroker()
    return main


def _free_port(port: int) -> int:
    """`port` if it is free, or a free one for 0: said before anything is started."""
    import errno
    import socket

    from leveret_core.errors import ConfigurationError

    try:
        with socket.create_server((HOST, port)) as listener:
            return int(listener.getsockname()[1])
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise ConfigurationError(f"cannot listen on {HOST} port {port}: {error.strerror or error}") from error
        raise ConfigurationError(f"port {port} is taken by another program: choose another with --port") from error


def _open(url: str) -> None:
    import webbrowser

    # Where there is no desktop, a browser would be one inside the terminal, over the log.
    if sys.stdout.isatty() and (sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        webbrowser.open(url)
