"""What every request passes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from leveret_api.middleware import BodyLimit, SameOrigin, SecurityHeaders


async def length(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return PlainTextResponse(error.detail, error.status_code)


INNER = Starlette(routes=[Route("/", length, methods=["GET", "POST"])], exception_handlers={HTTPException: refused})


def client(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://leveret.test")


async def chunks(*sizes: int) -> AsyncIterator[bytes]:
    for size in sizes:
        yield b"x" * size


async def test_a_body_up_to_the_limit_passes() -> None:
    async with client(BodyLimit(INNER, 100)) as http:
        assert (await http.post("/", content=b"x" * 100)).text == "100"
        assert (await http.post("/", content=chunks(60, 40))).text == "100"


async def test_a_larger_body_is_refused_by_its_announced_length_and_by_its_chunks() -> None:
    async with client(BodyLimit(INNER, 100)) as http:
        announced = await http.post("/", content=b"x" * 101)
        assert announced.status_code == 413
        assert announced.headers["content-type"] == "application/problem+json"
        chunked = await http.post("/", content=chunks(60, 41))
        assert chunked.status_code == 413


@pytest.mark.parametrize("value", ["-5", "x", "1e9", "٣"])
async def test_a_senseless_length_does_not_help(value: str) -> None:
    async with client(BodyLimit(INNER, 100)) as http:
        answer = await http.post("/", content=chunks(200), headers={b"content-length": value.encode()})
        assert answer.status_code == 413


async def test_pages_of_other_sites_may_read_nothing_into_existence() -> None:
    async with client(SameOrigin(INNER)) as http:
        assert (await http.post("/", headers={"origin": "http://evil.test"})).status_code == 403
        assert (await http.post("/", headers={"origin": "http://leveret.test"})).status_code == 200
        assert (await http.post("/")).status_code == 200
        assert (await http.get("/", headers={"origin": "http://evil.test"})).status_code == 200


async def test_every_answer_carries_the_protecting_headers() -> None:
    async with client(SecurityHeaders(INNER)) as http:
        for answer in (await http.get("/"), await http.get("/nothing"), await http.delete("/")):
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["cache-control"] == "no-store"
