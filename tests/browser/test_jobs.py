"""Jobs in the dashboard: listed, made, changed, triggered, paused, deleted."""

from __future__ import annotations

from playwright.async_api import Page, expect

from browser.conftest import Watch
from browser.handlers import Bench
from browser.stack import Stack
from leveret.registry import Registry

REFUSED = r"status of 4(09|22)"
"""How Chromium itself logs an answer that a test provokes."""


async def test_an_empty_list_tells_how_to_make_the_first_job(stack: Stack, page: Page) -> None:
    await page.goto("/jobs")
    await expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
    await expect(page.get_by_text(f"curl {stack.url}/api/v1/jobs")).to_be_visible()


async def test_a_job_made_over_rest_appears_without_a_reload(stack: Stack, page: Page) -> None:
    await page.goto("/jobs")
    await expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
    await stack.job("nightly", trigger={"kind": "cron", "expression": "0 6 * * *", "timezone": "Europe/Berlin"})
    row = page.get_by_role("row").filter(has_text="nightly")
    await expect(row).to_contain_text("every day at 06:00 Europe/Berlin")
    await expect(row).to_contain_text("never ran")


async def test_the_dialog_previews_a_cron_job_and_makes_it(stack: Stack, page: Page) -> None:
    await page.goto("/jobs")
    await page.get_by_role("button", name="New job").first.click()
    dialog = page.get_by_role("dialog", name="New job")
    await dialog.get_by_label("Name").fill("sunday-close")
    await dialog.get_by_label("Type").fill("demo.quick")
    await dialog.get_by_label("Expression").fill("30 2 * * SUN")
    await dialog.get_by_label("Time zone").fill("America/New_York")
    fire_times = dialog.get_by_role("complementary").get_by_role("listitem")
    await expect(fire_times).to_have_count(5)
    await expect(dialog.get_by_role("complementary")).to_contain_text("in America/New_York")
    await expect(fire_times.first).to_contain_text("Sun,")
    await expect(fire_times.first).to_contain_text("02:30:00 -0")
    await expect(fire_times.first).to_contain_text("UTC")
    await dialog.get_by_label("Payload").fill('{"month": 11, "id": 9007199254740993123}')
    await dialog.get_by_role("button", name="Create job").click()
    await expect(page.get_by_role("heading", name="sunday-close")).to_be_visible()
    job = (await stack.rest.get("/jobs/sunday-close")).json()
    assert job["trigger"] == {"kind": "cron", "expression": "30 2 * * SUN", "timezone": "America/New_York"} | {
        name: job["trigger"][name] for name in job["trigger"].keys() - {"kind", "expression", "timezone"}
    }
    assert job["payload"] == {"month": 11, "id": 9007199254740993123}
    assert (job["concurrency"], job["retry"]["max_attempts"]) == ("skip", 3)


async def test_what_is_wrong_is_said_at_its_field(stack: Stack, page: Page, watch: Watch) -> None:
    watch.expect(REFUSED)
    await stack.job("taken")
    await page.goto("/jobs")
    await page.get_by_role("button", name="New job").click()
    dialog = page.get_by_role("dialog", name="New job")
    expression = dialog.get_by_label("Expression")
    await expression.fill("61 * * * *")
    await expect(expression).to_have_attribute("aria-invalid", "true")
    await expect(expression).to_have_accessible_description("minute: 61 is above 59")
    await expression.fill("0 6 * * *")
    await expect(expression).not_to_have_attribute("aria-invalid", "true")
    await dialog.get_by_label("Name").fill("not a name")
    await dialog.get_by_label("Payload").fill("{oops")
    await dialog.get_by_role("button", name="Create job").click()
    await expect(dialog.get_by_label("Payload")).to_have_attribute("aria-invalid", "true")
    await dialog.get_by_label("Payload").fill("{}")
    await dialog.get_by_role("button", name="Create job").click()
    for label in ("Name", "Type"):
        await expect(dialog.get_by_label(label, exact=True)).to_have_attribute("aria-invalid", "true")
    await dialog.get_by_label("Name").fill("taken")
    await dialog.get_by_label("Type").fill("demo.quick")
    await dialog.get_by_role("button", name="Create job").click()
    await expect(dialog.get_by_text("taken", exact=False)).to_be_visible()
    assert len((await stack.rest.get("/jobs")).json()["items"]) == 1


