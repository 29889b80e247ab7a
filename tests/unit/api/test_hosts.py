"""Requests that were sent to a name which is not ours: a page whose own name leads to our address."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message

from leveret_api.hosts import AllowedHosts, allowed_hosts, is_allowed
from leveret_api.middleware import SecurityHeaders

LOCAL = allowed_hosts("", "127.0.0.1")


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "LocalHost.", "app.localhost:1"]
)
def test_a_loopback_listener_has_the_names_of_its_machine(host: str) -> None:
    assert is_allowed(host, LOCAL)


@pytest.mark.parametrize(
    "host", ["", "evil.test", "evil.test:8080", "localhost.evil.test", "127.0.0.1.evil.test", "[::2]", "10.0.0.1", "xlocalhost"]
)
def test_other_names_are_not_its_own(host: str) -> None:
    assert not is_allowed(host, LOCAL)


def test_names_are_listed() -> None:
    names = allowed_hosts("leveret.example.org, *.intern.example.org,[2001:db8::1]", "0.0.0.0")
    for host in ("leveret.example.org", "LEVERET.example.org:443", "a.b.intern.example.org", "[2001:db8::1]:80"):
        assert is_allowed(host, names), host
    for host in ("example.org", "intern.example.org", "localhost", "leveret.example.org.evil.test", "[2001:db8::2]"):
        assert not is_allowed(host, names), host


def test_who_listens_for_others_and_lists_nothing_takes_every_name() -> None:
    assert is_allowed("anything.test", allowed_hosts("", "0.0.0.0"))
    assert is_allowed("", allowed_hosts("*", "127.0.0.1"))


async def test_a_request_to_another_name_is_refused_except_for_health() -> None:
    app = SecurityHeaders(AllowedHosts(PlainTextResponse("in"), LOCAL))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://evil.test") as http:
        refused = await http.post("/api/v1/jobs/daily/trigger")
        assert refused.status_code == 421
        assert refused.headers["content-type"] == "application/problem+json"
        assert "LEVERET_ALLOWED_HOSTS" in refused.json()["detail"]
        assert refused.headers["x-content-type-options"] == "nosniff"
        for path in ("/livez", "/readyz", "/metrics"):
            assert (await http.get(path)).text == "in"
        assert (await http.get("/", headers={"host": "localhost:8080"})).text == "in"


async def test_a_websocket_to_another_name_is_refused() -> None:
    async def app(*_: Any) -> None:
        raise AssertionError("it came through")

    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/socket.io/", "headers": [(b"host", b"evil.test:8080")]}
    await AllowedHosts(app, LOCAL)(scope, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]
