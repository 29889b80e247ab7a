"""Live updates and the server around them: a real uvicorn on a free port, real websockets."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from leveret_api import live, server
from leveret_api.app import create_app
from leveret_api.http_protocol import Waiting
from leveret_api.live import Live
from leveret_api.metrics import Metrics
from leveret_api.server import serve
from leveret_api.services import Services
from leveret_core.errors import ConfigurationError
from leveret_core.hints import Hint, Hints
from leveret_core.redis_clients import hints_client
from leveret_core.settings import Settings
from leveret_core.store.database import Database
from support.api import Listening
from support.eventually import eventually
from support.live_client import LiveClient, live_client


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncGenerator[str]:
    """The URL of `app` on a free port."""
    ready: asyncio.Queue[str] = asyncio.Queue()
    task = asyncio.create_task(serve(app, "127.0.0.1", 0, ready=ready.put_nowait))
    try:
        yield await asyncio.wait_for(ready.get(), 10)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def nothing_else(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that only starts and stops."""
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


@asynccontextmanager
async def live_server(hints: Hints, **options: Any) -> AsyncGenerator[str]:
    """The live updates of one replica without the rest of the API."""
    updates = Live(hints, Metrics(), **options)
    await updates.start()
    async with serving(updates.mount(nothing_else)) as url:
        yield url
    await updates.stop()


@pytest.fixture
def hints() -> Hints:
    return Hints(None)


@pytest.fixture
async def url(hints: Hints) -> AsyncIterator[str]:
    async with live_server(hints) as running:
        yield running


def changes(client: LiveClient, count: int) -> Callable[[], bool]:
    return lambda: len(client.heard("changed")) >= count


# What clients hear


async def test_a_client_is_greeted_and_told_what_changed(hints: Hints, url: str) -> None:
    async with live_client(url) as client:
        assert client.heard("hello") == [{"version": "0.1.0", "seq": 0}]
        hints.send(Hint("jobs", (3,)))
        hints.send(Hint("occurrences", (5, 4)))
        await eventually(changes(client, 1))
        hints.send(Hint("workers"))
        await eventually(changes(client, 2))
        first, second = client.heard("changed")
        assert first == {
            "seq": 1,
            "jobs": [3],
            "occurrences": [4, 5],
            "workers": False,
            "dispatcher": False,
            "overflow": False,
        }
        assert (second["seq"], second["jobs"], second["workers"]) == (2, False, True)


async def test_any_number_of_changes_is_four_messages_a_second_and_none_is_lost(hints: Hints, url: str) -> None:
    async with live_client(url) as client, live_client(url) as other:
        start = time.monotonic()
        number = 0
        while time.monotonic() - start < 2:
            for _ in range(100):
                number += 1
                hints.send(Hint("occurrences", (number,)))
            await asyncio.sleep(0.05)
        hints.send(Hint("jobs", (7,)))
        await eventually(lambda: [7] in [message["jobs"] for message in client.heard("changed")])
        took = time.monotonic() - start
        messages = client.heard("changed")
        assert len(messages) <= took * 4 + 2
        assert [message["seq"] for message in messages] == list(range(1, len(messages) + 1))
        assert all(message["overflow"] or message["occurrences"] or message["jobs"] for message in messages)
        await eventually(lambda: other.heard("changed") == messages)


async def test_a_single_change_is_told_at_once(hints: Hints, url: str) -> None:
    async with live_client(url) as client:
        start = time.monotonic()
        hints.send(Hint("occurrences", (1,)))
        await eventually(changes(client, 1), interval=0.005)
        assert time.monotonic() - start < 0.2


async def test_logs_are_told_to_those_who_watch(hints: Hints, url: str) -> None:
    async with live_client(url) as watching, live_client(url) as other:
        assert await watching.ask("watch", {"occurrence": 5}) == {"ok": True}
        hints.send(Hint("logs", (5, 6)))
        await eventually(lambda: watching.heard("logs") == [{"occurrence": 5, "last_seq": None}])
        await watching.ask("unwatch", {"occurrence": 5})
        hints.send(Hint("logs", (5,)))
        hints.send(Hint("workers"))
        await eventually(changes(watching, 1))
        await eventually(changes(other, 1))
        assert len(watching.heard("logs")) == 1
        assert other.heard("logs") == []


async def test_what_one_client_watches_is_bounded_and_forgotten_when_it_leaves(hints: Hints, url: str) -> None:
    async with live_client(url) as stays:
        async with live_client(url) as client:
            for occurrence in range(1, live.MAX_WATCHED + 1):
                assert (await client.ask("watch", {"occurrence": occurrence}))["ok"]
            assert (await client.ask("watch", {"occurrence": 1}))["ok"]
            assert not (await client.ask("watch", {"occurrence": 999}))["ok"]
            for nonsense in (None, {}, {"occurrence": "5"}, {"occurrence": True}, [5], {"occurrence": None}):
                assert not (await client.ask("watch", nonsense))["ok"]
            assert (await client.ask("unwatch"))["ok"]
            assert (await client.ask("watch", {"occurrence": 999}))["ok"]
        hints.send(Hint("workers"))
        await eventually(changes(stays, 1))