async def test_every_kind_of_trigger_can_be_made(stack: Stack, page: Page) -> None:
    for kind, fields in {
        "Interval": {"Every": "1h 30m"},
        "Once": {"At": "2031-06-01T08:15:00", "Time zone": "Asia/Tokyo"},
        "By hand": {},
    }.items():
        await page.goto("/jobs")
        await page.get_by_role("button", name="New job").first.click()
        dialog = page.get_by_role("dialog", name="New job")
        await dialog.get_by_label("Name").fill(kind.replace(" ", "-"))
        await dialog.get_by_label("Type").fill("demo.quick")
        await dialog.get_by_text(kind, exact=True).click()
        for label, value in fields.items():
            await dialog.get_by_label(label, exact=True).fill(value)
        await dialog.get_by_role("button", name="Create job").click()
        await expect(page.get_by_role("heading", name=kind.replace(" ", "-"))).to_be_visible()
    made = {job["name"]: job["trigger"] for job in (await stack.rest.get("/jobs")).json()["items"]}
    assert made["Interval"]["every"] == 5400
    assert made["Once"]["at"].startswith("2031-05-31T23:15:00")
    assert made["By-hand"] == {"kind": "manual"}


async def test_an_edit_changes_only_what_was_touched(stack: Stack, page: Page) -> None:
    job = await stack.job("daily", trigger={"kind": "interval", "every": 7200}, timeout=90, payload={"a": 1})
    await page.goto(f"/jobs/{job['id']}")
    await page.get_by_role("button", name="Edit").click()
    dialog = page.get_by_role("dialog", name="Edit daily")
    await expect(dialog.get_by_label("Every")).to_have_value("2h")
    await dialog.get_by_text("Retries, time limit").click()
    await dialog.get_by_label("Time limit").fill("")
    await dialog.get_by_text("Description, tags").click()
    await dialog.get_by_label("Description").fill("Once a day, or so")
    await dialog.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Once a day, or so", exact=True)).to_be_visible()
    changed = (await stack.rest.get("/jobs/daily")).json()
    same = job.keys() - {"timeout", "description", "version", "updated_at"}
    assert {name: changed[name] for name in same} == {name: job[name] for name in same}
    assert (changed["timeout"], changed["description"]) == (None, "Once a day, or so")


async def test_an_edit_does_not_take_back_what_somebody_else_changed(stack: Stack, page: Page, watch: Watch) -> None:
    watch.expect(REFUSED)
    job = await stack.job("shared")
    await page.goto(f"/jobs/{job['id']}")
    await page.get_by_role("button", name="Edit").click()
    dialog = page.get_by_role("dialog", name="Edit shared")
    await dialog.get_by_label("Type").fill("demo.steps")
    await stack.rest.patch("/jobs/shared", json={"description": "theirs"})
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("version")
    assert (await stack.rest.get("/jobs/shared")).json()["type"] == "demo.quick"
    await dialog.get_by_role("button", name="Read it again and keep mine").click()
    await expect(dialog.get_by_role("alert")).to_have_count(0)
    await expect(dialog.get_by_label("Type")).to_have_value("demo.steps")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog).to_have_count(0)
    changed = (await stack.rest.get("/jobs/shared")).json()
    assert (changed["type"], changed["description"]) == ("demo.steps", "theirs")


async def test_triggering_a_job_leads_to_the_occurrence(stack: Stack, bench: Bench, page: Page) -> None:
    job = await stack.job("by-hand", payload={"to": "ada"})
    await page.goto(f"/jobs/{job['id']}")
    await page.get_by_role("button", name="Trigger now").click()
    await expect(page.get_by_test_id("state")).to_have_text("succeeded")
    await expect(page.get_by_label("Result")).to_contain_text('"to": "ada"')
    assert bench.ran == [{"to": "ada"}]


async def test_a_job_is_triggered_from_the_list_with_another_payload(stack: Stack, bench: Bench, page: Page) -> None:
    await stack.job("by-hand", payload={"to": "ada"})
    await page.goto("/jobs")
    await page.get_by_role("button", name="More about by-hand").click()
    await page.get_by_role("menuitem", name="Trigger with payload, later").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Payload").fill('{"to": "grace"}')
    await dialog.get_by_role("button", name="Trigger now").click()
    await expect(page.get_by_test_id("state")).to_have_text("succeeded")
    assert bench.ran == [{"to": "grace"}]


async def test_a_job_is_paused_with_a_reason_and_resumed(stack: Stack, page: Page) -> None:
    job = await stack.job("mails", trigger={"kind": "interval", "every": 3600})
    await page.goto(f"/jobs/{job['id']}")
    await page.get_by_role("button", name="Pause").click()
    dialog = page.get_by_role("dialog", name="Pause mails?")
    await dialog.get_by_label("Reason").fill("the relay is down")
    await dialog.get_by_role("button", name="Pause").click()
    await expect(page.get_by_text("the relay is down")).to_be_visible()
    assert (await stack.rest.get("/jobs/mails")).json()["pause_reason"] == "the relay is down"
    await page.get_by_role("button", name="Resume").click()
    await expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert (await stack.rest.get("/jobs/mails")).json()["paused"] is False


