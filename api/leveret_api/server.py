"""Serving an ASGI app by uvicorn, within a process that has other things to do."""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from leveret_api.http_protocol import TimedProtocol, Waiting
from leveret_core.errors import ConfigurationError

GRACE = 10
"""Seconds that open requests and websockets get at a shutdown."""
KEEP_ALIVE = 75
"""Seconds an idle connection stays open: longer than a proxy in front keeps its own, so that it is the proxy which closes."""
MAX_CONNECTIONS = 5_000
"""Connections at once, at most; fewer where the system allows the process fewer open files."""
OTHER_FILES = 256
"""Open files that are not connections of clients."""
STALLED = 30
"""Seconds after which a connection is reset whose other side takes nothing of what waits for it."""
MAX_WEBSOCKET_MESSAGE = 65_536
_BACKLOG = 2_048
_NOT_STARTED = "the API did not start; its log says why"


async def serve(app: ASGIApp, host: str, port: int, *, ready: Callable[[str], None] | None = None) -> None:
    """Serve `app` until cancelled; then take no more connections, let open requests end, and return.

    Signals are the caller's: it cancels the task that runs this.

    Args:
        app: what to serve.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        ready: called with the URL as soon as requests are answered.

    Raises:
        ConfigurationError: the address cannot be listened on, or the app did not start.
    """
    with _listen(host, port) as listener:
        most = _most_connections()
        server = _Server(
            uvicorn.Config(
                app,
                http=cast("type[asyncio.Protocol]", partial(TimedProtocol, waiting=Waiting(most))),
                ws="websockets-sansio",
                ws_max_size=MAX_WEBSOCKET_MESSAGE,
                timeout_graceful_shutdown=GRACE,
                timeout_keep_alive=KEEP_ALIVE,
                # Never reached: connections are closed before.
                limit_concurrency=most + 1,
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
            ),
            lambda: ready(_url(listener)) if ready is not None else None,
        )
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            server.should_exit = True
            await serving
            raise
        if not server.started:
            raise ConfigurationError(_NOT_STARTED)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit as error:  # uvicorn would end the process, and with it what else runs in it
            raise ConfigurationError(_NOT_STARTED) from error
        if self.started:
            self._on_ready()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def _most_connections() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(1, min(MAX_CONNECTIONS, soft - OTHER_FILES))


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"port {port} on {host} is taken by another program; choose another with --port or LEVERET_PORT"
            ) from error
        raise ConfigurationError(
            f"cannot listen on {host} port {port} ({error.strerror or error}); choose others with --host and --port"
        ) from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Connections inherit it. Without, one whose client does not read would never end: closing waits for the rest to go out.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED * 1000)
    listener.setblocking(False)
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
