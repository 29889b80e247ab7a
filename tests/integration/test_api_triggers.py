"""Runs for later, and many at once, over REST."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leveret_core.hints import Hint
from support.api import Api, running_api
from support.control import Control

TEN_MINUTES = timedelta(minutes=10)


@pytest.fixture
async def api(database_url: str) -> AsyncGenerator[Api]:
    async with running_api(database_url, payload_limit=2000) as running:
        yield running


def due(occurrence: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(occurrence["scheduled_for"])


async def test_a_delay_and_a_time_make_a_run_for_later(api: Api) -> None:
    await api.job()
    made = await api.trigger("daily", delay=600, payload={"a": 1}, priority=9)
    assert (made["state"], made["origin"], made["priority"]) == ("scheduled", "manual", 9)
    assert abs(due(made) - datetime.now(UTC) - TEN_MINUTES) < timedelta(seconds=10)
    assert Hint("scheduled") in api.hints
    shown = await api.ok("GET", f"/occurrences/{made['id']}")
    assert (shown["payload"], shown["rung"], shown["attempts"]) == ({"a": 1}, False, [])

    at = (datetime.now(UTC) + TEN_MINUTES).replace(microsecond=0)
    made = await api.trigger("daily", at=at.astimezone().isoformat())
    assert timedelta(0) < due(made) - at < timedelta(milliseconds=1)
    listed = await api.ok("GET", "/occurrences", params={"state": "scheduled", "job": "daily"})
    assert len(listed["items"]) == 2
    overview = await api.ok("GET", "/overview")
    assert overview["occurrences"]["scheduled"] == 2
    assert 'leveret_occurrences{state="scheduled"} 2.0' in (await api.http.get("/metrics")).text


async def test_what_is_due_already_runs_now(api: Api) -> None:
    await api.job(concurrency="allow")
    for body in ({"delay": 0}, {"at": "2001-01-01T00:00:00Z"}, {"at": "0001-01-01T12:00:00-11:00"}):
        made = await api.trigger("daily", **body)
        assert made["state"] == "pending"
        assert abs(due(made) - datetime.now(UTC)) < timedelta(seconds=10)


async def test_a_key_finds_a_run_for_later_and_answers_200(api: Api) -> None:
    await api.job()
    made = await api.trigger("daily", delay=60, idempotency_key="k")
    for body, headers in (({"idempotency_key": "k"}, {}), ({"delay": 9}, {"Idempotency-Key": "k"})):
        again = await api.ok("POST", "/jobs/daily/trigger", 200, json=body, headers=headers)
        assert again["id"] == made["id"]


async def test_a_run_for_later_is_cancelled(api: Api) -> None:
    await api.job()
    made = await api.trigger("daily", delay=60)
    cancelled = await api.ok("POST", f"/occurrences/{made['id']}/cancel", 202, json={"reason": "no"})
    assert (cancelled["state"], cancelled["reason"]) == ("cancelled", "no")


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({"delay": -1}, "delay", "greater than or equal to 0"),
        ({"delay": 1e12}, "delay", "less than or equal to"),
        ({"delay": 1, "at": "2030-01-01T00:00:00Z"}, "at", "together with delay"),
        ({"at": "2030-01-01T00:00:00"}, "at", "needs a time zone"),
        ({"at": "tomorrow"}, "at", "ISO 8601"),
        ({"at": "9999-12-31T23:59:59-12:00"}, "at", ""),
        ({"at": "2999-01-01T00:00:00Z"}, "at", "more than ten years away"),
        ({"at": 1700000000}, "at", "string"),
        ({"priority": 10, "delay": 5}, "priority", ""),
    ],
)
async def test_what_is_no_time_is_refused(api: Api, body: dict[str, Any], field: str, message: str) -> None:
    await api.job()
    problem = await api.refused("POST", "/jobs/daily/trigger", 422, json=body)
    assert list(problem) == [field]
    assert message in problem[field]


# --- many at once -----------------------------------------------------------------------------------------------------


async def test_many_are_planned_in_their_order_and_begin_when_the_dispatcher_looks(api: Api) -> None:
    daily, other = await api.job(concurrency="allow"), await api.job("other", type="report.other")
    items = [
        {"job": "daily", "payload": {"n": 0}},
        {"job": other["id"], "priority": 9},
        {"job": str(daily["id"]), "delay": 600, "idempotency_key": "k"},
        {"job": "daily", "at": "2001-01-01T00:00:00Z"},
        {"job": "daily", "idempotency_key": "k"},
    ]
    answer = await api.ok("POST", "/triggers", 202, json={"items": items})
    made = answer["items"]
    assert answer["created"] == 4
    assert [each["job_name"] for each in made] == ["daily", "other", "daily", "daily", "daily"]
    assert [each["state"] for each in made] == ["scheduled"] * 5
    assert made[4]["id"] == made[2]["id"]
    assert Hint("scheduled") in api.hints

    control = Control(api.db)
    while await control.admitter(await control.term()).run_once() == 0:
        pass
    again = await api.ok("POST", "/triggers", 202, json={"items": [items[2]]})
    assert (again["created"], again["items"][0]["state"]) == (0, "scheduled")
    states = [(await api.ok("GET", f"/occurrences/{each['id']}"))["state"] for each in made]
    assert states == ["pending", "pending", "scheduled", "pending", "scheduled"]


async def test_every_item_at_fault_is_named_and_none_is_planned(api: Api) -> None:
    await api.job()
    items = [
        {"job": "daily"},
        {"job": "daily", "delay": 1, "at": "2030-01-01T00:00:00Z"},
        {"job": "daily", "payload": {"text": "x" * 3000}},
        {"job": "daily", "payload": {"text": "\x00"}},
        {"job": "daily", "idempotency_key": ""},
        {"job": "no\x00body"},
    ]
    problem = await api.refused("POST", "/triggers", 422, json={"items": items})
    assert list(problem) == [
        "items.1.at",
        "items.2.payload",
        "items.3.payload.text",
        "items.4.idempotency_key",
        "items.5.job",
    ]
    wrong = [{"job": "daily"}, {"job": "daily", "priority": 11}, {"payload": {}}]
    problem = await api.refused("POST", "/triggers", 422, json={"items": wrong})
    assert list(problem) == ["items.1.priority", "items.2.job"]
    problem = await api.refused("POST", "/triggers", 422, json={"items": [{"job": "daily"}, {"job": "nobody"}]})
    assert problem == {"items.1.job": "there is no job named nobody"}
    assert (await api.ok("GET", "/occurrences"))["items"] == []


async def test_a_thousand_fit_into_a_request_and_no_more(api: Api) -> None:
    await api.job(concurrency="allow")
    items = [{"job": "daily", "payload": {"text": "x" * 1500}} for _ in range(1000)]
    assert len(json.dumps(items)) > 1024 * 1024, "more than other bodies may have"
    began = time.monotonic()
    answer = await api.ok("POST", "/triggers", 202, json={"items": items})
    print(f"1,000 runs planned in {time.monotonic() - began:.3f} s")
    ids = [each["id"] for each in answer["items"]]
    assert len(set(ids)) == answer["created"] == 1000
    assert ids == sorted(ids)
    assert list(await api.refused("POST", "/triggers", 422, json={"items": [*items, items[0]]})) == ["items"]
    assert list(await api.refused("POST", "/triggers", 422, json={"items": []})) == ["items"]
    await api.refused("POST", "/triggers", 413, content=b" " * (9 * 1024 * 1024))
    await api.refused("POST", "/jobs", 413, content=b" " * (2 * 1024 * 1024))
