"""Payloads: a form made of what the handler announces, and JSON beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pytest
from playwright.async_api import Locator, Page, expect

from browser.conftest import Watch
from browser.stack import Stack
from leveret.registry import Handler


class Line(TypedDict):
    """One line of a letter."""

    text: str
    bold: bool


class Post:
    """A worker's handler that says what it takes, and keeps what it got."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    async def send(
        self,
        to: Annotated[str, msgspec.Meta(min_length=1, description="Who gets the letter")],
        copies: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1,
        paper: Literal["plain", "fine"] = "plain",
        urgent: bool = False,
        lines: list[Line] | None = None,
        stamp: int | None = None,
    ) -> str:
        """Send a letter."""
        self.sent.append({"to": to, "copies": copies, "paper": paper, "urgent": urgent, "lines": lines, "stamp": stamp})
        if to == "nobody":
            raise LookupError("there is no nobody")
        return "sent"


@pytest.fixture
async def post(stack: Stack) -> AsyncIterator[Post]:
    post = Post()
    async with stack.worker([Handler(post.send, "post.*")]):
        yield post


def _payload(dialog: Locator) -> Locator:
    return dialog.get_by_role("group", name="Payload", exact=True)


async def test_a_job_is_made_with_the_form_of_its_handler(stack: Stack, post: Post, page: Page) -> None:
    await page.goto("/jobs")
    await page.get_by_role("button", name="New job").first.click()
    dialog = page.get_by_role("dialog", name="New job")
    await dialog.get_by_label("Name", exact=True).fill("letters")
    await dialog.get_by_label("Type", exact=True).fill("post.letter")
    await expect(dialog.get_by_text("Send a letter.")).to_be_visible()
    await dialog.get_by_text("By hand", exact=True).click()
    form = _payload(dialog)
    await expect(form.get_by_text("Who gets the letter")).to_be_visible()
    await form.get_by_role("textbox", name="to", exact=True).fill("ada")
    await form.get_by_label("copies").fill("12")
    await expect(form.get_by_label("copies")).to_have_accessible_description("may be at most 9")
    await form.get_by_label("copies").fill("3")
    await form.get_by_label("paper").select_option("fine")
    await form.get_by_label("urgent").select_option("true")
    await form.get_by_role("button", name="Add to lines").click()
    await form.get_by_label("text").fill("Dear Ada")
    await form.get_by_label("bold").select_option("false")
    await dialog.get_by_role("button", name="Create job").click()
    await expect(page.get_by_role("heading", name="letters")).to_be_visible()
    assert (await stack.rest.get("/jobs/letters")).json()["payload"] == {
        "to": "ada",
        "copies": 3,
        "paper": "fine",
        "urgent": True,
        "lines": [{"text": "Dear Ada", "bold": False}],
    }


async def test_form_and_json_are_two_sides_of_one_payload(stack: Stack, post: Post, page: Page) -> None:
    job = await stack.job("letters", "post.letter", payload={"to": "ada"})
    await page.goto(f"/jobs/{job['id']}")
    await page.get_by_role("button", name="More about letters").click()
    await page.get_by_role("menuitem", name="Trigger with payload, later").click()
    dialog = page.get_by_role("dialog", name="Trigger letters")
    await _payload(dialog).get_by_label("copies").fill("2")
    await dialog.get_by_text("JSON", exact=True).click()
    text = dialog.get_by_role("textbox", name="Payload")
    await expect(text).to_have_value('{\n  "to": "ada",\n  "copies": 2\n}')
    await text.fill('{"to": "ada", "copies": 2, "stamp": 9007199254740993123}')
    await dialog.get_by_text("Form", exact=True).click()
    await expect(_payload(dialog).get_by_label("stamp")).to_have_value("9007199254740993123")
    await dialog.get_by_role("button", name="Trigger now").click()
    await expect(page.get_by_test_id("state")).to_have_text("succeeded")
    assert [each["stamp"] for each in post.sent] == [9007199254740993123]


async def test_what_the_handler_would_refuse_is_said_at_its_field(stack: Stack, post: Post, page: Page, watch: Watch) -> None:
    watch.expect("status of 422")
    job = await stack.job("letters", "post.letter", payload={"to": "ada", "copies": 2})
    await page.goto(f"/jobs/{job['id']}")
    await page.get_by_role("button", name="Edit").click()
    dialog = page.get_by_role("dialog", name="Edit letters")
    to = _payload(dialog).get_by_role("textbox", name="to", exact=True)
    await to.fill("")
    await dialog.get_by_role("button", name="Save").click()
    await expect(to).to_have_attribute("aria-invalid", "true")
    assert (await stack.rest.get("/jobs/letters")).json()["payload"] == {"to": "ada", "copies": 2}
    await to.fill("grace")
    await expect(to).not_to_have_attribute("aria-invalid", "true")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog).to_have_count(0)
    assert (await stack.rest.get("/jobs/letters")).json()["payload"] == {"to": "grace", "copies": 2}


async def test_a_job_without_a_payload_that_does_asks_for_one(stack: Stack, post: Post, page: Page, watch: Watch) -> None:
    watch.expect("status of 422")
    job = await stack.job("letters", "post.letter")
    await page.goto(f"/jobs/{job['id']}")
    await page.get_by_role("button", name="Trigger now").click()
    dialog = page.get_by_role("dialog", name="Trigger letters")
    await _payload(dialog).get_by_role("textbox", name="to", exact=True).fill("ada")
    await dialog.get_by_role("button", name="Trigger now").click()
    await expect(page.get_by_test_id("state")).to_have_text("succeeded")
    assert [each["to"] for each in post.sent] == ["ada"]


async def test_a_failed_one_is_requeued_with_the_form(stack: Stack, post: Post, page: Page) -> None:
    await stack.job("letters", "post.letter", payload={"to": "nobody"}, retry={"max_attempts": 1})
    failed = await stack.trigger("letters")
    await page.goto(f"/occurrences/{failed['id']}")
    await expect(page.get_by_test_id("state")).to_have_text("failed")
    await page.get_by_role("button", name="Requeue").click()
    dialog = page.get_by_role("dialog", name="Requeue occurrence")
    await _payload(dialog).get_by_role("textbox", name="to", exact=True).fill("grace")
    await dialog.get_by_role("button", name="Requeue").click()
    await expect(page.get_by_text("a requeue of")).to_be_visible()
    await expect(page.get_by_test_id("state")).to_have_text("succeeded")
    assert [each["to"] for each in post.sent] == ["nobody", "grace"]


async def test_jobs_without_a_worker_are_marked(stack: Stack, post: Post, page: Page) -> None:
    await stack.job("letters", "post.letter", payload={"to": "ada"})
    orphan = await stack.job("orphan", "nobody.home")
    await page.goto("/jobs")
    await expect(page.get_by_role("row").filter(has_text="orphan")).to_contain_text("no worker")
    await expect(page.get_by_role("row").filter(has_text="letters")).not_to_contain_text("no worker")
    await page.get_by_label("Served or not").select_option("false")
    rows = page.get_by_role("table", name="Jobs").locator("tbody tr")
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("orphan")
    await page.goto(f"/jobs/{orphan['id']}")
    await expect(page.get_by_text("No live worker serves nobody.home")).to_be_visible()
