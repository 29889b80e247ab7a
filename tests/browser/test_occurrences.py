"""One occurrence and the list of them: what they tell, and what can be done."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from browser.conftest import Watch
from browser.handlers import Bench
from browser.stack import Stack
from leveret import JobContext, Skip, Snooze
from leveret.registry import Handler
from leveret_core.hints import Hint
from leveret_core.store.reads import occurrences as occurrence_reads
from leveret_core.store.reads import pages
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
    await stack.job("chatty", "demo.steps", payload={"lines": 900})
    occurrence = await stack.trigger("chatty")
    await page.goto(f"/occurrences/{occurrence['id']}")
    log = page.get_by_role("log")
    await expect(page.get_by_text("900 lines")).to_be_visible()
    await expect(log).to_contain_text("line 900 of 900")
    assert await log.locator(".log-line").count() < 100
    await log.evaluate("log => { log.scrollTop = 0 }")
    await expect(log).to_contain_text("line 1 of 900")
    bench.let_go()
    await expect(page.get_by_text("901 lines")).to_be_visible()
    await expect(log).to_contain_text("line 1 of 900")


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
    new = await page.get_by_role("heading", level=1).text_content()
    await page.get_by_role("link", name=str(occurrence["id"]), exact=True).click()
    await expect(page.get_by_role("definition").get_by_role("link", name=str(new).split()[-1], exact=True)).to_be_visible()


async def test_a_skipped_occurrence_names_the_one_in_its_way(stack: Stack, bench: Bench, page: Page) -> None:
    await stack.job("migration", "demo.steps", concurrency="skip")
    first = await stack.trigger("migration")
    second = await stack.trigger("migration")
    await page.goto("/occurrences")
    row = page.get_by_role("row").filter(has_text="skipped")
    await expect(row).to_contain_text("1 of 1 already live")
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


async def test_a_failure_says_why_in_lists_and_the_overview_counts_dead_letters(stack: Stack, bench: Bench, page: Page) -> None:
    await stack.job("bad", "demo.broken", retry={"max_attempts": 1}, concurrency="allow")
    for _ in range(3):
        made = await stack.trigger("bad")
        await eventually(partial(_ended, stack, made["id"]))
    for address in ("/", "/occurrences?state=failed"):
        await page.goto(address)
        await expect(page.get_by_text("RuntimeError: the printer is on fire").nth(2)).to_be_visible()
    await page.goto("/")
    await page.get_by_role("link", name="dead letters 3").click()
    await expect(page.get_by_role("table", name="Dead letters").locator("tbody tr")).to_have_count(3)


async def test_what_is_held_by_a_limit_says_so(stack: Stack, bench: Bench, page: Page) -> None:
    limit = await stack.rest.put("/rate-limits/demo.quick", json={"count": 2, "per": 60})
    assert limit.is_success
    await stack.job("busy", concurrency="allow")
    made = [await stack.trigger("busy") for _ in range(4)]
    await eventually(partial(_ended, stack, made[1]["id"]))
    await page.goto(f"/occurrences/{made[3]['id']}")
    await expect(page.get_by_text("Waits for the rate limit 2 per 60 s")).to_be_visible()


async def test_the_list_is_searched_by_pattern_error_time_and_state_together(stack: Stack, page: Page, watch: Watch) -> None:
    """All failed sendemail.* of yesterday with a timeout."""
    watch.expect("status of 422")
    job = await stack.job("mails", "sendemail.welcome")
    await stack.database.pool.execute(
        """insert into occurrence
        (job_id, job_name, job_version, type, payload, origin, scheduled_for, state, retry, finished_at, error)
        select $1, 'mails', 1, (array['sendemail.welcome', 'report.daily'])[1 + n % 2], '{}', 'schedule',
            now() - n * interval '1 minute', case when n % 3 = 0 then 'timed_out' else 'failed' end::occurrence_state, '{}',
            timestamptz '2026-03-01 00:30+01' + (n - 12) * interval '1 hour',
            jsonb_build_object('type', 'OSError', 'message', case when n % 5 = 0 then 'refused' else 'read timeout' end)
        from generate_series(1, 48) n""",
        job["id"],
    )
    await page.goto("/occurrences")
    rows = page.get_by_role("table", name="Occurrences").locator("tbody tr")
    await expect(rows).to_have_count(48)
    type_box = page.get_by_label("Type or pattern")
    await type_box.press_sequentially("sendemail.*")
    await page.get_by_label("Error holds").press_sequentially("timeout")
    await page.get_by_label("Ended since").fill("2026-03-01T00:00")
    await page.get_by_label("until").fill("2026-03-02T00:00")
    await page.get_by_role("button", name="failed", exact=True).click()
    # n from 12 to 35, even, neither a third nor a fifth
    await expect(rows).to_have_count(len([n for n in range(12, 36) if n % 2 == 0 and n % 3 and n % 5]))
    for part in ("type=sendemail.", "error=timeout", "since=2026-02-28T23", "until=2026-03-01T23", "state=failed"):
        assert part in page.url
    await type_box.fill("send*")
    await expect(page.get_by_role("alert")).to_contain_text("stand alone between dots")


async def test_a_search_that_looked_at_much_says_so_and_goes_on(
    stack: Stack, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await stack.job("busy")
    await stack.database.pool.execute(
        """insert into occurrence
        (job_id, job_name, job_version, type, payload, origin, scheduled_for, state, retry, finished_at)
        select $1, 'busy', 1, case when n > 1 then 'demo.quick' else 'rare.one' end, '{}', 'schedule',
            now() - n * interval '1 minute', 'succeeded', '{}', now()
        from generate_series(1, 120) n""",
        job["id"],
    )
    monkeypatch.setattr(occurrence_reads, "SCAN", 100)
    monkeypatch.setattr(pages, "SCAN_TIME", 0)
    await page.goto("/occurrences?type=rare.*")
    await expect(page.get_by_role("heading", name="Nothing found among 100 so far")).to_be_visible()
    await page.get_by_role("link", name="Look on").click()
    await expect(page.get_by_role("table", name="Occurrences").locator("tbody tr")).to_have_count(1)


async def test_a_long_log_is_searched_filtered_and_downloaded_while_it_is_written(
    stack: Stack, bench: Bench, page: Page
) -> None:
    await stack.job("chatty", "demo.steps")
    occurrence = await stack.trigger("chatty")
    await page.goto(f"/occurrences/{occurrence['id']}")
    log = page.get_by_role("log")
    await expect(log).to_contain_text("line 3 of 3")
    await stack.database.pool.execute(
        """insert into occurrence_log (occurrence_id, attempt, seq, at, level, message, fields)
        select $1, 1, n, now(), case when n % 1000 = 0 then 'error' when n = 3333 then 'warning' else 'info' end,
            case when n = 3333 then '1,000 log records are left out here' else 'row ' || n end,
            case when n = 3333 then '{"left_out": 1000}'::jsonb else '{"customer": "ann"}' end
        from generate_series(11, 5000) n""",
        occurrence["id"],
    )
    stack.services.hints.send(Hint("logs", (occurrence["id"],)))
    await expect(page.get_by_text("4,993 lines")).to_be_visible(timeout=20_000)
    await page.get_by_label("Search the log").fill("ROW 4321")
    await expect(log.locator(".log-line")).to_have_count(1)
    await expect(log.locator("mark")).to_have_text("row 4321")
    await expect(log.locator(".log-gap")).to_have_text("1,000 log records are left out here")
    await page.get_by_label("Search the log").fill("")
    await page.get_by_label("Level").select_option("error and above")
    await expect(page.get_by_text("6 of 4,993 lines")).to_be_visible()
    await expect(log.locator(".log-line")).to_have_count(5)
    async with page.expect_download() as download:
        await page.get_by_role("link", name="text", exact=True).click()
    file = await download.value
    assert file.suggested_filename == f"occurrence-{occurrence['id']}.log"
    written = await asyncio.to_thread(Path(await file.path()).read_text)
    assert len(written.splitlines()) == 4_993
    assert "ERROR    [1] row 5000 customer=ann" in written
    bench.let_go()


async def _ended(stack: Stack, id: int) -> bool:
    return (await stack.occurrence(id))["finished_at"] is not None
