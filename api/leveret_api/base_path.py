"""Serving Leveret behind a path, such as `https://tools.example.com/leveret/`."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BasePath:
    """Takes the path off the addresses of requests, and puts it in front of the addresses that answers name.

    Requests come with it, or without where the proxy has taken it off already; health checks of the process come without.

    Args:
        app: what to serve; it knows nothing of the path.
        path: begins with a slash and does not end with one; empty for none.
    """

    def __init__(self, app: ASGIApp, path: str) -> None:
        self.app = app
        self.path = path
        self._raw = path.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if not self.path or scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        path: str = scope["path"]
        if path == self.path or path.startswith(f"{self.path}/"):
            raw: bytes | None = scope.get("raw_path")
            scope = {**scope, "path": path[len(self.path) :] or "/"}
            if raw is not None:
                scope["raw_path"] = raw.removeprefix(self._raw) or b"/"

        async def send_with_path(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("location", "").startswith("/"):
                    headers["location"] = self.path + headers["location"]
            await send(message)

        await self.app(scope, receive, send_with_path)