async def test_a_job_is_deleted_only_after_a_second_thought(stack: Stack, page: Page) -> None:
    await stack.job("old")
    await page.goto("/jobs")
    for answer in ("Keep as it is", "Delete"):
        await page.get_by_role("button", name="More about old").click()
        await page.get_by_role("menuitem", name="Delete").click()
        await page.get_by_role("dialog", name="Delete old?").get_by_role("button", name=answer).click()
        await expect(page.get_by_role("dialog")).to_have_count(0)
        if answer == "Keep as it is":
            assert (await stack.rest.get("/jobs/old")).status_code == 200
    await expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
    assert (await stack.rest.get("/jobs/old")).status_code == 404


async def test_jobs_are_searched_and_the_address_keeps_the_search(stack: Stack, page: Page) -> None:
    for name in ("red-apple", "green-apple", "pear"):
        await stack.job(name)
    await page.goto("/jobs")
    await page.get_by_label("Search jobs").fill("apple")
    rows = page.get_by_role("table", name="Jobs").locator("tbody tr")
    await expect(rows).to_have_count(2)
    await expect(page).to_have_url(f"{stack.url}/jobs?search=apple")
    await page.reload()
    await expect(rows).to_have_count(2)
    await page.get_by_label("Search jobs").fill("plum")
    await expect(page.get_by_role("heading", name="No job matches")).to_be_visible()


async def test_every_policy_of_a_job_can_be_set_and_read(stack: Stack, page: Page) -> None:
    await page.goto("/jobs")
    await page.get_by_role("button", name="New job").first.click()
    dialog = page.get_by_role("dialog", name="New job")
    await dialog.get_by_label("Name").fill("mails")
    await dialog.get_by_label("Type").fill("demo.quick")
    await dialog.get_by_label("Expression").fill("0 6 * * *")
    sections = {
        "First and last time": {"Not before": "2031-01-01T00:00:00", "Spread over": "5m"},
        "Overlap and priority": {"At once, at most": "2", "Apart for each": "customer.id", "Priority": "9"},
        "Retries, time limit": {"Attempts": "5", "Lost workers, at most": "2", "Time limit": "90", "Disable after": "4"},
        "Missed runs": {"not older than": "2h", "Runs, at most": "3"},
        "Description, tags": {"Description": "Says hello", "Tags": "mail, daily"},
    }
    for section, fields in sections.items():
        await dialog.get_by_text(section).click()
        if section.startswith("Overlap"):
            await dialog.get_by_text("Replace", exact=True).click()
        if section.startswith("Missed"):
            await dialog.get_by_text("All", exact=True).click()
        for label, value in fields.items():
            await dialog.get_by_label(label).fill(value)
    # Three runs are all it may have, each up to five minutes late.
    fire_times = dialog.get_by_role("complementary")
    await expect(fire_times.get_by_role("listitem")).to_have_count(3)
    await expect(fire_times).to_contain_text("up to 5m later")
    await dialog.get_by_role("button", name="Create job").click()
    await expect(page.get_by_role("heading", name="mails")).to_be_visible()
    job = (await stack.rest.get("/jobs/mails")).json()
    wanted = {
        "concurrency": "replace",
        "max_concurrent": 2,
        "concurrency_key": "customer.id",
        "priority": 9,
        "timeout": 90,
        "disable_after": 4,
        "catch_up": "all",
        "catch_up_window": 7200,
        "max_runs": 3,
        "tags": ["mail", "daily"],
    }
    assert {name: job[name] for name in wanted} == wanted
    assert (job["retry"]["max_attempts"], job["retry"]["max_lost"]) == (5, 2)
    assert (job["trigger"]["jitter"], job["trigger"]["start_at"]) == (300, "2030-12-31T23:00:00Z")
    facts = page.get_by_role("definition")
    for text in ("replace, 2 at once", "customer.id", "9 of 9", "0 in a row, disabled after 4", "at most 2"):
        await expect(facts.filter(has_text=text).first).to_be_visible()


