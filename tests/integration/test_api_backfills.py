"""Backfills over REST, on a real Postgres."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from leveret_core.hints import Hint
from leveret_core.messages import Cancel
from support.api import HOURLY, Api, running_api
from support.control import Control

RANGE = {"start_at": "2026-02-01T00:00:00Z", "end_at": "2026-02-01T09:30:00Z"}


@pytest.fixture
async def api(database_url: str) -> AsyncGenerator[Api]:
    async with running_api(database_url, backfill_limit=50, payload_limit=100) as running:
        yield running


@pytest.fixture
def control(api: Api) -> Control:
    return Control(api.db)


async def start(api: Api, job: str = "daily", **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = await api.ok("POST", f"/jobs/{job}/backfills", 202, json=RANGE | fields)
    return made


async def test_a_backfill_tells_how_far_it_is(api: Api, control: Control) -> None:
    job = await api.job(trigger=HOURLY)
    made = await start(api, concurrency="queue", max_concurrent=2, payload={"a": 1})
    assert made == {
        "id": made["id"],
        "job_id": job["id"],
        "job_name": "daily",
        "start_at": "2026-02-01T00:00:00Z",
        "end_at": "2026-02-01T09:30:00Z",
        "concurrency": "queue",
        "max_concurrent": 2,
        "payload": {"a": 1},
        "state": "running",
        "reason": None,
        "total": 10,
        "created": 0,
        "existing": 0,
        "counts": {},
        "created_at": made["created_at"],
        "finished_at": None,
    }
    assert Hint("backfills", (made["id"],)) in api.hints
    await control.backfiller(await control.term(), ahead=4).run_once()
    found = await api.ok("GET", f"/backfills/{made['id']}")
    assert (found["created"], found["counts"]) == (4, {"pending": 2, "waiting": 2})
    occurrences = (await api.ok("GET", f"/occurrences?backfill={made['id']}"))["items"]
    assert [(o["origin"], o["backfill_id"], o["state"]) for o in occurrences] == [
        ("backfill", made["id"], "waiting"),
        ("backfill", made["id"], "waiting"),
        ("backfill", made["id"], "pending"),
        ("backfill", made["id"], "pending"),
    ]


async def test_the_address_of_a_new_backfill_is_in_the_answer(api: Api) -> None:
    await api.job(trigger=HOURLY)
    answer = await api.http.post("/api/v1/jobs/daily/backfills", json=RANGE)
    assert answer.headers["location"] == f"/api/v1/backfills/{answer.json()['id']}"
    assert (answer.json()["concurrency"], answer.json()["max_concurrent"], answer.json()["payload"]) == ("queue", 1, None)


async def test_its_occurrences_are_listed_in_pages_and_filtered(api: Api, control: Control) -> None:
    one, two = await api.job("one", trigger=HOURLY), await api.job("two", trigger=HOURLY)
    first, second = await start(api, "one"), await start(api, "two")
    await api.trigger("one")
    await control.backfiller(await control.term()).run_once()
    seen: list[int] = []
    cursor: str | None = None
    while True:
        params = {"backfill": first["id"], "limit": 3} | ({"cursor": cursor} if cursor else {})
        page = await api.ok("GET", "/occurrences", params=params)
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 10
    for query, count in [
        (f"backfill={first['id']}&state=pending", 1),
        (f"backfill={first['id']}&state=pending&state=waiting", 10),
        (f"backfill={first['id']}&state=failed", 0),
        (f"backfill={first['id']}&job=one", 10),
        (f"backfill={first['id']}&job={two['id']}", 0),
        (f"backfill={second['id']}&type=report.daily", 10),
        (f"backfill={second['id']}&type=report.weekly", 0),
        (f"job={one['id']}", 11),
        ("backfill=4711", 0),
    ]:
        assert len((await api.ok("GET", f"/occurrences?{query}"))["items"]) == count, query


async def test_backfills_are_listed_newest_first(api: Api) -> None:
    one, two = await api.job("one", trigger=HOURLY), await api.job("two", trigger=HOURLY)
    a, b, c = await start(api, "one"), await start(api, "two"), await start(api, "one")
    await api.ok("POST", f"/backfills/{a['id']}/cancel", 202)

    async def listed(path: str) -> list[int]:
        return [item["id"] for item in (await api.ok("GET", path))["items"]]

    assert await listed("/jobs/one/backfills") == [c["id"], a["id"]]
    assert await listed(f"/jobs/{one['id']}/backfills?state=running") == [c["id"]]
    assert await listed("/backfills") == [c["id"], b["id"], a["id"]]
    assert await listed("/backfills?state=cancelled") == [a["id"]]
    assert await listed("/backfills?job=two") == [b["id"]]
    page = await api.ok("GET", "/backfills?limit=2")
    assert await listed(f"/backfills?limit=2&cursor={page['next_cursor']}") == [a["id"]]
    await api.ok("DELETE", "/jobs/two", 204)
    assert await listed(f"/backfills?job={two['id']}") == [b["id"]]
    await api.refused("GET", "/backfills?job=two", 404)
    await api.refused("GET", "/jobs/two/backfills", 404)


async def test_a_backfill_is_cancelled_with_what_runs_if_somebody_says_so(api: Api, control: Control) -> None:
    await api.job(trigger=HOURLY)
    made = await start(api)
    await control.backfiller(await control.term()).run_once()
    worker = await control.worker()
    first = await control.db.pool.fetchval("select min(id) from occurrence")
    await control.claim(worker, first)
    path = f"/backfills/{made['id']}/cancel"
    cancelled = await api.ok("POST", path, 202, json={"reason": "wrong range"})
    assert (cancelled["state"], cancelled["reason"]) == ("cancelled", "wrong range")
    assert cancelled["counts"] == {"running": 1, "cancelled": 9}
    assert cancelled["finished_at"] is not None
    assert api.broker.words == []
    assert Hint("occurrences") in api.hints
    again = await api.ok("POST", path, 202, json={"running": True})
    assert again["counts"] == {"cancelling": 1, "cancelled": 9}
    assert api.broker.words == [Cancel(worker=worker, occurrence=first, attempt=1)]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"start_at", "end_at"}),
        (RANGE | {"end_at": "2100-01-01T00:00:00Z"}, {"end_at"}),
        (RANGE | {"end_at": "2026-03-01T00:00:00Z"}, {"end_at"}),
        (RANGE | {"start_at": "2026-02-01T00:01:00Z", "end_at": "2026-02-01T00:02:00Z"}, {"start_at"}),
        (RANGE | {"start_at": "x", "end_at": "99999-01-01"}, {"start_at", "end_at"}),
        (RANGE | {"start_at": "0001-01-01T00:00:00+14:00"}, {"start_at"}),
        (RANGE | {"start_at": "0001-01-01T00:00:00Z"}, {"start_at"}),
        (RANGE | {"start_at": "9999-12-31T23:59:59Z", "end_at": "9999-12-31T23:59:59Z"}, {"start_at", "end_at"}),
        (RANGE | {"concurrency": "replace"}, {"concurrency"}),
        (RANGE | {"max_concurrent": 0}, {"max_concurrent"}),
        (RANGE | {"payload": []}, {"payload"}),
        (RANGE | {"payload": {"a": "\x00"}}, {"payload.a"}),
        (RANGE | {"payload": {"a": "x" * 100}}, {"payload"}),
        (RANGE | {"until": "x"}, {"until"}),
    ],
)
async def test_a_wrong_request_names_the_fields(api: Api, body: dict[str, Any], fields: set[str]) -> None:
    await api.job(trigger=HOURLY)
    assert (await api.refused("POST", "/jobs/daily/backfills", 422, json=body)).keys() == fields


async def test_too_many_fire_times_are_refused_with_what_to_do(api: Api) -> None:
    await api.job(trigger=HOURLY)
    found = await api.refused("POST", "/jobs/daily/backfills", 422, json=RANGE | {"end_at": "2026-03-01T00:00:00Z"})
    assert "more than 50 fire times" in found["end_at"]
    assert "2026-02-03T01:00:00+00:00" in found["end_at"]
    assert "LEVERET_BACKFILL_LIMIT" in found["end_at"]


async def test_only_what_has_fire_times_can_be_backfilled(api: Api) -> None:
    await api.job()
    found = await api.refused("POST", "/jobs/daily/backfills", 422, json=RANGE)
    assert "manual trigger" in found[""]
    await api.refused("POST", "/jobs/nightly/backfills", 404, json=RANGE)
    await api.refused("GET", "/backfills/4711", 404)
    await api.refused("POST", "/backfills/4711/cancel", 404)
    await api.refused("POST", "/backfills/x/cancel", 422)


async def test_no_more_than_a_few_backfills_of_a_job_run_at_once(api: Api) -> None:
    await api.job(trigger=HOURLY)
    for _ in range(5):
        await start(api)
    assert "wait for one" in (await api.refused("POST", "/jobs/daily/backfills", 409, json=RANGE))[""]