async def test_changes_made_while_nobody_listens_are_not_kept(hints: Hints, url: str) -> None:
    for number in range(100):
        hints.send(Hint("occurrences", (number,)))
    async with live_client(url) as client:
        hints.send(Hint("occurrences", (1000,)))
        await eventually(changes(client, 1))
        assert client.heard("changed")[0]["occurrences"] == [1000]


async def test_clients_of_all_replicas_hear_of_a_change_on_any(redis_url: str) -> None:
    async with hints_client(redis_url) as one, hints_client(redis_url) as two:
        here, there = Hints(one), Hints(two)
        await here.start()
        await there.start()
        async with live_server(here) as near, live_server(there) as far, live_client(near) as a, live_client(far) as b:

            def both_heard() -> bool:
                here.send(Hint("jobs", (1,)))
                return bool(a.heard("changed") and b.heard("changed"))

            await eventually(both_heard, interval=0.1)
        await here.stop()
        await there.stop()


# Who may connect, and what they may send


async def test_a_page_of_another_site_may_not_listen(url: str) -> None:
    with pytest.raises(InvalidStatus):
        async with live_client(url, origin="https://evil.test"):
            pass


async def test_only_websockets_are_served(url: str) -> None:
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{url}/socket.io/?EIO=4&transport=polling")
        assert answer.status_code == 400


@pytest.mark.parametrize(
    "frame",
    [
        "x" * 100_000,
        "42" + "[" * 3_000,
        "4",
        "9",
        "x",
        "",
        "42{",
        '42["watch"',
        "451-",
        '451-["watch",{"_placeholder":true,"num":0}]',
        "4" + "x" * 5_000,
        "43[]",
        "431[1]",
        "44{}",
        "42[]",
        "42[5]",
        "42{}",
        "42",
        '42["\\ud800"]',
        "4" + "2" * 300,
        '2["x"]',
        "40",
        "40/other,",
        b"\x04",
        b"4",
    ],
)
async def test_a_client_that_sends_nonsense_harms_only_itself(
    hints: Hints, url: str, frame: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with live_client(url) as good:
        async with live_client(url) as bad:
            await bad.send_raw(frame)
            hints.send(Hint("workers"))
            await eventually(changes(good, 1))
        hints.send(Hint("workers"))
        await eventually(changes(good, 2))
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("event", ["connect", "disconnect", "*", "message", "refused", "__class__", "_connected", 5, None])
async def test_events_that_are_not_listed_run_nothing(url: str, event: Any, hints: Hints) -> None:
    async with live_client(url) as client:
        assert (await client.ask("watch", {"occurrence": 5}))["ok"]
        answer = await client.ask(event, {"forged": True}, None)
        assert (answer["ok"], "events are watch, unwatch" in answer["error"]) == (False, True)
        # It is still connected, was greeted once, and watches what it watched.
        hints.send(Hint("logs", (5,)))
        await eventually(lambda: client.heard("logs") != [])
        assert len(client.heard("hello")) == 1


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("watch", ({"occurrence": 2}, 3)),
        ("watch", ()),
        ("watch", ({"occurrence": 0},)),
        ("watch", ({"occurrence": -1},)),
        ("watch", ({"occurrence": 2**63},)),
        ("watch", ({"occurrence": 1.5},)),
        ("unwatch", ({"occurrence": 2}, 3)),
        ("unwatch", ("all",)),
        ("unwatch", ({"occurrence": "2"},)),
    ],
)
async def test_wrong_arguments_are_answered(
    url: str, hints: Hints, event: str, arguments: tuple[Any, ...], caplog: pytest.LogCaptureFixture
) -> None:
    async with live_client(url) as client:
        assert (await client.ask("watch", {"occurrence": 2}))["ok"]
        answer = await client.ask(event, *arguments)
        assert (answer["ok"], bool(answer["error"])) == (False, True)
        hints.send(Hint("logs", (2,)))
        await eventually(lambda: client.heard("logs") != [])
    assert caplog.records == []


async def test_a_live_connection_outlasts_the_deadlines_of_requests(monkeypatch: pytest.MonkeyPatch, hints: Hints) -> None:
    monkeypatch.setattr(server, "Waiting", partial(Waiting, head=0.5, body=0.5))
    updates = Live(hints, Metrics())
    await updates.start()
    async with serving(updates.mount(nothing_else)) as url, live_client(url) as client:
        await asyncio.sleep(1.5)  # three times as long as a request may take to come
        assert (await client.ask("watch", {"occurrence": 2}))["ok"]
    await updates.stop()


