"""Jobs triggered for a later time: shown with it, cancelled before it, run at it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from playwright.async_api import Locator, Page, expect

from browser.conftest import Watch
from browser.handlers import Bench
from browser.stack import Stack


async def _dialog(page: Page, id: int, name: str) -> Locator:
    await page.goto(f"/jobs/{id}")
    await page.get_by_role("button", name=f"More about {name}").click()
    await page.get_by_role("menuitem", name="Trigger with payload, later").click()
    return page.get_by_role("dialog", name=f"Trigger {name}")


async def test_a_job_triggered_for_a_time_waits_for_it_and_can_be_cancelled(stack: Stack, bench: Bench, page: Page) -> None:
    job = await stack.job("mails")
    dialog = await _dialog(page, job["id"], "mails")
    await dialog.get_by_text("At a time").click()
    await expect(dialog.get_by_text("Europe/Berlin")).to_be_visible()
    await dialog.get_by_label("At", exact=True).fill("2031-07-01T14:00:00")
    await dialog.get_by_label("Priority").fill("8")
    await dialog.get_by_role("button", name="Trigger later").click()
    await expect(page.get_by_test_id("state")).to_have_text("scheduled")
    await expect(page.get_by_text("14:00:00 CEST").first).to_be_visible()
    [made] = (await stack.rest.get("/occurrences?state=scheduled")).json()["items"]
    assert made["scheduled_for"].startswith("2031-07-01T12:00:00")
    assert made["priority"] == 8
    await page.goto("/occurrences?state=scheduled")
    await expect(page.get_by_role("row").filter(has_text="mails")).to_contain_text("scheduled")
    await page.goto(f"/occurrences/{made['id']}")
    await page.get_by_role("button", name="Cancel").click()
    await page.get_by_role("dialog").get_by_role("button", name="Cancel it").click()
    await expect(page.get_by_test_id("state")).to_have_text("cancelled")
    assert bench.ran == []


async def test_a_job_triggered_after_a_while_runs_then(stack: Stack, bench: Bench, page: Page) -> None:
    job = await stack.job("mails")
    dialog = await _dialog(page, job["id"], "mails")
    await dialog.get_by_text("After a while").click()
    await dialog.get_by_label("After", exact=True).fill("2s")
    await dialog.get_by_role("button", name="Trigger later").click()
    await expect(page.get_by_test_id("state")).to_have_text("succeeded")
    [made] = (await stack.rest.get("/occurrences")).json()["items"]
    late = datetime.fromisoformat(made["started_at"]) - datetime.fromisoformat(made["created_at"])
    assert timedelta(seconds=1.9) < late < timedelta(seconds=10)
    assert datetime.fromisoformat(made["scheduled_for"]) <= datetime.now(UTC)


async def test_what_cannot_be_is_said_at_its_field(stack: Stack, page: Page, watch: Watch) -> None:
    watch.expect("status of 422")
    job = await stack.job("mails")
    dialog = await _dialog(page, job["id"], "mails")
    await dialog.get_by_text("After a while").click()
    await dialog.get_by_label("After", exact=True).fill("soon")
    await dialog.get_by_label("Priority").fill("high")
    await dialog.get_by_role("button", name="Trigger later").click()
    for label in ("After", "Priority"):
        await expect(dialog.get_by_label(label, exact=True)).to_have_attribute("aria-invalid", "true")
    await dialog.get_by_text("At a time").click()
    await dialog.get_by_label("Priority").fill("")
    await dialog.get_by_label("At", exact=True).fill("9999-12-31T23:00:00")
    await dialog.get_by_role("button", name="Trigger later").click()
    await expect(dialog.get_by_label("At", exact=True)).to_have_attribute("aria-invalid", "true")
