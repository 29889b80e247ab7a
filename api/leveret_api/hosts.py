"""Which names a request may have been sent to.

A page of another site can have its own name lead to our address (DNS rebinding): its browser then takes us for that site, and
no check of origins helps. The name in `Host` tells.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from leveret_api.problems import problem_response

EVERY = "*"
_LOOPBACK = ("localhost", "*.localhost", "127.0.0.1", "::1")
_ASKED_BY_ADDRESS = frozenset({"/livez", "/readyz", "/metrics"})
"""What kubelets and monitoring ask, by an address that cannot be known beforehand; it changes and tells nothing of worth."""


def allowed_hosts(setting: str, listen: str) -> frozenset[str]:
    """The names that are ours.

    Args:
        setting: names with commas between them, as `LEVERET_ALLOWED_HOSTS` has them; empty if it is not set.
        listen: the address that the API listens on. Without a setting its own names are ours where that is a loopback
            address, and all names where others reach it, since we cannot know what they call us.
    """
    names = frozenset(name.strip().lower().strip("[]") for name in setting.split(",") if name.strip())
    if names:
        return names
    return frozenset((*_LOOPBACK, listen.lower())) if is_loopback(listen) else frozenset({EVERY})


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_allowed(host: str, names: Collection[str]) -> bool:
    """Whether a `Host` header, with or without a port, is one of `names`, of which `*.example.org` is any below that."""
    if EVERY in names:
        return True
    name = host.lower()
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    name = name.removesuffix(".")
    parents = (name[at:] for at, character in enumerate(name) if character == ".")
    return bool(name) and (name in names or any(f"*{parent}" in names for parent in parents))


class AllowedHosts:
    """Answers 421 to requests and websockets that were sent to a name that is not ours.

    Args:
        app: what answers the others.
        names: see `allowed_hosts`.
    """

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self.app = app
        self.names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if (
            scope["type"] not in ("http", "websocket")
            or scope["path"] in _ASKED_BY_ADDRESS
            or is_allowed(Headers(scope=scope).get("host", ""), self.names)
        ):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            detail = "the name in the Host header is not one of this server; LEVERET_ALLOWED_HOSTS lists those that are"
            await problem_response(421, detail)(scope, receive, send)
