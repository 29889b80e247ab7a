"""What every request passes, in plain ASGI: headers that protect pages, where changes may come from, a limit on bodies."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leveret_api.origin import same_origin
from leveret_api.problems import problem_response

MAX_BODY = 1024 * 1024
"""Bytes of a request's body, at most."""
MAX_DIGITS = 20
"""Digits that are read of an announced length."""
MAX_DISCARDED = 16 * MAX_BODY
"""Bytes beyond it that are read and thrown away before the connection is closed."""

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class SecurityHeaders:
    """Adds the headers that keep a browser from running, framing or leaking what it should not."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self.app(scope, receive, send_with_headers)


class SameOrigin:
    """Refuses requests by which a page of another site could change something in its reader's name."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and scope["method"] not in _SAFE and not same_origin(Headers(scope=scope)):
            answer = problem_response(403, "a page of another site may not change anything here", kind="cross-site")
            await answer(scope, receive, send)
            return
        await self.app(scope, receive, send)


class BodyLimit:
    """Answers 413 to a body over `limit` bytes, whether its length was announced or it came in chunks.

    The paths in `larger` have limits of their own. Some of what is too much is still read, so that a client which sends first
    and reads later gets to see the answer.
    """

    def __init__(self, app: ASGIApp, limit: int = MAX_BODY, larger: Mapping[str, int] = MappingProxyType({})) -> None:
        self.app = app
        self.limit = limit
        self.larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.larger.get(scope["path"], self.limit)
        detail = f"the body has more than {limit} bytes"
        headers = Headers(scope=scope)
        announced = headers.get("content-length", "0")
        if announced.isascii() and announced.isdigit() and int(announced[:MAX_DIGITS]) > limit:
            if "expect" not in headers:
                await _discard(receive)
            await problem_response(413, detail)(scope, receive, send)
            return
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > limit:
                    if message.get("more_body"):
                        await _discard(receive)
                    # Passes through FastAPI's reading of the body, and becomes a problem document.
                    raise HTTPException(413, detail)
            return message

        await self.app(scope, receive_limited, send)


async def _discard(receive: Receive) -> None:
    read = 0
    while read < MAX_DISCARDED:
        message = await receive()
        read += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return
