"""Real Chromium on a real Leveret. Every page is watched: a console error or a breach of its security policy fails the test."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright, expect

import leveret_api.dashboard
from browser.handlers import Bench
from browser.stack import Stack, running

# The switches keep it from calling anybody but the page under test.
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_NOTE_BREACHES = """
    window.breaches = [];
    addEventListener("securitypolicyviolation", (breach) =>
        window.breaches.push(`${breach.violatedDirective} ${breach.blockedURI} ${breach.sourceFile}`));
"""


class Watch:
    """What a page complained about."""

    def __init__(self, page: Page) -> None:
        self.complaints: list[str] = []
        self._expected: list[str] = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))

    def expect(self, pattern: str) -> None:
        """A console message that matches is part of the test, such as Chromium's own about an answer of 422."""
        self._expected.append(pattern)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(re.search(each, message.text) for each in self._expected):
            self.complaints.append(f"{message.type}: {message.text}")


async def is_live(page: Page) -> None:
    """Wait until the page hears of changes."""
    await expect(page.locator("[data-live]")).to_have_text("Live")


@pytest.fixture(scope="session")
def built_dashboard() -> Path:
    """The folder of the built dashboard."""
    folder = leveret_api.dashboard.STATIC
    if not (folder / "index.html").is_file():
        pytest.fail("the dashboard has not been built: run `make dashboard`")
    return folder


@pytest.fixture(scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=SWITCHES)
        yield browser
        await browser.close()


@pytest.fixture
async def stack(built_dashboard: Path, database_url: str, redis_url: str) -> AsyncIterator[Stack]:
    """A Leveret of the test's own, without a worker."""
    async with running(database_url, redis_url) as stack:
        yield stack


@pytest.fixture
async def bench(stack: Stack) -> AsyncIterator[Bench]:
    """A worker whose handlers do what the test tells them."""
    bench = Bench()
    async with stack.worker(bench.handlers()):
        yield bench
        bench.let_go()


@pytest.fixture
async def context(browser: Browser, stack: Stack) -> AsyncIterator[BrowserContext]:
    """Times are those of Berlin, whatever machine this is."""
    context = await browser.new_context(
        base_url=stack.url, locale="en-GB", timezone_id="Europe/Berlin", viewport={"width": 1280, "height": 900}
    )
    context.set_default_timeout(10_000)
    await context.add_init_script(_NOTE_BREACHES)
    yield context
    await context.close()


@pytest.fixture
async def page(context: BrowserContext) -> Page:
    return await context.new_page()


@pytest.fixture
async def watch(page: Page) -> AsyncIterator[Watch]:
    """Looks over the page's shoulder, and fails the test at its end for what it complained about."""
    watch = Watch(page)
    yield watch
    breaches: list[str] = await page.evaluate("window.breaches ?? []")
    assert watch.complaints + breaches == []


@pytest.fixture(autouse=True)
def watched(watch: Watch) -> None:
    """Every test here has its page watched."""
