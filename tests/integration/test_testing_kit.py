"""The environment of `leveret.testing` and the product agree: the same stories, told to both, end in the same way.

The kit has no rule of its own where the core has one; but what the product says in SQL (slots, queues, admission, keys), the
kit says again in Python. This is what keeps the two together.
"""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from support.random_stories import random_story
from support.scenarios import Step, Story, differences, in_order, told_to_the_environment
from support.told_to_control import ToldToControl

HOURLY = {"kind": "cron", "expression": "0 * * * *"}
EACH_MINUTE = {"kind": "interval", "every": 60}


def job(*plan: tuple[float, str], trigger: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A job whose attempts take so many seconds each and end so."""
    return {
        "payload": {"plan": [list(each) for each in plan] or [[0, "ok"]]},
        "trigger": trigger or {"kind": "manual"},
        **fields,
    }


def planned(*plan: tuple[float, str], **more: Any) -> dict[str, Any]:
    return {"payload": {"plan": [list(each) for each in plan], **more}}


STORIES = [
    Story(
        "clocks go forward",
        {
            "fixed": job(trigger={"kind": "cron", "expression": "30 2 * * *", "timezone": "Europe/Berlin"}),
            "half-hourly": job(trigger={"kind": "cron", "expression": "*/30 1-3 * * *", "timezone": "Europe/Berlin"}),
        },
        begin=datetime(2026, 3, 28, tzinfo=UTC),
        until=2 * 86_400,
    ),
    Story(
        "clocks go back",
        {
            "fixed": job(trigger={"kind": "cron", "expression": "30 2 * * *", "timezone": "Europe/Berlin"}),
            "wild": job(trigger={"kind": "cron", "expression": "*/30 2 * * *", "timezone": "Europe/Berlin"}),
        },
        begin=datetime(2026, 10, 24, tzinfo=UTC),
        until=2 * 86_400,
    ),
    Story("skip while one runs", {"job": job((150, "ok"), trigger=EACH_MINUTE)}, until=700),
    Story("skip with two places", {"job": job((150, "ok"), trigger=EACH_MINUTE, max_concurrent=2)}, until=700),
    Story("a run that ends on the next tick", {"job": job((60, "ok"), trigger=EACH_MINUTE)}, until=400),
    Story(
        "queue, in order, and full",
        {"job": job((100, "ok"), concurrency="queue", max_waiting=2)},
        tuple(Step(10 * n, "trigger") for n in range(5)),
    ),
    Story("queue of ticks", {"job": job((150, "ok"), trigger=EACH_MINUTE, concurrency="queue", max_waiting=3)}, until=900),
    Story("allow", {"job": job((150, "ok"), trigger=EACH_MINUTE, concurrency="allow")}, until=500),
    Story("replace what runs", {"job": job((150, "ok"), trigger=EACH_MINUTE, concurrency="replace")}, until=400),
    Story(
        "replace what waits to be tried again",
        {"job": job((5, "fail"), concurrency="replace", retry={"max_attempts": 3, "delay": 100})},
        (Step(0, "trigger"), Step(30, "trigger"), Step(31, "trigger", given=planned((5, "ok")))),
    ),
    Story(
        "replace with two places",
        {"job": job((300, "ok"), concurrency="replace", max_concurrent=2)},
        tuple(Step(10 * n, "trigger") for n in range(5)),
    ),
    Story(
        "keys of a queue",
        {"job": job((100, "ok"), concurrency="queue", concurrency_key="for.customer")},
        tuple(
            Step(n, "trigger", given=planned((100, "ok"), **{"for": {"customer": customer}}))
            for n, customer in enumerate(
                ["ada", "ada", "bob", 7, "7", None, ["x", 1], {"a": 1.5}, True, "x" * 201, "backfill:1", "ada"]
            )
        ),
    ),
    Story(
        "down for hours, the latest runs",
        {"job": job(trigger=HOURLY, catch_up="latest"), "none": job(trigger=HOURLY, catch_up="none")},
        (Step(1800, "down"), Step(6 * 3600 + 600, "up")),
        until=9 * 3600,
    ),
    Story(
        "down for hours, all run",
        {
            "all": job((10, "ok"), trigger=HOURLY, catch_up="all", catch_up_window=3 * 3600, concurrency="queue"),
            "skip": job((10, "ok"), trigger=HOURLY, catch_up="all", catch_up_window=3 * 3600),
            "replace": job((10, "ok"), trigger=HOURLY, catch_up="all", catch_up_window=3 * 3600, concurrency="replace"),
            "two": job(
                (10, "ok"), trigger=HOURLY, catch_up="all", catch_up_window=86_400, max_concurrent=2, concurrency="queue"
            ),
        },
        (Step(1800, "down"), Step(6 * 3600 + 600, "up")),
        until=9 * 3600,
    ),
    Story(
        "down for weeks",
        {
            "latest": job(trigger=EACH_MINUTE),
            "all": job(trigger=EACH_MINUTE, catch_up="all", catch_up_window=86_400, concurrency="skip", max_runs=1500),
        },
        (Step(1830, "down"), Step(2 * 86_400 + 10, "up")),
        until=2 * 86_400 + 100,
    ),
    Story(
        "down while it runs and is to be tried again",
        {"job": job((600, "fail"), (5, "ok"), trigger=HOURLY, retry={"max_attempts": 2, "delay": 60})},
        (Step(3700, "down"), Step(3 * 3600 + 30, "up")),
        until=4 * 3600,
    ),
    Story(
        "paused, triggered, resumed",
        {"job": job(trigger=HOURLY)},
        (Step(3700, "pause"), Step(8000, "trigger"), Step(4 * 3600 + 5, "resume")),
        until=7 * 3600,
    ),
    Story(
        "retries with growing delays",
        {"job": job((2, "fail"), (3, "fail"), (1, "fail"), (1, "ok"), retry={"max_attempts": 4, "delay": 10, "factor": 3})},
        (Step(5, "trigger"),),
    ),
    Story(
        "retries that come to an end",
        {
            "capped": job((1, "fail"), retry={"max_attempts": 5, "delay": 100, "factor": 10, "max_delay": 300}),
            "said": job((1, "retry"), (1, "fail for good"), retry={"max_attempts": 5}),
            "once": job((1, "fail"), retry={"max_attempts": 1}),
            "cancels": job((1, "fail"), (1, "cancel"), retry={"max_attempts": 5}),
        },
        tuple(Step(0, "trigger", name) for name in ("capped", "said", "once", "cancels")),
    ),
    Story(
        "snoozed and skipped by the handler",
        {
            "sleepy": job((1, "snooze"), (1, "fail"), (1, "snooze"), (1, "ok"), retry={"max_attempts": 2, "delay": 4}),
            "too-sleepy": job((1, "snooze"), concurrency="queue"),
            "nothing": job((1, "skip"), disable_after=1),
        },
        (Step(0, "trigger", "sleepy"), Step(0, "trigger", "nothing"), Step(1, "trigger", "too-sleepy")),
    ),
    Story(
        "timeouts",
        {
            "job": job((40, "ok"), (10, "ok"), timeout=30, retry={"max_attempts": 2, "delay": 7}),
            "last": job((40, "ok"), timeout=30),
        },
        (Step(0, "trigger"), Step(0, "trigger", "last")),
    ),
    Story(
        "disabled after failures in a row",
        {
            "job": job((1, "fail"), trigger=HOURLY, disable_after=3, retry={"max_attempts": 2, "delay": 5}),
            "times-out": job((9, "ok"), trigger=HOURLY, disable_after=2, timeout=3, retry={"max_attempts": 1}),
        },
        (Step(3700, "trigger", given=planned((1, "ok"))), Step(6 * 3600, "trigger")),
        until=9 * 3600,
    ),
    Story(
        "cancelled while it waits, runs, is to be tried again",
        {
            "queue": job((100, "ok"), concurrency="queue"),
            "runs": job((100, "ok")),
            "retries": job((1, "fail"), retry={"max_attempts": 3, "delay": 100}),
        },
        (
            *(Step(n, "trigger", "queue") for n in range(3)),
            Step(3, "trigger", "runs"),
            Step(3, "trigger", "retries"),
            Step(10, "cancel", "queue"),
            Step(10, "cancel", "runs"),
            Step(10, "cancel", "retries"),
        ),
    ),
    Story(
        "the worker dies",
        {
            "job": job((100, "ok"), retry={"max_attempts": 1, "delay": 5, "max_lost": 3}),
            "deadly": job((100, "ok"), retry={"max_attempts": 1, "max_lost": 1}, disable_after=1),
        },
        (Step(0, "trigger"), Step(0, "trigger", "deadly"), Step(10, "kill"), Step(60, "kill")),
    ),
    Story(
        "few slots: in the order they came",
        {"job": job((10, "ok"), concurrency="allow"), "urgent": job((10, "ok"), concurrency="allow", priority=9)},
        (*(Step(n, "trigger") for n in range(4)), Step(4, "trigger", "urgent"), Step(5, "trigger", given={"priority": 8})),
        slots=1,
    ),
    Story(
        "a narrow window: the most important first",
        {"job": job((10, "ok"), concurrency="allow"), "urgent": job((10, "ok"), concurrency="allow", priority=9)},
        (*(Step(n, "trigger") for n in range(5)), Step(5, "trigger", "urgent"), Step(6, "trigger", given={"priority": 7})),
        slots=1,
        window=2,
    ),
    Story(
        "jitter, an end, and a number of runs",
        {
            "spread": job(trigger={"kind": "cron", "expression": "0 * * * *", "jitter": 600.0}),
            "spread-queue": job((900, "ok"), trigger={"kind": "interval", "every": 600, "jitter": 300.0}, concurrency="queue"),
            "ends": job(trigger={"kind": "interval", "every": 600, "end_at": "2030-01-01T00:35:00Z"}),
            "thrice": job(trigger=EACH_MINUTE, max_runs=3),
            "once": job(trigger={"kind": "once", "at": "2030-01-01T02:00:00", "timezone": "Europe/Berlin"}),
        },
        until=3 * 3600 + 1,
    ),
    Story(
        "idempotency keys, requeues",
        {"job": job((1, "fail"), retry={"max_attempts": 1})},
        (
            Step(0, "trigger", given={"idempotency_key": "a"}),
            Step(5, "trigger", given={"idempotency_key": "a", **planned((1, "ok"))}),
            Step(6, "trigger", given={"idempotency_key": "b", "priority": 2}),
            Step(10, "requeue", given=planned((1, "ok"))),
            Step(20, "requeue"),
            Step(20, "trigger"),
        ),
    ),
    Story(
        "triggered for later",
        {
            "job": job((30, "ok")),
            "queue": job((30, "ok"), concurrency="queue"),
            "replace": job((30, "ok"), concurrency="replace"),
        },
        (
            *(Step(n, "trigger", name, {"delay": 100.0}) for n in (0, 10, 20) for name in ("job", "queue", "replace")),
            Step(50, "trigger", "job", {"delay": 500.0, **planned((1, "fail for good"))}),
            Step(90, "cancel", "queue"),
        ),
    ),
]


@pytest.mark.parametrize("story", STORIES, ids=str)
async def test_the_environment_and_the_product_agree(story: Story, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Delays of retries are drawn; both sides draw the longest.
    monkeypatch.setattr(random, "uniform", max)
    product, jobs_of_product = await ToldToControl(database_url, story).play()
    kit, jobs_of_kit = told_to_the_environment(story)
    assert product, "the story tells of nothing"
    assert differences(in_order(kit), in_order(product)) == []
    assert jobs_of_kit == jobs_of_product


@pytest.mark.parametrize("number", range(200 if os.environ.get("LEVERET_EXHAUSTIVE") == "1" else 4))
async def test_they_agree_about_random_stories(number: int, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await test_the_environment_and_the_product_agree(random_story(number), database_url, monkeypatch)