async def test_connecting_twice_counts_once(hints: Hints) -> None:
    metrics = Metrics()
    updates = Live(hints, metrics)
    await updates.start()
    async with serving(updates.mount(nothing_else)) as url:
        async with live_client(url) as client:
            for _ in range(5):
                await client.send_raw("40")
            assert (await client.ask("watch", {"occurrence": 2}))["ok"]
            assert clients_of(metrics) == 1
        await eventually(lambda: clients_of(metrics) == 0)
    await updates.stop()


def test_what_the_libraries_log_goes_through_our_formats(hints: Hints) -> None:
    Live(hints, Metrics())
    for name in ("socketio", "socketio.server", "engineio", "engineio.server"):
        assert logging.getLogger(name).handlers == [], name


async def test_more_dashboards_than_a_replica_serves_are_turned_away(
    hints: Hints, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MAX_CLIENTS", 1)
    async with live_client(url) as first:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1), live_client(url):
                pass
        hints.send(Hint("workers"))
        await eventually(changes(first, 1))


async def test_a_client_that_does_not_read_is_cut_off_and_the_others_do_not_wait(hints: Hints) -> None:
    metrics = Metrics()
    updates = Live(hints, metrics, interval=0.001, send_timeout=0.5)
    await updates.start()
    async with serving(updates.mount(nothing_else)) as url, live_client(url) as good:
        with await asyncio.to_thread(deaf_client, url):
            await eventually(lambda: clients_of(metrics) == 2)

            def only_the_good_one_is_left() -> bool:
                hints.send(Hint("occurrences", MANY))
                return clients_of(metrics) == 1

            await eventually(only_the_good_one_is_left, timeout=20, interval=0.002)
        hints.send(Hint("jobs", (1,)))
        await eventually(lambda: any(message["jobs"] == [1] for message in good.heard("changed")))
    await updates.stop()


async def test_the_connection_of_a_client_that_does_not_read_ends(hints: Hints, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STALLED", 1)
    here = psutil.Process()
    async with live_server(hints, interval=0.001, send_timeout=3600) as url:
        with await asyncio.to_thread(deaf_client, url) as deaf:
            port = deaf.getsockname()[1]

            def it_is_gone() -> bool:
                hints.send(Hint("occurrences", MANY))
                return not any(c.raddr and c.raddr.port == port for c in here.net_connections())

            await eventually(it_is_gone, timeout=30, interval=0.002)


MANY = tuple(range(10**15, 10**15 + 150))


def clients_of(metrics: Metrics) -> int:
    return int(next(iter(metrics.live_clients.collect())).samples[0].value)


def deaf_client(url: str) -> socket.socket:
    """A websocket that has connected to the default namespace and never reads again."""
    where = urlsplit(url)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect((where.hostname, where.port))
    key = base64.b64encode(os.urandom(16)).decode()
    raw.sendall(
        f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {where.netloc}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert raw.recv(12).startswith(b"HTTP/1.1 101")
    raw.sendall(b"\x81\x82\x00\x00\x00\x0040")  # a text frame with an empty mask: connect
    return raw


# The server


async def test_the_whole_app_serves_rest_and_live_updates(database_url: str) -> None:
    database = Database(database_url)
    await database.start()
    services = Services(Settings(database_url=database_url), database, Listening(), Hints(None), redis=None)
    async with serving(create_app(services)) as url, httpx.AsyncClient(base_url=url) as http, live_client(url) as client:
        body = {"name": "daily", "type": "report.daily", "trigger": {"kind": "manual"}}
        made = await http.post("/api/v1/jobs", json=body)
        await eventually(changes(client, 1))
        assert client.heard("changed")[0]["jobs"] == [made.json()["id"]]
        answer = await http.post("/api/v1/jobs/daily/trigger")
        await eventually(lambda: [answer.json()["id"]] in [m["occurrences"] for m in client.heard("changed")])
        assert "leveret_live_clients 1.0" in (await http.get("/metrics")).text
        big = await http.post("/api/v1/jobs", content=b" " * 2_000_000, headers={"content-type": "application/json"})
        assert big.status_code == 413
    await database.stop()


async def test_a_stopping_server_closes_websockets_and_returns(hints: Hints) -> None:
    async with live_server(hints) as url:
        address = f"ws://{urlsplit(url).netloc}/socket.io/?EIO=4&transport=websocket"
        connection = await connect(address)
        await connection.recv()
    await asyncio.wait_for(connection.wait_closed(), 5)
    assert connection.close_code == 1012


async def test_a_taken_port_is_told_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} on 127.0.0.1 is taken .* --port"):
            await serve(nothing_else, "127.0.0.1", port)


async def test_an_address_that_is_not_ours_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"cannot listen on 203\.0\.113\.1 port 8080"):
        await serve(nothing_else, "203.0.113.1", 8080)


async def test_an_app_that_does_not_start_is_an_error() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    with pytest.raises(ConfigurationError, match="did not start"):
        await serve(broken, "127.0.0.1", 0)
