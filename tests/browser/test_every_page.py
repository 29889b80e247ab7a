"""What holds on every page: it fits, it is quiet, it is light, it can be used by keyboard."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from browser.conftest import Watch, is_live
from browser.handlers import Bench
from browser.stack import Stack
from support.eventually import eventually

PAGES = (
    "/",
    "/jobs",
    "/jobs/{job}",
    "/occurrences",
    "/occurrences/{running}",
    "/occurrences/{failed}",
    "/dead-letters",
    "/workers",
    "/limits",
)
SIZES = {"phone": (390, 844), "tablet": (800, 1000), "desktop": (1440, 900)}
BUDGET = 300_000
"""Bytes of the whole dashboard, compressed."""


async def _fill(stack: Stack) -> dict[str, int]:
    """Something on every page, with names as long as people make them; returns the ids in addresses."""
    long = "a-name-that-somebody-made-rather-long-because-it-says-everything"
    job = await stack.job(
        long,
        "demo.steps",
        trigger={"kind": "cron", "expression": "*/5 9-17 * * MON-FRI", "timezone": "America/Argentina/Buenos_Aires"},
        description="It does " + "a great many things, " * 12,
        tags=["finance", "quarterly", "somebody-elses-problem"],
        payload={"note": "word " * 60, "key": "x" * 300},
        concurrency="queue",
    )
    running = await stack.trigger(long, {"lines": 20})
    await stack.trigger(long)
    await stack.job("broken", "demo.broken", retry={"max_attempts": 1})
    failed = await stack.trigger("broken")
    await stack.job("orphan", "nobody.serves.this." + "word." * 8 + "end")
    await stack.trigger("orphan")
    limit = await stack.rest.put("/rate-limits/demo.steps", json={"count": 100, "per": 60})
    assert limit.is_success, limit.text

    async def settled() -> bool:
        states = [(await stack.occurrence(each["id"]))["state"] for each in (running, failed)]
        return states == ["running", "failed"]

    await eventually(settled)
    return {"job": job["id"], "running": running["id"], "failed": failed["id"]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
async def test_every_page_fits_and_complains_of_nothing(
    stack: Stack, bench: Bench, browser: Browser, size: str, scheme: str
) -> None:
    ids = await _fill(stack)
    width, height = SIZES[size]
    context = await browser.new_context(
        base_url=stack.url,
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        has_touch=size == "phone",
        is_mobile=size == "phone",
    )
    page = await context.new_page()
    watch = Watch(page)
    for address in PAGES:
        await page.goto(address.format(**ids))
        await is_live(page)
        await expect(page.locator("[aria-busy=true]")).to_have_count(0)
        await page.wait_for_load_state("networkidle")
        content: int = await page.evaluate("document.documentElement.scrollWidth")
        assert content <= width, f"{address} is {content} px wide"
        crushed: list[str] = await page.evaluate(
            """[...document.querySelectorAll(".table td")]
                .filter(each => each.checkVisibility() && each.textContent.length > 8 && each.offsetWidth < 64)
                .map(each => each.className)"""
        )
        # On a phone rows are cards, and cells as wide as what is in them.
        assert size == "phone" or crushed == [], address
        nameless: list[str] = await page.evaluate(
            """[...document.querySelectorAll("button, a, input, select, textarea")]
                .filter(each => each.checkVisibility() && !(each.ariaLabel || each.labels?.length || each.textContent.trim()))
                .map(each => each.outerHTML)"""
        )
        assert nameless == []
    assert watch.complaints == []
    await context.close()


async def test_the_dialog_fits_on_a_phone(stack: Stack, page: Page) -> None:
    await page.set_viewport_size({"width": 390, "height": 700})
    await page.goto("/jobs")
    await page.get_by_role("button", name="New job").first.click()
    create = page.get_by_role("dialog").get_by_role("button", name="Create job")
    await expect(create).to_be_in_viewport()
    for section in ("Overlap and priority", "Retries, time limit", "Missed runs", "Description, tags"):
        await page.get_by_role("dialog").get_by_text(section).click()
    await expect(create).to_be_in_viewport()
    await page.get_by_label("Description").scroll_into_view_if_needed()
    await expect(page.get_by_label("Description")).to_be_in_viewport()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390


async def test_the_policy_of_the_page_allows_only_its_own_files(stack: Stack, page: Page) -> None:
    answer = await page.goto("/")
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "style-src 'self'" in policy
    assert "unsafe" not in policy
    origins: set[str] = set(
        await page.evaluate("performance.getEntriesByType('resource').map(each => new URL(each.name).origin)")
    )
    assert origins == {stack.url}


async def test_keys_lead_from_page_to_page(stack: Stack, page: Page) -> None:
    await page.goto("/")
    await is_live(page)
    for key, title in (
        ("j", "Jobs"),
        ("o", "Occurrences"),
        ("d", "Dead letters"),
        ("w", "Workers"),
        ("l", "Limits"),
        ("h", "Overview"),
    ):
        await page.keyboard.press("g")
        await page.keyboard.press(key)
        await expect(page).to_have_title(f"{title} · Leveret")
    await page.goto("/jobs")
    await expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
    await page.keyboard.press("/")
    await expect(page.get_by_label("Search jobs")).to_be_focused()
    await page.keyboard.type("g?j")
    await expect(page.get_by_label("Search jobs")).to_have_value("g?j")
    await page.get_by_role("heading", name="Jobs", exact=True).click()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_a_time_tells_both_clocks_when_pointed_at(stack: Stack, page: Page) -> None:
    await stack.job("once", trigger={"kind": "once", "at": "2031-07-01T12:00:00Z"})
    await page.goto("/jobs")
    await page.locator("time[datetime='2031-07-01T12:00:00.000Z']").hover()
    await expect(page.get_by_text("14:00:00 CEST")).to_be_visible()
    await expect(page.get_by_text("2031-07-01 12:00:00 UTC")).to_be_visible()


async def test_what_is_not_there_says_so(stack: Stack, page: Page, watch: Watch) -> None:
    watch.expect("status of 404")
    for address, heading in {
        "/jobs/4711": "There is no such job",
        "/occurrences/4711": "There is no such occurrence",
        "/nowhere": "There is no such page",
        "/occurrences?job=nobody": "There is no job of this name",
    }.items():
        await page.goto(address)
        await expect(page.get_by_role("heading", name=heading)).to_be_visible()


async def test_an_error_is_shown_in_the_words_of_the_api(stack: Stack, page: Page, watch: Watch) -> None:
    watch.expect("status of 422")
    await page.goto("/occurrences?worker=nobody")
    answer = (await stack.rest.get("/occurrences", params={"worker": "nobody"})).json()
    await expect(page.get_by_role("alert")).to_contain_text(answer["detail"])


def test_the_dashboard_is_light(built_dashboard: Path) -> None:
    files = [file for file in built_dashboard.rglob("*") if file.is_file() and not file.name.startswith(".")]
    sizes = {file.name: len(gzip.compress(file.read_bytes())) for file in files}
    assert sum(sizes.values()) < BUDGET, sizes
