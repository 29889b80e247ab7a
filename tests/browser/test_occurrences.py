"""One occurrence and the list of them: what they tell, and what can be done."""

from __future__ import annotations

from functools import partial

from playwright.async_api import Page, expect

from browser.handlers import Bench
from browser.stack import Stack
from leveret import JobContext, Skip, Snooze
from leveret.registry import Handler
from support.eventually import eventually


async def test_a_run_is_followed_while_it_goes_on(stack: Stack, bench: Bench, page: Page) -> None:
    await stack.job("migration", "demo.steps")
    occurrence = await stack.trigger("migration")
    await page.goto(f"/occurrences/{occurrence['id']}")
    state = page.get_by_test_id("state")
    await expect(state).to_have_text("running")
    await expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "42")
    await expect(page.get_by_text("42 of 100 rows")).to_be_visible()
    log = page.get_by_role("log")
    await expect(log).to_contain_text("line 3 of 3")
    bench.let_go()
    await expect(state).to_have_text("succeeded")
    await expect(log).to_contain_text("the last line")
    await expect(page.get_by_label("Result")).to_have_text('"all rows"')
    timeline = page.get_by_role("listitem").filter(has_text="Attempt 1")
    await expect(timeline).to_have_count(2)


async def test_a_long_log_is_followed_without_holding_every_line_in_the_page(stack: Stack, bench: Bench, page: Page) -> None:
    await stack.job("chatty", "demo.steps", payload={"lines": 1500})
    occurrence = await stack.trigger("chatty")
    await page.goto(f"/occurrences/{occurrence['id']}")
    log = page.get_by_role("log")
    await expect(page.get_by_text("1,500 lines")).to_be_visible()
    await expect(log).to_contain_text("line 1500 of 1500")
    assert await log.locator(".log-line").count() < 100
    await log.evaluate("log => { log.scrollTop = 0 }")
    await expect(log).to_contain_text("line 1 of 1500")
    bench.let_go()
    await expect(page.get_by_text("1,501 lines")).to_be_visible()
    await expect(log).to_contain_text("line 1 of 1500")


async def test_a_running_occurrence_is_cancelled_with_a_reason(stack: Stack, bench: Bench, page: Page) -> None:
    await stack.job("migration", "demo.steps")
    occurrence = await stack.trigger("migration")
    await page.goto(f"/occurrences/{occurrence['id']}")
    await expect(page.get_by_test_id("state")).to_have_text("running")
    await page.get_by_role("button", name="Cancel").click()
    dialog = page.get_by_role("dialog", name="Cancel occurrence")
    await dialog.get_by_label("Reason").fill("wrong table")
    await dialog.get_by_role("button", name="Cancel it").click()
    await expect(page.get_by_test_id("state")).to_have_text("cancelled")
    await expect(page.get_by_text("wrong table")).to_be_visible()
    await expect(page.get_by_role("button", name="Requeue")).to_be_visible()
    assert (await stack.occurrence(occurrence["id"]))["state"] == "cancelled"


async def test_a_failure_is_shown_with_its_traceback_and_requeued(stack: Stack, bench: Bench, page: Page) -> None:
    await stack.job("printout", "demo.broken", retry={"max_attempts": 2, "delay": 0})
    occurrence = await stack.trigger("printout")
    await page.goto(f"/occurrences/{occurrence['id']}")
    await expect(page.get_by_test_id("state")).to_have_text("failed")
    await expect(page.get_by_label("Traceback")).to_contain_text('raise RuntimeError("the printer is on fire")')
    await expect(page.get_by_text("Attempt 1 failed")).to_be_visible()
    await expect(page.get_by_role("log")).to_contain_text("Attempt 2")
    await stack.rest.patch("/jobs/printout", json={"type": "demo.quick"})
    await page.get_by_role("button", name="Requeue").click()
    dialog = page.get_by_role("dialog", name="Requeue occurrence")
    await dialog.get_by_label("Payload").fill('{"copies": 2}')
    await dialog.get_by_role("button", name="Requeue").click()
    await expect(page.get_by_text("a requeue of")).to_be_visible()
    await expect(page.get_by_role("link", name=str(occurrence["id"]), exact=True)).to_be_visible()


async def test_a_skipped_occurrence_names_the_one_in_its_way(stack: Stack, bench: Bench, page: Page) -> None:
    await stack.job("migration", "demo.steps", concurrency="skip")
    first = await stack.trigger("migration")
    second = await stack.trigger("migration")
    await page.goto("/occurrences")
    row = page.get_by_role("row").filter(has_text="skipped")
    await expect(row).to_contain_text("1 of 1 already running")
    await row.get_by_role("link", name=f"because of {first['id']}").click()
    await expect(page.get_by_role("heading", name=f"migration {first['id']}")).to_be_visible()
    await page.goto(f"/occurrences/{second['id']}")
    await expect(page.get_by_role("heading", name="Why it did not run")).to_be_visible()


