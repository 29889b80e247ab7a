"""Backfills on the page of a job: counted before, followed, cancelled."""

from __future__ import annotations

from playwright.async_api import Page, expect

from browser.conftest import Watch
from browser.handlers import Bench
from browser.stack import Stack

MIDNIGHT = {"kind": "cron", "expression": "0 0 * * *", "timezone": "Europe/Berlin"}


async def _open(page: Page, name: str) -> None:
    await page.get_by_role("button", name=f"More about {name}").click()
    await page.get_by_role("menuitem", name="Backfill").click()


async def test_a_backfill_is_counted_started_and_followed(stack: Stack, bench: Bench, page: Page) -> None:
    job = await stack.job("daily", trigger=MIDNIGHT, payload={"format": "csv"})
    await page.goto(f"/jobs/{job['id']}")
    await _open(page, "daily")
    dialog = page.get_by_role("dialog", name="Backfill daily")
    await expect(dialog.get_by_text("Times are in Europe/Berlin")).to_be_visible()
    await expect(dialog.get_by_role("button", name="Start backfill")).to_be_disabled()
    # The clocks changed on the 29th; both ends belong to it.
    await dialog.get_by_label("From").fill("2026-03-28T00:00:00")
    await dialog.get_by_label("To", exact=True).fill("2026-03-31T00:00:00")
    await expect(dialog.get_by_text("4 fire times")).to_be_visible()
    await expect(
        dialog.get_by_text("from Sat, 28 Mar 2026, 00:00:00 +01:00 to Tue, 31 Mar 2026, 00:00:00 +02:00")
    ).to_be_visible()
    await dialog.get_by_role("button", name="Start backfill").click()
    await expect(page.get_by_role("progressbar", name="Backfill")).to_have_attribute("aria-valuenow", "100")
    await expect(page.get_by_text("completed, 4 of 4 ended")).to_be_visible()
    assert len(bench.ran) == 4
    await page.get_by_role("link", name="4 succeeded").click()
    rows = page.get_by_role("table", name="Occurrences").locator("tbody tr")
    await expect(rows).to_have_count(4)
    await expect(rows.first).to_contain_text("backfill")


async def test_a_backfill_is_cancelled_with_what_runs_of_it(stack: Stack, bench: Bench, page: Page) -> None:
    job = await stack.job("slow", "demo.steps", trigger=MIDNIGHT)
    await page.goto(f"/jobs/{job['id']}")
    await _open(page, "slow")
    dialog = page.get_by_role("dialog", name="Backfill slow")
    await dialog.get_by_label("From").fill("2026-05-01T00:00:00")
    await dialog.get_by_label("To", exact=True).fill("2026-05-10T00:00:00")
    await dialog.get_by_role("button", name="Start backfill").click()
    await expect(page.get_by_role("link", name="1 running")).to_be_visible()
    await page.get_by_role("button", name="Cancel backfill").click()
    confirm = page.get_by_role("dialog", name="Cancel backfill")
    await confirm.get_by_label("Reason").fill("wrong month")
    await confirm.get_by_label("Cancel what runs of it, too").check()
    await confirm.get_by_role("button", name="Cancel it").click()
    await expect(page.get_by_text("wrong month").first).to_be_visible()
    await expect(page.get_by_text("cancelled, ")).to_be_visible()
    await expect(page.get_by_role("link", name="running")).to_have_count(0)
    backfill = (await stack.rest.get("/jobs/slow/backfills")).json()["items"][0]
    assert (backfill["state"], backfill["reason"]) == ("cancelled", "wrong month")


async def test_a_range_that_cannot_be_is_said_at_its_field(stack: Stack, page: Page, watch: Watch) -> None:
    watch.expect("status of 422")
    job = await stack.job("daily", trigger=MIDNIGHT)
    await page.goto(f"/jobs/{job['id']}")
    await _open(page, "daily")
    dialog = page.get_by_role("dialog", name="Backfill daily")
    await dialog.get_by_label("From").fill("2026-03-28T00:00:00")
    await dialog.get_by_label("To", exact=True).fill("2026-03-27T00:00:00")
    await expect(dialog.get_by_text("It ends before it begins.")).to_be_visible()
    await dialog.get_by_label("To", exact=True).fill("2099-01-01T00:00:00")
    await expect(dialog.get_by_text("More than 1,000 fire times")).to_be_visible()
    await dialog.get_by_role("button", name="Start backfill").click()
    await expect(dialog.get_by_label("To", exact=True)).to_have_attribute("aria-invalid", "true")