async def test_a_field_out_of_sight_comes_into_sight_when_it_is_wrong(stack: Stack, page: Page, watch: Watch) -> None:
    watch.expect(REFUSED)
    await page.goto("/jobs")
    await page.get_by_role("button", name="New job").first.click()
    dialog = page.get_by_role("dialog", name="New job")
    await dialog.get_by_label("Name").fill("mails")
    await dialog.get_by_label("Type").fill("demo.quick")
    await dialog.get_by_text("By hand", exact=True).click()
    await dialog.get_by_text("Overlap and priority").click()
    await dialog.get_by_label("Priority").fill("12")
    await dialog.get_by_text("Overlap and priority").click()
    await expect(dialog.get_by_label("Priority")).to_be_hidden()
    await expect(dialog.get_by_text("priority 12")).to_be_visible()
    await dialog.get_by_role("button", name="Create job").click()
    await expect(dialog.get_by_label("Priority")).to_be_visible()
    await expect(dialog.get_by_label("Priority")).to_have_attribute("aria-invalid", "true")


async def test_what_is_refused_takes_the_focus_and_comes_into_sight(stack: Stack, page: Page, watch: Watch) -> None:
    watch.expect(REFUSED)
    await page.set_viewport_size({"width": 1280, "height": 600})
    await page.goto("/jobs")
    await page.get_by_role("button", name="New job").first.click()
    dialog = page.get_by_role("dialog", name="New job")
    name = dialog.get_by_label("Name")
    await expect(name).to_be_focused()
    await name.fill("no such name")
    await dialog.get_by_label("Type").fill("demo.quick")
    await dialog.get_by_text("By hand", exact=True).click()
    for section in ("Overlap and priority", "Retries, time limit", "Description, tags"):
        await dialog.get_by_text(section).click()
    await dialog.get_by_label("Description").scroll_into_view_if_needed()
    await expect(name).not_to_be_in_viewport()
    await dialog.get_by_role("button", name="Create job").click()
    await expect(name).to_be_focused()
    await expect(name).to_be_in_viewport()
    await expect(name).to_have_attribute("aria-invalid", "true")
    await name.fill("such-a-name")
    await stack.job("such-a-name")
    await dialog.get_by_label("Description").scroll_into_view_if_needed()
    await dialog.get_by_role("button", name="Create job").click()
    await expect(dialog.get_by_role("alert")).to_be_in_viewport()
    await expect(dialog.get_by_role("alert")).to_contain_text("such-a-name")


async def test_escape_does_not_lose_what_was_typed(stack: Stack, page: Page) -> None:
    await page.goto("/jobs")
    await page.get_by_role("button", name="New job").first.click()
    dialog = page.get_by_role("dialog", name="New job")
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await page.get_by_role("button", name="New job").first.click()
    await dialog.get_by_label("Name").press_sequentially("mails")
    await page.keyboard.press("Escape")
    await dialog.get_by_role("button", name="Go on typing").click()
    await expect(dialog.get_by_label("Name")).to_have_value("mails")
    await page.keyboard.press("Escape")
    await dialog.get_by_role("alert").get_by_role("button", name="Close").click()
    await expect(dialog).to_have_count(0)


async def test_a_job_disabled_by_its_failures_says_so_and_is_enabled_again(stack: Stack, bench: Bench, page: Page) -> None:
    job = await stack.job("printout", "demo.broken", concurrency="allow", retry={"max_attempts": 1}, disable_after=2)
    for _ in range(2):
        await stack.trigger("printout")
    await page.goto(f"/jobs/{job['id']}")
    await expect(page.get_by_text("Disabled after failures")).to_be_visible()
    await expect(page.get_by_text("disabled after 2 failures in a row; the last: RuntimeError")).to_be_visible()
    await expect(page.get_by_text("2 in a row, disabled after 2")).to_be_visible()
    await expect(page.get_by_role("link", name="Its failures")).to_be_visible()
    await page.get_by_role("button", name="Enable again").click()
    await expect(page.get_by_role("button", name="Pause")).to_be_visible()
    again = (await stack.rest.get("/jobs/printout")).json()
    assert (again["paused"], again["failures"]) == (False, 0)


async def test_a_job_from_code_says_what_becomes_of_changes(stack: Stack, page: Page) -> None:
    registry = Registry()

    @registry.job("demo.daily", cron="0 6 * * *", tz="Europe/Berlin")
    async def daily() -> None:
        """Make the day's report."""

    async with stack.worker(registry.handlers):
        await page.goto("/jobs")
        await page.get_by_role("link", name="demo.daily").click()
        await expect(page.get_by_text("from code")).to_be_visible()
        await page.get_by_role("button", name="Edit").click()
        await expect(page.get_by_role("dialog").get_by_text("declares this job in code")).to_be_visible()
        await page.get_by_role("button", name="Cancel", exact=True).click()
        await page.get_by_role("button", name="More about demo.daily").click()
        await page.get_by_role("menuitem", name="Delete").click()
        await expect(page.get_by_role("dialog").get_by_text("pause it instead")).to_be_visible()
