"""Policies over REST: replace, concurrency keys, priorities and auto-disable."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from leveret_core.messages import Cancel
from support.api import HOURLY, Api, running_api
from support.control import Control, finished


@pytest.fixture
async def api(database_url: str) -> AsyncGenerator[Api]:
    async with running_api(database_url) as running:
        yield running


async def test_the_policies_of_a_job_are_read_back_changed_and_put_back_to_their_defaults(api: Api) -> None:
    given: dict[str, Any] = {"concurrency": "replace", "concurrency_key": "customer.id", "priority": 9, "disable_after": 5}
    job = await api.job(**given)
    assert {name: job[name] for name in given} == given
    assert job["failures"] == 0
    assert (await api.ok("PATCH", "/jobs/daily", json={"priority": 0}))["priority"] == 0
    changed = await api.ok("PATCH", "/jobs/daily", json=dict.fromkeys(given))
    assert {name: changed[name] for name in given} == {
        "concurrency": "skip",
        "concurrency_key": None,
        "priority": 5,
        "disable_after": None,
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("priority", 10),
        ("priority", -1),
        ("priority", 1.5),
        ("disable_after", 0),
        ("disable_after", True),
        ("concurrency_key", ""),
        ("concurrency_key", "a..b"),
        ("concurrency_key", "a. b"),
        ("concurrency_key", "x" * 201),
        ("concurrency_key", 7),
        ("concurrency", "swap"),
    ],
)
async def test_what_is_no_policy_is_refused(api: Api, field: str, value: Any) -> None:
    body = {"name": "daily", "type": "report.daily", "trigger": HOURLY, field: value}
    assert (await api.refused("POST", "/jobs", 422, json=body)).keys() == {field}


async def test_a_trigger_that_replaces_tells_the_worker_and_the_pages(api: Api) -> None:
    control = Control(api.db)
    worker = await control.worker()
    await api.job(concurrency="replace")
    first = await api.ok("POST", "/jobs/daily/trigger", 202)
    answer = await control.claim(worker, first["id"])
    api.hints.clear()
    second = await api.ok("POST", "/jobs/daily/trigger", 202)
    assert (second["state"], second["blocker_id"]) == ("waiting", first["id"])
    (word,) = api.broker.words
    assert isinstance(word, Cancel)
    assert (word.worker, word.occurrence, word.attempt) == (worker, first["id"], 1)
    assert ("occurrences", (first["id"],)) in [(hint.topic, hint.ids) for hint in api.hints]
    old = await api.ok("GET", f"/occurrences/{first['id']}")
    assert (old["state"], old["reason"]) == ("cancelling", f"replaced by occurrence {second['id']}")
    await control.report(worker, finished(answer, "cancelled"))
    assert (await api.ok("GET", f"/occurrences/{second['id']}"))["state"] == "pending"


async def test_a_trigger_may_have_a_priority_and_shows_its_key(api: Api) -> None:
    await api.job(concurrency_key="customer.id")
    made = await api.ok("POST", "/jobs/daily/trigger", 202, json={"payload": {"customer": {"id": "ada"}}, "priority": 9})
    assert (made["priority"], made["concurrency_key"]) == (9, "ada")
    listed = await api.ok("GET", "/occurrences")
    assert [(o["priority"], o["concurrency_key"]) for o in listed["items"]] == [(9, "ada")]
    assert (await api.refused("POST", "/jobs/daily/trigger", 422, json={"priority": 10})).keys() == {"priority"}


async def test_a_disabled_job_is_shown_as_paused_and_can_be_resumed(api: Api) -> None:
    control = Control(api.db)
    worker = await control.worker()
    await api.job(trigger=HOURLY, disable_after=1, retry={"max_attempts": 1})
    made = await api.ok("POST", "/jobs/daily/trigger", 202)
    await control.report(worker, finished(await control.claim(worker, made["id"]), "failed"))
    job = await api.ok("GET", "/jobs/daily")
    assert (job["paused"], job["failures"], job["next_fire_at"]) == (True, 1, None)
    assert job["pause_reason"].startswith("disabled after 1 failure in a row")
    assert [j["name"] for j in (await api.ok("GET", "/jobs?paused=true"))["items"]] == ["daily"]
    job = await api.ok("POST", "/jobs/daily/resume")
    assert (job["paused"], job["failures"]) == (False, 0)
    assert job["next_fire_at"] is not None


async def test_another_limit_of_failures_counts_from_now(api: Api) -> None:
    job = await api.job()
    await api.db.pool.execute("update job set failures = 7 where id = $1", job["id"])
    assert (await api.ok("PATCH", "/jobs/daily", json={"disable_after": 3}))["failures"] == 0


async def test_a_changed_concurrency_key_holds_for_what_is_live(api: Api) -> None:
    control = Control(api.db)
    job = await api.job(concurrency="queue")
    for who in "abab":
        await api.ok("POST", "/jobs/daily/trigger", 202, json={"payload": {"who": who}})
    assert await control.states(job["id"]) == ["pending", "waiting", "waiting", "waiting"]
    await api.ok("PATCH", "/jobs/daily", json={"concurrency_key": "who"})
    assert await control.states(job["id"]) == ["pending", "pending", "waiting", "waiting"]
    assert await control.violations() == []
    await api.ok("PATCH", "/jobs/daily", json={"concurrency_key": None})
    assert await control.states(job["id"]) == ["pending", "pending", "waiting", "waiting"]
    worker = await control.worker()
    ids = [row["id"] for row in await control.db.pool.fetch("select id from occurrence order by id")]
    await control.report(worker, finished(await control.claim(worker, ids[1])))
    assert await control.states(job["id"]) == ["pending", "succeeded", "waiting", "waiting"]
    await control.report(worker, finished(await control.claim(worker, ids[0])))
    assert await control.states(job["id"]) == ["succeeded", "succeeded", "pending", "waiting"]
    assert await control.violations() == []