async def test_a_waiting_occurrence_names_the_one_before_it(stack: Stack, bench: Bench, page: Page) -> None:
    await stack.job("migration", "demo.steps", concurrency="queue")
    first = await stack.trigger("migration")
    await stack.trigger("migration")
    await page.goto("/occurrences?state=waiting")
    row = page.get_by_role("row").filter(has_text="waiting")
    await expect(row.get_by_role("link", name=f"behind {first['id']}")).to_be_visible()
    bench.let_go()
    await expect(page.get_by_role("heading", name="No occurrence matches")).to_be_visible()


async def test_a_type_that_nobody_serves_is_pointed_out(stack: Stack, page: Page) -> None:
    await stack.job("orphan", "nobody.home")
    occurrence = await stack.trigger("orphan")
    await page.goto(f"/occurrences/{occurrence['id']}")
    await expect(page.get_by_text("No live worker serves nobody.home")).to_be_visible()
    await page.goto("/")
    await expect(page.get_by_role("link", name="nobody.home")).to_be_visible()
    await page.goto("/workers")
    await expect(page.get_by_role("heading", name="No worker is alive")).to_be_visible()
    await expect(page.get_by_text("No live worker serves a type that jobs have")).to_be_visible()


async def test_the_list_is_filtered_by_states_and_job(stack: Stack, bench: Bench, page: Page) -> None:
    for name, type in (("good", "demo.quick"), ("bad", "demo.broken")):
        await stack.job(name, type, retry={"max_attempts": 1})
        done = await stack.trigger(name)
        await eventually(partial(_ended, stack, done["id"]))
    await page.goto("/occurrences")
    rows = page.get_by_role("table", name="Occurrences").locator("tbody tr")
    await expect(rows).to_have_count(2)
    await page.get_by_role("button", name="failed", exact=True).click()
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("bad")
    await expect(page).to_have_url(f"{stack.url}/occurrences?state=failed")
    await page.get_by_role("button", name="All", exact=True).click()
    await page.get_by_label("Job name or id").fill("good")
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("succeeded")


async def test_older_occurrences_are_a_page_away(stack: Stack, page: Page) -> None:
    job = await stack.job("busy")
    await stack.database.pool.execute(
        """insert into occurrence
        (job_id, job_name, job_version, type, payload, origin, scheduled_for, state, retry, finished_at)
        select $1, 'busy', 1, 'demo.quick', '{}', 'schedule', now() - n * interval '1 minute', 'succeeded', '{}', now()
        from generate_series(120, 1, -1) n""",
        job["id"],
    )
    await page.goto("/occurrences")
    rows = page.get_by_role("table", name="Occurrences").locator("tbody tr")
    await expect(rows).to_have_count(50)
    newest = await rows.first.get_attribute("data-row")
    for expected in (50, 20):
        await page.get_by_role("link", name="Older").click()
        await expect(rows).to_have_count(expected)
        await expect(rows.first).not_to_have_attribute("data-row", newest or "")
    await expect(page.get_by_role("link", name="Older")).to_have_count(0)
    await page.go_back()
    await expect(rows).to_have_count(50)
    await page.get_by_role("link", name="To the first page").click()
    await expect(rows.first).to_have_attribute("data-row", newest or "")


async def test_a_snooze_a_checkpoint_and_a_skip_are_told(stack: Stack, page: Page) -> None:
    async def look(ctx: JobContext) -> Snooze | Skip:
        if ctx.checkpoint is None:
            await ctx.save_checkpoint({"seen": 41})
            return Snooze("still being made", after=0.1)
        return Skip("nothing new")

    await stack.job("looks", "demo.look")
    async with stack.worker([Handler(look, "demo.look")]):
        occurrence = await stack.trigger("looks")
        await page.goto(f"/occurrences/{occurrence['id']}")
        await expect(page.get_by_test_id("state")).to_have_text("skipped")
        await expect(page.get_by_text("Attempt 1 snoozed")).to_be_visible()
        await expect(page.get_by_text("nothing new").first).to_be_visible()
        await expect(page.get_by_label("Checkpoint")).to_contain_text('"seen": 41')
        await expect(page.get_by_text("1 snoozed", exact=False).first).to_be_visible()


async def _ended(stack: Stack, id: int) -> bool:
    return (await stack.occurrence(id))["finished_at"] is not None
