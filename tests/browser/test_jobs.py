"""Jobs in the dashboard: listed, made, changed, triggered, paused, deleted."""

from __future__ import annotations

from playwright.async_api import Page, expect

from browser.conftest import Watch
from browser.handlers import Bench
from browser.stack import Stack

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
    await expect(fire_times).to_have_count(6)
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
    await dialog.get_by_label("Description").fill("Once a day, or so")
    await dialog.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Once a day, or so")).to_be_visible()
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
    await page.get_by_role("menuitem", name="Trigger with payload").click()
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
