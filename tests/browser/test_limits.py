"""Rate limits of job types: set, changed, lifted, and told on the pages of jobs."""

from __future__ import annotations

from playwright.async_api import Page, expect

from browser.conftest import Watch
from browser.stack import Stack


async def test_a_limit_is_set_changed_and_lifted(stack: Stack, page: Page) -> None:
    await stack.job("welcome")
    await page.goto("/limits")
    await page.get_by_role("button", name="New limit").first.click()
    dialog = page.get_by_role("dialog", name="New limit")
    await dialog.get_by_label("Type", exact=True).fill("demo.quick")
    await dialog.get_by_label("At most").fill("100")
    await dialog.get_by_label("In", exact=True).fill("1m")
    await dialog.get_by_role("button", name="Set limit").click()
    row = page.get_by_role("table", name="Rate limits").get_by_role("row").filter(has_text="demo.quick")
    await expect(row).to_contain_text("100 in 1m")
    assert (await stack.rest.get("/rate-limits/demo.quick")).json() == {"type": "demo.quick", "count": 100, "per": 60}

    await page.goto("/jobs")
    await page.get_by_role("link", name="welcome").click()
    await expect(page.get_by_role("link", name="100 in 1m")).to_be_visible()
    await page.get_by_role("link", name="100 in 1m").click()

    await row.get_by_role("button", name="More about demo.quick").click()
    await page.get_by_role("menuitem", name="Change").click()
    dialog = page.get_by_role("dialog", name="Limit of demo.quick")
    await dialog.get_by_label("At most").fill("5")
    await dialog.get_by_role("button", name="Save").click()
    await expect(row).to_contain_text("5 in 1m")

    await row.get_by_role("button", name="More about demo.quick").click()
    await page.get_by_role("menuitem", name="Lift").click()
    await page.get_by_role("dialog", name="Lift the limit of demo.quick?").get_by_role("button", name="Lift it").click()
    await expect(page.get_by_role("heading", name="No type is limited")).to_be_visible()
    assert (await stack.rest.get("/rate-limits")).json()["items"] == []


async def test_a_limit_holds_for_each_value_of_a_payload(stack: Stack, page: Page) -> None:
    await stack.rest.put("/rate-limits/demo.quick", json={"count": 100, "per": 60})
    await page.goto("/limits")
    await page.get_by_role("button", name="New limit").click()
    dialog = page.get_by_role("dialog", name="New limit")
    await dialog.get_by_label("Type", exact=True).fill("demo.quick")
    await dialog.get_by_text("For each value").click()
    await dialog.get_by_label("For each", exact=True).fill("customer.id")
    await dialog.get_by_label("At most").fill("5")
    await dialog.get_by_role("button", name="Set limit").click()
    rows = page.get_by_role("table", name="Rate limits").locator("tbody tr")
    await expect(rows).to_have_count(2)
    await expect(rows.filter(has_text="5 in 1s for each customer.id")).to_be_visible()
    by_key = {"type": "demo.quick", "key": "customer.id", "count": 5, "per": 1}
    assert (await stack.rest.get("/rate-limits")).json()["by_key"] == [by_key]
    await page.get_by_role("button", name="More about demo.quick for each customer.id").click()
    await page.get_by_role("menuitem", name="Lift").click()
    await page.get_by_role("dialog").get_by_role("button", name="Lift it").click()
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("100 in 1m")


async def test_what_is_wrong_with_a_limit_is_said_at_its_field(stack: Stack, page: Page, watch: Watch) -> None:
    watch.expect("status of 422")
    await page.goto("/limits")
    await page.get_by_role("button", name="New limit").first.click()
    dialog = page.get_by_role("dialog", name="New limit")
    await dialog.get_by_role("button", name="Set limit").click()
    await expect(dialog.get_by_label("Type", exact=True)).to_have_accessible_description("is needed")
    await dialog.get_by_label("Type", exact=True).fill("demo.quick")
    await dialog.get_by_label("At most").fill("0")
    await dialog.get_by_role("button", name="Set limit").click()
    await expect(dialog.get_by_label("At most")).to_have_attribute("aria-invalid", "true")
    await expect(dialog.get_by_label("At most")).to_be_focused()
