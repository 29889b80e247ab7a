"""Leveret behind a path of a host that has other things, too: the proxy leaves the path on, or takes it off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect
from starlette.types import ASGIApp, Receive, Scope, Send

from browser.conftest import is_live
from browser.handlers import Bench
from browser.stack import Stack, running
from leveret_api.app import create_app
from leveret_api.server import serve
from support.ports import free_port

PATH = "/tools/leveret"


@pytest.fixture
async def stack(built_dashboard: Path, database_url: str, redis_url: str) -> AsyncIterator[Stack]:
    async with running(database_url, redis_url, base_path=PATH) as stack:
        yield stack


class _Location:
    """What `location /tools/leveret/ { proxy_pass http://leveret/; }` lets through, and nothing else of the host."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["path"].startswith(f"{PATH}/"):
            await self._app({**scope, "path": scope["path"][len(PATH) :]}, receive, send)
        elif scope["type"] == "http":
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b"something else is here"})


@pytest.fixture(params=["the path stays on", "the path is taken off"])
async def host(request: pytest.FixtureRequest, stack: Stack) -> AsyncIterator[str]:
    """The address of the host."""
    if request.param == "the path stays on":
        yield stack.url
        return
    ready, port = asyncio.Event(), free_port()
    app = _Location(create_app(stack.services))
    serving = asyncio.create_task(serve(app, "127.0.0.1", port, ready=lambda _: ready.set()))
    await asyncio.wait_for(ready.wait(), 10)
    yield f"http://127.0.0.1:{port}"
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_everything_is_at_the_path(stack: Stack, bench: Bench, page: Page, host: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(host)))
    page.on("websocket", lambda socket: asked.append(socket.url.removeprefix(host.replace("http", "ws"))))
    await page.goto(f"{host}{PATH}/")
    await is_live(page)
    await expect(page.get_by_role("heading", name="Last hour")).to_be_visible()
    await page.get_by_role("link", name="Jobs", exact=True).click()
    await expect(page).to_have_url(f"{host}{PATH}/jobs")
    await expect(page.get_by_text(f"curl {host}{PATH}/api/v1/jobs")).to_be_visible()
    await stack.job("migration", "demo.steps")
    await page.get_by_role("link", name="migration").click()
    await page.get_by_role("button", name="Trigger now").click()
    await expect(page.get_by_test_id("state")).to_have_text("running")
    await expect(page.get_by_role("log")).to_contain_text("line 3 of 3")
    # A page deep in it is opened anew, and the file of its log is there.
    await page.reload()
    await is_live(page)
    address = await page.get_by_role("link", name="NDJSON").get_attribute("href")
    assert address is not None
    assert (await page.request.get(f"{host}{address}")).ok
    bench.let_go()
    await expect(page.get_by_test_id("state")).to_have_text("succeeded")
    assert [url for url in asked if not url.startswith(f"{PATH}/")] == []


async def test_links_and_locations_keep_the_path(stack: Stack, page: Page, host: str) -> None:
    job = await stack.job("daily")
    made = await page.request.post(f"{host}{PATH}/api/v1/jobs/{job['id']}/trigger", data={})
    assert made.headers["location"].startswith(f"{PATH}/api/v1/occurrences/")
    assert (await page.request.get(f"{host}{made.headers['location']}")).ok
    await page.goto(f"{host}{PATH}/docs")
    address = await page.get_by_role("link", name="openapi.json").get_attribute("href")
    assert address == f"{PATH}/openapi.json"
    document = await (await page.request.get(f"{host}{address}")).json()
    assert document["servers"] == [{"url": PATH}]


async def test_health_checks_ask_the_process_itself(stack: Stack, page: Page) -> None:
    for path in ("/livez", f"{PATH}/livez", "/readyz", "/metrics"):
        assert (await page.request.get(stack.url + path)).ok
