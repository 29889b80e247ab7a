"""Clients that are slow, or mean: they are cut off, and nobody else waits for them. Raw sockets, a real server."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import httpx
import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from leveret_api import http_protocol, server
from leveret_api.http_protocol import Waiting
from leveret_api.server import serve
from support.eventually import eventually

MOST = 60


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Tells how long the body was, after the seconds in its path."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    request = Request(scope, receive)
    try:
        length = len(await request.body())
    except ClientDisconnect:
        return
    await asyncio.sleep(float(scope["path"].strip("/") or 0))
    await PlainTextResponse(str(length))(scope, receive, send)


@asynccontextmanager
async def running() -> AsyncGenerator[tuple[str, int]]:
    ready: asyncio.Queue[str] = asyncio.Queue()
    task = asyncio.create_task(serve(app, "127.0.0.1", 0, ready=ready.put_nowait))
    try:
        url = httpx.URL(await asyncio.wait_for(ready.get(), 10))
        assert url.port
        yield url.host, url.port
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def place(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[tuple[str, int]]:
    monkeypatch.setattr(server, "Waiting", partial(Waiting, head=0.5, body=0.5))
    monkeypatch.setattr(server, "MAX_CONNECTIONS", MOST)
    monkeypatch.setattr(http_protocol, "BODY_RATE", 100_000.0)
    async with running() as place:
        yield place


async def ends(reader: asyncio.StreamReader, seconds: float = 5.0) -> bool:
    """Whether the server closes or resets the connection within that time, without an answer."""
    try:
        async with asyncio.timeout(seconds):
            return await reader.read() == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


async def asks(place: tuple[str, int], path: str = "/") -> int:
    async with httpx.AsyncClient() as http:
        return (await http.get(f"http://{place[0]}:{place[1]}{path}")).status_code


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"G",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
    ],
    ids=["nothing", "a letter", "half a head", "no body", "half a chunk"],
)
async def test_a_request_that_does_not_come_is_not_waited_for(
    place: tuple[str, int], sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection(*place)
    writer.write(sent)
    assert await ends(reader)
    assert [record.levelno for record in caplog.records if record.name == "leveret_api.http_protocol"] == [logging.WARNING]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    writer.close()


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"]
)
async def test_one_byte_at_a_time_does_not_help(place: tuple[str, int], head: bytes) -> None:
    reader, writer = await asyncio.open_connection(*place)
    writer.write(head)
    began = time.monotonic()

    async def drip() -> None:
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    assert await ends(reader)
    assert time.monotonic() - began < 4
    dripping.cancel()
    await asyncio.gather(dripping, return_exceptions=True)
    writer.close()


async def test_a_body_that_takes_its_time_but_comes_is_taken(place: tuple[str, int]) -> None:
    async def slowly() -> AsyncGenerator[bytes]:
        for _ in range(20):
            yield b"x" * 20_000
            await asyncio.sleep(0.05)

    async with httpx.AsyncClient() as http:
        assert (await http.post(f"http://{place[0]}:{place[1]}/", content=slowly())).text == "400000"


async def test_a_slow_answer_and_an_idle_connection_are_not_cut_off(place: tuple[str, int]) -> None:
    async with httpx.AsyncClient(base_url=f"http://{place[0]}:{place[1]}") as http:
        assert (await http.post("/1.2", content=b"12345")).text == "5"
        used = {id(connection) for connection in http._transport._pool.connections}  # type: ignore[attr-defined]
        await asyncio.sleep(1)  # longer than a head may take
        assert (await http.post("/", content=b"12345")).text == "5"
        assert {id(connection) for connection in http._transport._pool.connections} == used  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["silent", "half", "idle"]
)
async def test_a_client_that_takes_all_places_is_cut_off(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(server, "Waiting", partial(Waiting, head=60, body=60))
    monkeypatch.setattr(server, "MAX_CONNECTIONS", MOST)
    async with running() as place, AsyncExitStack() as stack:
        working = asyncio.create_task(asks(place, "/1.5"))
        for _ in range(3 * MOST):
            _, writer = await asyncio.open_connection(*place)
            stack.callback(writer.close)
            writer.write(sent)
        for _ in range(20):
            assert await asks(place) == 200
        assert await working == 200


async def test_places_come_back(place: tuple[str, int]) -> None:
    for _ in range(3):
        writers = [(await asyncio.open_connection(*place))[1] for _ in range(MOST - 10)]
        assert await asks(place) == 200
        for writer in writers:
            writer.close()
    await eventually(lambda: asks(place))
