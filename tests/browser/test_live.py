"""The page follows what happens: by hints, by polling without them, and after an outage."""

from __future__ import annotations

import asyncio
import re

from playwright.async_api import Page, WebSocketRoute, expect

from browser.conftest import Watch, is_live
from browser.handlers import Bench
from browser.stack import Stack

AWAY = r"ERR_CONNECTION|WebSocket connection"
"""What Chromium logs when the server is away."""


async def test_the_overview_follows_a_run(stack: Stack, bench: Bench, page: Page) -> None:
    await page.goto("/")
    await expect(page.get_by_text("Nothing is running").or_(page.get_by_text("No jobs yet"))).to_be_visible()
    await is_live(page)
    await stack.job("migration", "demo.steps")
    await stack.trigger("migration")
    row = page.get_by_role("table", name="Running now").get_by_role("row").filter(has_text="migration")
    await expect(row.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "42")
    await expect(page.get_by_role("link", name="running 1")).to_be_visible()
    bench.let_go()
    await expect(page.get_by_text("Nothing is running")).to_be_visible()
    await expect(page.get_by_role("listitem").filter(has_text="succeeded")).to_contain_text("1")


async def test_a_page_that_cannot_be_loaded_leaves_the_others(stack: Stack, page: Page, watch: Watch) -> None:
    watch.expect(AWAY)
    await page.goto("/")
    await is_live(page)
    await stack.stop_api()
    await page.get_by_role("link", name="Workers", exact=True).click()
    await expect(page.get_by_role("heading", name="The server cannot be reached")).to_be_visible()
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_role("heading", name="The server cannot be reached")).to_be_visible()
    await page.get_by_role("link", name="Overview").click()
    await expect(page.get_by_role("heading", name="Last hour")).to_be_visible()
    await page.get_by_role("link", name="Workers", exact=True).click()
    await stack.start_api()
    await expect(page.get_by_role("heading", name="No worker is alive")).to_be_visible()


async def test_a_tab_from_before_an_update_says_so(stack: Stack, page: Page, watch: Watch) -> None:
    """The server has another build by now, and no longer the code of a page that was not opened yet."""
    watch.expect("404")
    await page.goto("/")
    await is_live(page)
    await page.route("**/assets/WorkersPage-*.js", lambda route: route.fulfill(status=404))
    await page.get_by_role("link", name="Workers", exact=True).click()
    await expect(page.get_by_role("heading", name="This page has not been loaded")).to_be_visible()
    await page.get_by_role("link", name="Overview").click()
    page_of_now = '<!doctype html><script type="module" src="/assets/index-another.js"></script>'
    await page.route(f"{stack.url}/", lambda route: route.fulfill(content_type="text/html", body=page_of_now))
    await page.get_by_role("link", name="Workers", exact=True).click()
    await expect(page.get_by_role("heading", name="Leveret has been updated")).to_be_visible()
    await page.unroute_all()
    await page.get_by_role("button", name="Reload").click()
    await expect(page.get_by_role("heading", name="No worker is alive")).to_be_visible()


async def test_who_dispatches_and_what_is_next_is_on_the_overview(stack: Stack, page: Page) -> None:
    await stack.job("nightly", trigger={"kind": "interval", "every": 3600})
    await page.goto("/")
    await expect(page.get_by_text("epoch 1")).to_be_visible()
    await expect(page.get_by_role("listitem").filter(has_text="nightly")).to_contain_text(re.compile(r"in (60 m|1 h)"))
    for service in ("Postgres", "Redis", "RabbitMQ"):
        await expect(page.get_by_role("listitem").filter(has_text=service)).to_have_class("service-ok")


async def test_a_worker_comes_and_goes(stack: Stack, page: Page) -> None:
    await page.goto("/workers")
    await expect(page.get_by_role("heading", name="No worker is alive")).to_be_visible()
    async with stack.worker(Bench().handlers(), "worker-9"):
        row = page.get_by_role("table", name="Workers", exact=True).get_by_role("row").filter(has_text="worker-9")
        await expect(row).to_contain_text("alive")
        await expect(row).to_contain_text("jobs.demo.quick")
        await expect(row).to_contain_text("0 of 30")
    gone = page.get_by_role("table", name="Gone workers").get_by_role("row").filter(has_text="worker-9")
    await expect(gone).to_contain_text("stopped")


async def test_rows_do_not_move_under_the_pointer(stack: Stack, bench: Bench, page: Page) -> None:
    await stack.job("busy")
    await stack.trigger("busy")
    await page.goto("/occurrences")
    rows = page.get_by_role("table", name="Occurrences").locator("tbody tr")
    await expect(rows).to_have_count(1)
    await rows.first.hover()
    await stack.trigger("busy")
    more = page.get_by_role("button", name="1 more since")
    await expect(more).to_be_visible()
    await expect(rows).to_have_count(1)
    await more.click()
    await expect(rows).to_have_count(2)


async def test_the_page_asks_again_by_itself_while_there_are_no_hints(stack: Stack, page: Page) -> None:
    async def refuse(socket: WebSocketRoute) -> None:
        await socket.close()

    await page.route_web_socket(re.compile("socket.io"), refuse)
    await page.clock.install()
    await page.goto("/jobs")
    await expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
    await stack.job("nightly")
    await page.clock.run_for(11_000)
    await expect(page.get_by_role("row").filter(has_text="nightly")).to_be_visible()


async def test_after_an_outage_the_page_catches_up(stack: Stack, page: Page, watch: Watch) -> None:
    watch.expect(AWAY)
    job = await stack.job("before")
    await page.goto("/jobs")
    await is_live(page)
    await stack.stop_api()
    await expect(page.get_by_text("Reconnecting")).to_be_visible()
    await expect(page.get_by_role("row").filter(has_text="before")).to_be_visible()
    await stack.database.pool.execute("update job set name = 'after' where id = $1", job["id"])
    await stack.start_api()
    await is_live(page)
    await expect(page.get_by_role("row").filter(has_text="after")).to_be_visible()


async def test_the_page_says_since_when_it_knows_nothing(stack: Stack, page: Page, watch: Watch) -> None:
    watch.expect(AWAY)
    await page.clock.install()
    await page.goto("/")
    await is_live(page)
    await stack.stop_api()
    await expect(page.get_by_text("Reconnecting")).to_be_visible()
    await page.clock.run_for(20_000)
    await expect(page.get_by_text(re.compile(r"Stale since \d\d:\d\d:\d\d"))).to_be_visible()


async def test_a_storm_of_changes_asks_little_and_ends_in_what_is_true(stack: Stack, bench: Bench, page: Page) -> None:
    await stack.job("busy", concurrency="allow", max_concurrent=1000)
    await page.goto("/occurrences")
    await is_live(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    started = asyncio.get_running_loop().time()
    newest = 0
    for _ in range(10):
        made = await asyncio.gather(*(stack.trigger("busy") for _ in range(20)))
        newest = max(newest, *(occurrence["id"] for occurrence in made))
    row = page.locator(f"tr[data-row='{newest}']")
    await expect(row).to_contain_text("succeeded", timeout=30_000)
    seconds = asyncio.get_running_loop().time() - started
    lists = [url for url in asked if "/occurrences?" in url]
    assert len(lists) <= 3 + seconds / 0.75, f"{len(lists)} in {seconds:.1f} s"
