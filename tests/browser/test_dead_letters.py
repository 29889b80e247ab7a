"""Dead letters: found, requeued, changed and discarded, one by one and all that match."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from playwright.async_api import Page, expect

from browser.handlers import Bench
from browser.stack import Stack
from support.eventually import eventually


async def _failed(stack: Stack, name: str, type: str = "demo.broken", payloads: int = 1) -> list[int]:
    """Make a job whose occurrences fail, and `payloads` of them."""
    await stack.job(name, type, retry={"max_attempts": 1}, concurrency="allow")
    made = [(await stack.trigger(name, {} if type == "demo.broken" else {"n": n}))["id"] for n in range(payloads)]
    for each in made:
        await eventually(partial(_ended, stack, each))
    return made


async def _ended(stack: Stack, id: int) -> bool:
    return (await stack.occurrence(id))["finished_at"] is not None


async def _dead(stack: Stack) -> list[dict[str, Any]]:
    answer = await stack.rest.get("/dead-letters")
    assert answer.is_success, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_they_are_listed_with_their_errors_and_searched(stack: Stack, bench: Bench, page: Page) -> None:
    await page.goto("/dead-letters")
    await expect(page.get_by_role("heading", name="No dead letters")).to_be_visible()
    await _failed(stack, "printout")
    row = page.get_by_role("table", name="Dead letters").get_by_role("row").filter(has_text="printout")
    await expect(row).to_contain_text("RuntimeError: the printer is on fire")
    await expect(row).to_contain_text("failed")
    await page.get_by_label("Search errors").fill("out of paper")
    await expect(page.get_by_role("heading", name="No dead letter matches")).to_be_visible()
    await page.get_by_label("Search errors").fill("on fire")
    await expect(row).to_be_visible()
    await expect(page).to_have_url(f"{stack.url}/dead-letters?search=on+fire")
    await page.get_by_label("Until").fill("2020-01-01T00:00")
    await page.get_by_label("Until").press("Enter")
    await expect(page.get_by_role("heading", name="No dead letter matches")).to_be_visible()


async def test_one_is_requeued_with_another_payload(stack: Stack, bench: Bench, page: Page) -> None:
    [dead] = await _failed(stack, "printout")
    await stack.rest.patch("/jobs/printout", json={"type": "demo.quick"})
    await page.goto("/dead-letters")
    await page.get_by_label(f"Select occurrence {dead}").check()
    await page.get_by_role("button", name="Requeue").click()
    dialog = page.get_by_role("dialog", name=f"Requeue occurrence {dead}")
    await dialog.get_by_label("Payload").fill('{"copies": 2}')
    await dialog.get_by_role("button", name="Requeue").click()
    await expect(page.get_by_role("heading", name="No dead letters")).to_be_visible()
    await eventually(lambda: bench.ran == [{"copies": 2}])


async def test_some_are_requeued_as_they_were_and_the_others_stay(stack: Stack, bench: Bench, page: Page) -> None:
    dead = await _failed(stack, "printout", payloads=3)
    await stack.rest.patch("/jobs/printout", json={"type": "demo.quick"})
    await page.goto("/dead-letters")
    for each in dead[:2]:
        await page.get_by_label(f"Select occurrence {each}").check()
    await expect(page.get_by_text("2 selected")).to_be_visible()
    await page.get_by_role("button", name="Requeue").click()
    dialog = page.get_by_role("dialog", name="Requeue 2 dead letters")
    await dialog.get_by_role("button", name="Requeue").click()
    rows = page.get_by_role("table", name="Dead letters").locator("tbody tr")
    await expect(rows).to_have_count(1)
    await expect(page.get_by_text("2 selected")).to_have_count(0)
    assert [each["id"] for each in await _dead(stack)] == dead[2:]
    await eventually(lambda: bench.ran == [{}, {}])


async def test_all_that_match_are_requeued_with_a_changed_field(stack: Stack, bench: Bench, page: Page) -> None:
    # More than a page, and more than one request does at once.
    job = await stack.job("printout", "demo.quick", concurrency="allow", max_concurrent=1000)
    await stack.database.pool.execute(
        """insert into occurrence
        (job_id, job_name, job_version, type, payload, origin, scheduled_for, state, retry, finished_at, error)
        select $1, 'printout', 1, 'demo.quick', jsonb_build_object('n', n), 'manual', now() - n * interval '1 minute',
            'failed', '{"max_attempts": 1, "delay": 0, "factor": 1, "max_delay": 0, "max_lost": 1}', now(),
            '{"type": "OSError", "message": "no paper", "traceback": ""}'
        from generate_series(1, 230) n""",
        job["id"],
    )
    await page.goto("/dead-letters?search=paper")
    await page.get_by_role("button", name="Select all that match").click()
    await expect(page.get_by_text("All that match are selected")).to_be_visible()
    await page.get_by_role("button", name="Requeue").click()
    dialog = page.get_by_role("dialog", name="Requeue 230 dead letters")
    await dialog.get_by_text("Fields changed").click()
    await dialog.get_by_role("textbox", name="Payload").fill('{"paper": "fine"}')
    await dialog.get_by_role("button", name="Requeue").click()
    await expect(page.get_by_role("heading", name="No dead letter matches")).to_be_visible(timeout=30_000)
    await eventually(lambda: len(bench.ran) == 230)
    assert {each["paper"] for each in bench.ran} == {"fine"}
    assert sorted(each["n"] for each in bench.ran) == list(range(1, 231))


async def test_some_are_discarded_and_stay_in_the_history(stack: Stack, bench: Bench, page: Page) -> None:
    dead = await _failed(stack, "printout", payloads=2)
    await page.goto("/dead-letters")
    await page.get_by_label("Select this page").check()
    await page.get_by_role("button", name="Discard").click()
    dialog = page.get_by_role("dialog", name="Discard 2 dead letters?")
    await dialog.get_by_label("Reason").fill("test prints")
    await dialog.get_by_role("button", name="Discard").click()
    await expect(page.get_by_role("heading", name="No dead letters")).to_be_visible()
    await page.goto(f"/occurrences/{dead[0]}")
    await expect(page.get_by_test_id("state")).to_have_text("failed")
    await expect(page.get_by_text("discarded").first).to_be_visible()


async def test_one_is_discarded_on_its_own_page(stack: Stack, bench: Bench, page: Page) -> None:
    [dead] = await _failed(stack, "printout")
    await page.goto(f"/occurrences/{dead}")
    await page.get_by_role("button", name="Discard").click()
    dialog = page.get_by_role("dialog", name="Discard 1 dead letter?")
    await dialog.get_by_role("button", name="Discard").click()
    await expect(page.get_by_role("definition").filter(has_text="discarded")).to_be_visible()
    await expect(page.get_by_role("button", name="Discard")).to_have_count(0)
    assert await _dead(stack) == []


async def test_what_the_policy_of_its_job_refuses_stays_with_the_reason(stack: Stack, bench: Bench, page: Page) -> None:
    first, second = await _failed(stack, "printout", payloads=2)
    await stack.rest.patch("/jobs/printout", json={"type": "demo.steps", "concurrency": "skip"})
    await page.goto("/dead-letters")
    await page.get_by_label("Select this page").check()
    await page.get_by_role("button", name="Requeue").click()
    dialog = page.get_by_role("dialog", name="Requeue 2 dead letters")
    await dialog.get_by_role("button", name="Requeue").click()
    await expect(dialog).to_contain_text("1 done, 1 left")
    await expect(dialog).to_contain_text(re.compile(f"1 stays: its job takes no more just now.*{second}"))
    await dialog.get_by_role("button", name="Close", exact=True).last.click()
    rows = page.get_by_role("table", name="Dead letters").locator("tbody tr")
    await expect(rows).to_have_count(1)
    await expect(page.get_by_text("1 selected")).to_be_visible()
    assert [each["id"] for each in await _dead(stack)] == [second]
    assert (await stack.occurrence(first))["resolution"] == "requeued"


async def test_what_the_policy_refuses_is_counted_by_reason_and_waits_in_line_if_wanted(
    stack: Stack, bench: Bench, page: Page
) -> None:
    job = await stack.job("printout", "demo.steps", concurrency="skip")
    await _many(stack, job["id"], 32)
    await page.goto("/dead-letters")
    await page.get_by_label("Select this page").check()
    await page.get_by_role("button", name="Requeue").click()
    dialog = page.get_by_role("dialog", name="Requeue 32 dead letters")
    await dialog.get_by_role("button", name="Requeue").click()
    await expect(dialog).to_contain_text("1 done, 31 left")
    await expect(dialog).to_contain_text("31 stay: its job takes no more just now")
    await dialog.get_by_role("button", name="Requeue the rest in line").click()
    await expect(page.get_by_role("heading", name="No dead letters")).to_be_visible()
    counts = await stack.database.pool.fetch("select state::text, count(*) from occurrence where requeue_of > 0 group by 1")
    assert dict(tuple(row) for row in counts) == {"running": 1, "waiting": 31}
    bench.let_go()


async def test_filters_keep_the_focus_and_what_is_typed(stack: Stack, page: Page) -> None:
    job = await stack.job("printout", "demo.quick")
    await _many(stack, job["id"], 3, message="timeout")
    await page.goto("/dead-letters")
    search = page.get_by_label("Search errors")
    await search.press_sequentially("time")
    await expect(page).to_have_url(f"{stack.url}/dead-letters?search=time")
    await expect(page.get_by_role("table").locator("tbody tr")).to_have_count(3)
    await search.press_sequentially("out")
    await expect(page).to_have_url(f"{stack.url}/dead-letters?search=timeout")
    await expect(search).to_be_focused()
    await expect(search).to_have_value("timeout")
    # Without the focus these would be the keys for another page.
    await search.fill("smtp-")
    await expect(page).to_have_url(f"{stack.url}/dead-letters?search=smtp-")
    await page.keyboard.type("go")
    await expect(page).to_have_url(f"{stack.url}/dead-letters?search=smtp-go")


async def test_filters_that_are_filled_quickly_all_count(stack: Stack, page: Page) -> None:
    job = await stack.job("printout", "demo.quick")
    await _many(stack, job["id"], 32, message="timeout")
    await _many(stack, job["id"], 73, message="no paper", after=100)
    await page.goto("/dead-letters")
    await page.get_by_label("Search errors").press_sequentially("timeout")
    await page.get_by_label("Type").press_sequentially("demo.quick")
    await page.get_by_label("Since").fill("2020-01-01T00:00")
    await page.get_by_label("Until").fill("2099-01-01T00:00")
    await page.get_by_label("Until").press("Enter")
    rows = page.get_by_role("table", name="Dead letters").locator("tbody tr")
    await expect(rows).to_have_count(32)
    for part in ("search=timeout", "type=demo.quick", "since=2019-12-31T23", "until=2098-12-31T23"):
        assert part in page.url.replace("%3A", ":")
    await page.get_by_label("Select this page").check()
    await page.get_by_role("button", name="Requeue").click()
    await expect(page.get_by_role("dialog", name="Requeue 32 dead letters")).to_be_visible()


async def test_all_that_match_are_those_that_had_ended(stack: Stack, page: Page) -> None:
    """One that fails while they are picked, as a requeued one may, is not among them."""
    job = await stack.job("printout", "demo.quick")
    await _many(stack, job["id"], 60)
    await page.goto("/dead-letters")
    await page.get_by_role("button", name="Select all that match").click()
    await _many(stack, job["id"], 5, after=100)
    await stack.rest.patch("/jobs/printout", json={"description": "a change, so that the page looks again"})
    await page.get_by_role("button", name="Discard").click()
    await expect(page.get_by_role("dialog", name="Discard 60 dead letters?")).to_be_visible()
    await page.get_by_role("dialog").get_by_role("button", name="Discard").click()
    await expect(page.get_by_role("table", name="Dead letters").locator("tbody tr")).to_have_count(5)


async def test_a_filter_that_is_still_typed_does_not_call_its_reader_back(stack: Stack, page: Page) -> None:
    await page.goto("/dead-letters")
    await page.get_by_label("Search errors").press_sequentially("time")
    await page.get_by_role("link", name="Limits").click()
    await expect(page.get_by_role("heading", name="Rate limits")).to_be_visible()
    await page.wait_for_timeout(400)  # longer than a search waits for more
    await expect(page).to_have_url(f"{stack.url}/limits")


async def _many(stack: Stack, job: int, count: int, *, message: str = "no paper", after: int = 0) -> None:
    """Dead letters of a job, each ended a second after the one before, `after` seconds later than the first of all."""
    await stack.database.pool.execute(
        """insert into occurrence
        (job_id, job_name, job_version, type, payload, origin, scheduled_for, state, retry, finished_at, error)
        select $1, 'printout', 1, 'demo.quick', '{}', 'manual', now() - interval '1 day' + ($4 + n) * interval '1 second',
            'failed', '{"max_attempts": 1, "delay": 0, "factor": 1, "max_delay": 0, "max_lost": 1}',
            now() - interval '1 hour' + ($4 + n) * interval '1 second',
            jsonb_build_object('type', 'OSError', 'message', $3::text, 'traceback', '')
        from generate_series(1, $2) n""",
        job,
        count,
        message,
        after,
    )
