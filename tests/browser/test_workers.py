"""Workers: what they serve and take, and how one is drained."""

from __future__ import annotations

import asyncio

from playwright.async_api import Page, expect

from browser.stack import Stack
from leveret.registry import Handler


async def letter(to: str, copies: int = 1) -> None:
    """Print a letter and send it.

    Not shown.
    """


async def test_handlers_tell_what_they_do_and_take(stack: Stack, page: Page) -> None:
    async with (
        stack.worker([Handler(letter, "post.letter")], "one"),
        stack.worker([Handler(letter, "post.letter")], "two"),
    ):
        await page.goto("/workers")
        handler = page.get_by_role("listitem").filter(has_text="test_workers.letter")
        await expect(handler).to_have_count(1)
        await expect(handler).to_contain_text("2 workers")
        await handler.locator("summary").first.press("Enter")
        await expect(handler).to_contain_text("Print a letter and send it.")
        arguments = handler.get_by_role("table", name="What it takes")
        await expect(arguments.get_by_role("row").filter(has_text="to")).to_contain_text("textneeded")
        await expect(arguments.get_by_role("row").filter(has_text="copies")).to_contain_text("whole number1")
        await handler.get_by_text("JSON Schema").click()
        await expect(handler.get_by_label("JSON Schema of post.letter")).to_contain_text('"required"')


async def test_a_worker_is_drained_after_a_second_thought(stack: Stack, page: Page) -> None:
    async with stack.worker([Handler(letter, "post.letter")], "worker-1") as worker:
        await page.goto("/workers")
        row = page.get_by_role("table", name="Workers", exact=True).get_by_role("row").filter(has_text="worker-1")
        await row.get_by_role("button", name="Drain worker-1").click()
        dialog = page.get_by_role("dialog", name="Drain worker-1?")
        await expect(dialog).to_contain_text("takes nothing more")
        await dialog.get_by_role("button", name="Drain it").click()
        await expect(page.get_by_text("worker-1 drains")).to_be_visible()
        # What `leveret worker` does: it waits for this, then drains and ends.
        await asyncio.wait_for(worker.wait(), 10)
    gone = page.get_by_role("table", name="Gone workers").get_by_role("row").filter(has_text="worker-1")
    await expect(gone).to_contain_text("stopped")


async def test_a_job_is_marked_as_soon_as_its_last_worker_goes(stack: Stack, page: Page) -> None:
    await stack.job("letters", "post.letter", payload={"to": "ada"})
    await page.goto("/jobs")
    row = page.get_by_role("row").filter(has_text="letters")
    await expect(row).to_contain_text("no worker")
    async with stack.worker([Handler(letter, "post.letter")], "worker-1"):
        await expect(row).not_to_contain_text("no worker")
    await expect(row).to_contain_text("no worker")
