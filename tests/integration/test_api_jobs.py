"""Jobs over REST, on a real Postgres."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leveret_core.hints import Hint
from support.api import HOURLY, Api, problem, running_api

YEARLY = {"kind": "cron", "expression": "@yearly"}


@pytest.fixture
async def api(database_url: str) -> AsyncGenerator[Api]:
    async with running_api(database_url) as running:
        yield running


def when(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def audited(api: Api, job: int) -> list[tuple[str, dict[str, Any]]]:
    rows = await api.db.pool.fetch("select actor, action, detail from audit where job_id = $1 order by id", job)
    assert {row["actor"] for row in rows} == {"api"}
    return [(row["action"], json.loads(row["detail"])) for row in rows]


# Creating


async def test_a_created_job_is_read_back_as_it_was_given(api: Api) -> None:
    body = {
        "name": "daily",
        "type": "report.daily",
        "description": "the report",
        "tags": ["finance", "pdf"],
        "payload": {"format": "pdf", "limits": [1, 2.5, None, True], "größe": "A4"},
        "trigger": {"kind": "cron", "expression": "0 6 * * MON-FRI", "timezone": "Europe/Berlin"},
        "concurrency": "queue",
        "max_concurrent": 3,
        "max_waiting": 7,
        "catch_up": "all",
        "catch_up_window": 60,
        "timeout": 30.5,
        "retry": {"max_attempts": 5, "delay": 1},
        "max_runs": 100,
    }
    answer = await api.http.post("/api/v1/jobs", json=body)
    assert answer.status_code == 201
    job = answer.json()
    assert answer.headers["location"] == f"/api/v1/jobs/{job['id']}"
    assert answer.headers["etag"] == '"1"'
    given_back = {name: job[name] for name in body if name not in ("trigger", "retry")}
    assert given_back == {name: value for name, value in body.items() if name not in ("trigger", "retry")}
    assert job["trigger"] == body["trigger"] | {"start_at": None, "end_at": None, "jitter": 0, "seed": None}  # type: ignore[operator]
    assert job["trigger_description"] == "every weekday (Monday to Friday) at 06:00 Europe/Berlin"
    assert job["retry"] == {"max_attempts": 5, "delay": 1, "factor": 2, "max_delay": 3600, "max_lost": 3}
    assert (job["version"], job["runs"], job["paused"], job["last_occurrence"]) == (1, 0, False, None)
    assert when(job["next_fire_at"]) > datetime.now(UTC)
    assert await api.ok("GET", f"/jobs/{job['id']}") == await api.ok("GET", "/jobs/daily") == job
    assert await audited(api, job["id"]) == [("create", {"name": "daily"})]
    assert api.hints == [Hint("jobs", (job["id"],)), Hint("wake")]


async def test_an_interval_counts_from_its_creation(api: Api) -> None:
    job = await api.job(trigger={"kind": "interval", "every": 3600})
    start, due = when(job["trigger"]["start_at"]), when(job["next_fire_at"])
    assert abs(datetime.now(UTC) - start) < timedelta(seconds=10)
    assert due == start + timedelta(hours=1)


async def test_a_job_that_would_never_fire_is_refused(api: Api) -> None:
    for trigger, field in [
        ({"kind": "once", "at": "2020-01-01T00:00:00Z"}, "trigger.at"),
        ({"kind": "cron", "expression": "0 0 * * *", "end_at": "2020-01-01T00:00:00Z"}, "trigger.end_at"),
        ({"kind": "cron", "expression": "0 0 31 2 *"}, "trigger.expression"),
    ]:
        body = {"name": "late", "type": "a", "trigger": trigger}
        assert (await api.refused("POST", "/jobs", 422, json=body)).keys() == {field}
    assert await api.ok("GET", "/jobs") == {"items": [], "next_cursor": None}


async def test_a_name_that_is_taken_is_a_conflict_that_names_the_job(api: Api) -> None:
    job = await api.job()
    found = await api.refused("POST", "/jobs", 409, json={"name": "daily", "type": "a", "trigger": {"kind": "manual"}})
    assert found == {"": f"there is a job named daily already: job {job['id']}"}
    other = await api.job("weekly")
    assert await api.refused("PATCH", f"/jobs/{other['id']}", 409, json={"name": "daily"})


async def test_all_wrong_fields_are_told_at_once(api: Api) -> None:
    body = {"name": "1", "typ": "a", "payload": [], "trigger": {"kind": "cron", "expression": "* *"}, "retry": {"delay": -1}}
    found = await api.refused("POST", "/jobs", 422, json=body)
    assert found.keys() == {"name", "type", "typ", "payload", "trigger.expression", "retry.delay"}


async def test_a_payload_over_the_limit_is_refused(database_url: str) -> None:
    async with running_api(database_url, payload_limit=100) as api:
        body = {"name": "big", "type": "a", "trigger": {"kind": "manual"}, "payload": {"x": "y" * 100}}
        assert await api.refused("POST", "/jobs", 422, json=body) == {
            "payload": "has 108 bytes of JSON; at most 100 are allowed"
        }
        await api.job("small")
        for path in ("/jobs/small", "/jobs/small/trigger"):
            method = "PATCH" if path == "/jobs/small" else "POST"
            assert (await api.refused(method, path, 422, json={"payload": {"x": "y" * 100}})).keys() == {"payload"}


# Putting


async def test_the_same_definition_again_changes_nothing(api: Api) -> None:
    body = {
        "type": "report.daily",
        "trigger": {"kind": "interval", "every": 60},
        "payload": {"n": 1.0, "e": 1e2},
        "tags": ["a"],
    }
    first = await api.ok("PUT", "/jobs/daily", 201, json=body)
    again = await api.ok("PUT", "/jobs/daily", 200, json=body | {"name": "daily"})
    assert again == first
    assert [action for action, _ in await audited(api, first["id"])] == ["create"]
    other = await api.ok("PUT", "/jobs/daily", 200, json=body | {"payload": {"n": True}})
    assert (other["id"], other["version"], other["payload"]) == (first["id"], 2, {"n": True})
    assert other["trigger"] == first["trigger"]
    assert (await audited(api, first["id"]))[1:] == [("edit", {"fields": ["payload"], "version": 2})]


async def test_what_a_put_leaves_out_has_its_default(api: Api) -> None:
    await api.job(description="x", tags=["a"], timeout=5)
    job = await api.ok("PUT", "/jobs/daily", json={"type": "report.daily", "trigger": {"kind": "manual"}})
    assert (job["description"], job["tags"], job["timeout"]) == ("", [], None)


async def test_a_put_may_not_carry_another_name(api: Api) -> None:
    body = {"name": "weekly", "type": "a", "trigger": {"kind": "manual"}}
    assert (await api.refused("PUT", "/jobs/daily", 422, json=body)).keys() == {"name"}
    assert (await api.refused("PUT", "/jobs/17", 422, json={"type": "a", "trigger": {"kind": "manual"}})).keys() == {"name"}


async def test_many_clients_put_the_same_job_at_once_and_there_is_one(api: Api) -> None:
    body = {"type": "report.daily", "trigger": {"kind": "interval", "every": 60}}
    answers = await asyncio.gather(*(api.http.put("/api/v1/jobs/daily", json=body) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert {(answer.json()["id"], answer.json()["version"]) for answer in answers} == {(answers[0].json()["id"], 1)}
    assert len(await audited(api, answers[0].json()["id"])) == 1


async def test_many_clients_create_the_same_job_at_once_and_one_wins(api: Api) -> None:
    body = {"name": "daily", "type": "report.daily", "trigger": {"kind": "manual"}}
    answers = await asyncio.gather(*(api.http.post("/api/v1/jobs", json=body) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19


async def test_a_one_time_job_that_has_fired_can_be_put_again(api: Api) -> None:
    body = {"type": "a", "trigger": {"kind": "once", "at": "2099-01-01T00:00:00Z"}}
    job = await api.ok("PUT", "/jobs/once", 201, json=body)
    past = {"kind": "once", "at": "2020-01-01T00:00:00Z"}
    await api.db.pool.execute(
        "update job set trigger = $1::text::jsonb, next_fire_at = null where id = $2", json.dumps(past), job["id"]
    )
    assert (await api.ok("PUT", "/jobs/once", json=body | {"trigger": past}))["version"] == 1
    edited = await api.ok("PUT", "/jobs/once", json=body | {"trigger": past, "description": "done"})
    assert (edited["version"], edited["next_fire_at"]) == (2, None)


# Editing


async def test_an_edit_replaces_only_the_given_fields(api: Api) -> None:
    job = await api.job(trigger=HOURLY, tags=["a"], timeout=5, retry={"max_attempts": 9, "delay": 60}, payload={"a": 1, "b": 2})
    edited = await api.ok(
        "PATCH", "/jobs/daily", json={"payload": {"b": 3}, "timeout": None, "retry": {"delay": 1, "factor": None}, "tags": None}
    )
    assert edited["payload"] == {"b": 3}
    assert (edited["timeout"], edited["tags"]) == (None, [])
    assert (edited["retry"]["max_attempts"], edited["retry"]["delay"], edited["retry"]["factor"]) == (9, 1, 2)
    assert (edited["trigger"], edited["next_fire_at"]) == (job["trigger"], job["next_fire_at"])
    assert edited["version"] == 2
    assert await audited(api, job["id"]) == [
        ("create", {"name": "daily"}),
        ("edit", {"fields": ["tags", "payload", "timeout", "retry"], "version": 2}),
    ]


async def test_an_edit_that_changes_nothing_is_no_edit(api: Api) -> None:
    job = await api.job(trigger=HOURLY)
    api.hints.clear()
    assert await api.ok("PATCH", "/jobs/daily", json={}) == job
    assert await api.ok("PATCH", "/jobs/daily", json={"type": "report.daily", "trigger": HOURLY}) == job
    assert api.hints == []


async def test_a_new_trigger_never_fires_the_past(api: Api) -> None:
    job = await api.job(trigger=YEARLY)
    # The dispatcher was away: the job is long due.
    await api.db.pool.execute("update job set next_fire_at = now() - interval '1 day' where id = $1", job["id"])
    edited = await api.ok("PATCH", "/jobs/daily", json={"trigger": HOURLY})
    assert timedelta(0) < when(edited["next_fire_at"]) - datetime.now(UTC) <= timedelta(hours=1)
    found = await api.refused("PATCH", "/jobs/daily", 422, json={"trigger": {"kind": "once", "at": "2020-01-01T00:00:00Z"}})
    assert found.keys() == {"trigger.at"}


async def test_an_edit_of_something_else_leaves_a_due_job_due(api: Api) -> None:
    job = await api.job(trigger=YEARLY)
    await api.db.pool.execute("update job set next_fire_at = now() - interval '5 seconds' where id = $1", job["id"])
    edited = await api.ok("PATCH", "/jobs/daily", json={"description": "x"})
    assert when(edited["next_fire_at"]) < datetime.now(UTC)


async def test_a_job_that_has_had_all_its_runs_is_due_again_when_it_gets_more(api: Api) -> None:
    job = await api.job(trigger=HOURLY, max_runs=2)
    await api.db.pool.execute("update job set runs = 2, next_fire_at = null where id = $1", job["id"])
    assert (await api.ok("GET", "/jobs/daily/next"))["fire_times"] == []
    assert (await api.ok("PATCH", "/jobs/daily", json={"description": "x"}))["next_fire_at"] is None
    assert (await api.ok("PATCH", "/jobs/daily", json={"max_runs": 3}))["next_fire_at"] is not None
    assert len((await api.ok("GET", "/jobs/daily/next"))["fire_times"]) == 1
    assert (await api.ok("PATCH", "/jobs/daily", json={"max_runs": 1}))["next_fire_at"] is None


async def test_only_the_version_that_was_read_is_changed(api: Api) -> None:
    await api.job()
    await api.ok("PATCH", "/jobs/daily", json={"description": "x"}, headers={"If-Match": '"1"'})
    answer = await api.http.patch("/api/v1/jobs/daily", json={"description": "y"}, headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.json()["type"]) == (412, "urn:leveret:version-mismatch")
    assert await api.refused("PATCH", "/jobs/daily", 409, json={"description": "y", "version": 1})
    assert await api.refused("DELETE", "/jobs/daily", 412, headers={"If-Match": '"1"'})
    put = {"type": "a", "trigger": {"kind": "manual"}}
    assert await api.refused("PUT", "/jobs/daily", 412, json=put, headers={"If-Match": '"1"'})
    assert await api.refused("PUT", "/jobs/other", 412, json=put, headers={"If-Match": '"1"'})
    assert (await api.refused("PATCH", "/jobs/daily", 422, json={}, headers={"If-Match": "new"})).keys() == {"If-Match"}
    assert (await api.ok("PATCH", "/jobs/daily", json={"description": "y", "version": 2}))["version"] == 3


async def test_ten_who_edit_the_same_version_at_once_are_told_that_one_was_first(api: Api) -> None:
    await api.job()
    answers = await asyncio.gather(
        *(api.http.patch("/api/v1/jobs/daily", json={"description": f"{n}"}, headers={"If-Match": '"1"'}) for n in range(10))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 9


async def test_fields_that_have_no_default_cannot_be_null(api: Api) -> None:
    await api.job()
    for field in ("name", "type", "trigger"):
        assert await api.refused("PATCH", "/jobs/daily", 422, json={field: None}) == {field: "may not be null"}


async def test_more_room_lets_those_in_line_begin(api: Api) -> None:
    job = await api.job(concurrency="queue")
    states = [(await api.trigger("daily"))["state"] for _ in range(4)]
    assert states == ["pending", "waiting", "waiting", "waiting"]
    await api.ok("PATCH", "/jobs/daily", json={"max_concurrent": 3})
    page = await api.ok("GET", f"/occurrences?job={job['id']}")
    assert [item["state"] for item in page["items"]] == ["waiting", "pending", "pending", "pending"]


async def test_a_job_that_allowed_any_number_lets_them_end_before_it_begins_another(api: Api) -> None:
    await api.job(concurrency="allow")
    live = [(await api.trigger("daily"))["id"] for _ in range(3)]
    await api.ok("PATCH", "/jobs/daily", json={"concurrency": "skip"})
    skipped = await api.trigger("daily")
    assert (skipped["state"], skipped["blocker_id"]) == ("skipped", live[0])
    for occurrence in live:
        await api.ok("POST", f"/occurrences/{occurrence}/cancel", 202)
    assert await api.db.pool.fetchval("select count(*) from slot") == 0
    assert (await api.trigger("daily"))["state"] == "pending"


async def test_a_line_ends_when_its_job_allows_any_number(api: Api) -> None:
    job = await api.job(concurrency="queue")
    for _ in range(3):
        await api.trigger("daily")
    api.hints.clear()
    await api.ok("PATCH", "/jobs/daily", json={"concurrency": "allow"})
    page = await api.ok("GET", f"/occurrences?job={job['id']}")
    assert [item["state"] for item in page["items"]] == ["pending"] * 3
    assert Hint("occurrences") in api.hints
    await api.ok("PATCH", "/jobs/daily", json={"concurrency": "queue", "max_concurrent": 4})
    assert [(await api.trigger("daily"))["state"] for _ in range(2)] == ["pending", "waiting"]


# Pausing


async def test_a_paused_job_is_not_due_and_resumes_from_now(api: Api) -> None:
    job = await api.job(trigger=YEARLY)
    paused = await api.ok("POST", "/jobs/daily/pause", json={"reason": "mail is down"})
    assert (paused["paused"], paused["pause_reason"], paused["next_fire_at"]) == (True, "mail is down", None)
    assert paused["version"] == 1
    assert (await api.ok("POST", "/jobs/daily/pause"))["pause_reason"] is None
    edited = await api.ok("PATCH", "/jobs/daily", json={"trigger": HOURLY})
    assert (edited["paused"], edited["next_fire_at"]) == (True, None)
    assert len((await api.ok("GET", "/jobs/daily/next?count=3"))["fire_times"]) == 3
    resumed = await api.ok("POST", "/jobs/daily/resume")
    assert (resumed["paused"], resumed["pause_reason"]) == (False, None)
    assert timedelta(0) < when(resumed["next_fire_at"]) - datetime.now(UTC) <= timedelta(hours=1)
    assert await api.ok("POST", "/jobs/daily/resume") == resumed
    assert [action for action, _ in await audited(api, job["id"])] == ["create", "pause", "pause", "edit", "resume"]


async def test_a_paused_job_can_be_triggered(api: Api) -> None:
    await api.job()
    await api.ok("POST", "/jobs/daily/pause", json={})
    assert (await api.trigger("daily"))["state"] == "pending"


async def test_a_reason_has_to_be_a_text_that_can_be_kept(api: Api) -> None:
    await api.job()
    for reason in ("x" * 1001, "\x00", "\ud800"):
        body = json.dumps({"reason": reason}).encode()
        headers = {"content-type": "application/json"}
        assert (await api.refused("POST", "/jobs/daily/pause", 422, content=body, headers=headers)).keys() == {"reason"}


# Deleting


async def test_a_deleted_job_frees_its_name_and_keeps_its_history(api: Api) -> None:
    job = await api.job(concurrency="queue")
    running, waiting, other = [(await api.trigger("daily"))["id"] for _ in range(3)]
    await api.db.pool.execute(
        "update occurrence set state = 'running', attempt = 1, started_at = now() where id = $1",
        running,
    )
    api.hints.clear()
    await api.ok("DELETE", "/jobs/daily", 204)
    assert await api.refused("GET", f"/jobs/{job['id']}", 404) == {"": f"there is no job {job['id']}"}
    assert await api.refused("DELETE", "/jobs/daily", 404) == {"": "there is no job named daily"}
    page = await api.ok("GET", f"/occurrences?job={job['id']}")
    assert {item["id"]: (item["state"], item["reason"]) for item in page["items"]} == {
        running: ("running", None),
        waiting: ("cancelled", "job deleted"),
        other: ("cancelled", "job deleted"),
    }
    assert [row["occurrence_id"] for row in await api.db.pool.fetch("select occurrence_id from slot")] == [running]
    assert (await audited(api, job["id"]))[-1] == ("delete", {"name": "daily", "cancelled": 2})
    assert Hint("jobs", (job["id"],)) in api.hints
    assert Hint("occurrences") in api.hints
    assert (await api.job())["id"] != job["id"]
    assert await api.refused("POST", f"/jobs/{job['id']}/trigger", 404)


async def test_deleting_gives_slots_of_unstarted_occurrences_back(api: Api) -> None:
    await api.job()
    await api.trigger("daily")
    await api.ok("DELETE", "/jobs/daily", 204)
    assert await api.db.pool.fetchval("select count(*) from slot") == 0


# Triggering


async def test_triggering_answers_with_the_occurrence(api: Api) -> None:
    job = await api.job(payload={"a": 1})
    answer = await api.http.post("/api/v1/jobs/daily/trigger", json={"payload": {"a": 2}})
    assert answer.status_code == 202
    made = answer.json()
    assert answer.headers["location"] == f"/api/v1/occurrences/{made['id']}"
    assert (made["job_id"], made["origin"], made["state"]) == (job["id"], "manual", "pending")
    assert (await api.ok("GET", f"/occurrences/{made['id']}"))["payload"] == {"a": 2}
    skipped = await api.trigger(job["id"])
    assert (skipped["state"], skipped["blocker_id"]) == ("skipped", made["id"])
    assert Hint("occurrences", (made["id"],)) in api.hints


async def test_one_idempotency_key_makes_one_occurrence(api: Api) -> None:
    await api.job(concurrency="allow")
    answers = await asyncio.gather(
        *(api.http.post("/api/v1/jobs/daily/trigger", json={"idempotency_key": "order-1"}) for _ in range(10)),
        *(api.http.post("/api/v1/jobs/daily/trigger", headers={"Idempotency-Key": "order-1"}) for _ in range(10)),
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [202]
    assert len({answer.json()["id"] for answer in answers}) == 1
    detail = await api.ok("GET", f"/occurrences/{answers[0].json()['id']}")
    assert detail["idempotency_key"] == "order-1"
    different = await api.http.post(
        "/api/v1/jobs/daily/trigger", json={"idempotency_key": "a"}, headers={"Idempotency-Key": "b"}
    )
    assert different.status_code == 422
    for key in ("", "x" * 201, "\x00"):
        assert (await api.refused("POST", "/jobs/daily/trigger", 422, json={"idempotency_key": key})).keys() == {
            "idempotency_key"
        }


# Schedules


async def test_the_next_fire_times_of_a_job(api: Api) -> None:
    job = await api.job(trigger={"kind": "cron", "expression": "0 12 * * *", "timezone": "Asia/Tokyo"})
    times = (await api.ok("GET", "/jobs/daily/next?count=2"))["fire_times"]
    assert times[0]["utc"] == job["next_fire_at"]
    assert times[0]["local"].endswith("T12:00:00+09:00")
    assert len(times) == 2
    assert await api.ok("GET", f"/jobs/{(await api.job('byhand'))['id']}/next") == {
        "description": "only when triggered by hand",
        "notes": [],
        "fire_times": [],
        "next_clock_change": None,
    }


async def test_a_trigger_can_be_tried_before_it_is_used(api: Api) -> None:
    body = {
        "trigger": {"kind": "cron", "expression": "30 2 * * *", "timezone": "Europe/Berlin"},
        "after": "2026-03-28T00:00:00",
        "count": 3,
    }
    times: list[dict[str, Any]] = [
        {"utc": "2026-03-28T01:30:00Z", "local": "2026-03-28T02:30:00+01:00", "clock": None},
        {"utc": "2026-03-29T01:00:00Z", "local": "2026-03-29T03:00:00+02:00", "clock": "skipped"},
        {"utc": "2026-03-30T00:30:00Z", "local": "2026-03-30T02:30:00+02:00", "clock": None},
    ]
    shown = await api.ok("POST", "/schedules/preview", json=body)
    assert shown["fire_times"] == times
    assert shown["description"] == "every day at 02:30 Europe/Berlin"
    assert shown["next_clock_change"]["after"] == times[1]["local"]
    assert times[1] in shown["next_clock_change"]["fire_times"]
    ended = await api.ok("POST", "/schedules/preview", json=body | {"until": "2026-03-29T03:00:00", "count": 9})
    assert ended["fire_times"] == times[:2]
    every = {"trigger": {"kind": "interval", "every": 60}, "after": "2026-01-01T00:00:00Z", "count": 1}
    assert (await api.ok("POST", "/schedules/preview", json=every))["fire_times"][0]["utc"] == "2026-01-01T00:01:00Z"
    cases: list[tuple[dict[str, Any], str]] = [
        ({"after": "tomorrow"}, "after"),
        ({"until": "tomorrow"}, "until"),
        ({"trigger": {"kind": "cron", "expression": "H 0 * * *"}}, "trigger.seed"),
        ({"count": 0}, "count"),
        ({"count": 1001}, "count"),
        ({"trigger": {"kind": "cron", "expression": "0 0 * * *", "timezone": "Berlin"}}, "trigger.timezone"),
        ({"trigger": {}}, "trigger.kind"),
        ({"befor": 1}, "befor"),
    ]
    for wrong, field in cases:
        assert (await api.refused("POST", "/schedules/preview", 422, json=body | wrong)).keys() == {field}


async def test_what_a_schedule_draws_from_the_jobs_name_stays_when_it_is_renamed(api: Api) -> None:
    trigger = {"kind": "cron", "expression": "H H(1-3) * * *", "timezone": "Europe/Berlin"}
    made = await api.job("nightly", trigger=trigger)
    assert made["trigger"] == trigger | {"seed": "nightly", "start_at": None, "end_at": None, "jitter": 0.0}
    drawn = made["trigger_description"]
    shown = await api.ok("POST", "/schedules/preview", json={"trigger": trigger | {"seed": "nightly"}})
    assert shown["description"] == drawn

    again = await api.ok("PUT", "/jobs/nightly", json={"type": made["type"], "trigger": trigger})
    assert again["version"] == made["version"], "the same definition again changes nothing"
    renamed = await api.ok("PATCH", f"/jobs/{made['id']}", json={"name": "nightly-report", "trigger": trigger})
    assert renamed["trigger"]["seed"] == "nightly"
    assert (renamed["trigger_description"], renamed["next_fire_at"]) == (drawn, made["next_fire_at"])
    other = await api.job("nightly", trigger=trigger | {"timezone": "UTC", "seed": "another"})
    assert other["trigger_description"] != drawn.replace("Europe/Berlin", "UTC")

    # The name decides what is drawn: one that never comes is refused like any other schedule that is never due.
    names = [f"x{number}" for number in range(9)]
    never = {"kind": "cron", "expression": "0 0 29~31 2 *"}
    answers = [await api.http.post("/api/v1/jobs", json={"name": name, "type": "a", "trigger": never}) for name in names]
    assert {answer.status_code for answer in answers} == {201, 422}
    refused = next(answer.json() for answer in answers if answer.status_code == 422)
    assert refused["errors"][0]["field"] == "trigger.expression"


async def test_a_trigger_as_cron_users_write_it_is_stored_plain(api: Api) -> None:
    zoned = await api.job("zoned", trigger={"kind": "cron", "expression": "CRON_TZ=Asia/Tokyo 0 6 15W * *"})
    assert (zoned["trigger"]["expression"], zoned["trigger"]["timezone"]) == ("0 6 15W * *", "Asia/Tokyo")
    every = await api.job("every", trigger={"kind": "cron", "expression": "@every 5m"})
    assert (every["trigger"]["kind"], every["trigger"]["every"]) == ("interval", 300.0)
    until = (await api.ok("GET", "/jobs/every/next", params={"count": 1000, "until": every["next_fire_at"]}))["fire_times"]
    assert len(until) == 1


# Lists


async def test_jobs_are_filtered(api: Api) -> None:
    await api.job("one", type="report.daily", tags=["a"], description="100% sure")
    await api.job("two", type="report.weekly", tags=["a", "b"], description="100 things")
    await api.job("three_x", type="sendemail.welcome")
    await api.ok("POST", "/jobs/two/pause")

    async def names(query: str) -> list[str]:
        return [item["name"] for item in (await api.ok("GET", f"/jobs?{query}"))["items"]]

    assert await names("") == ["three_x", "two", "one"]
    assert await names("type=report.daily") == ["one"]
    assert await names("tag=a") == ["two", "one"]
    assert await names("paused=true") == ["two"]
    assert await names("paused=false&tag=a") == ["one"]
    assert await names("search=REPORT") == ["two", "one"]
    assert await names("search=100%25") == ["one"]
    assert await names("search=_x") == ["three_x"]
    assert await names("search=%5C") == []
    assert await names("search=nothing") == []


async def test_pages_stay_the_same_while_jobs_come_and_go(api: Api) -> None:
    ids = [(await api.job(f"job-{n}"))["id"] for n in range(10)]
    first = await api.ok("GET", "/jobs?limit=4")
    assert [item["id"] for item in first["items"]] == ids[:5:-1]
    await api.job("newer")
    await api.ok("DELETE", f"/jobs/{ids[6]}", 204)
    second = await api.ok("GET", "/jobs", params={"limit": 4, "cursor": first["next_cursor"]})
    assert [item["id"] for item in second["items"]] == ids[5:1:-1]
    last = await api.ok("GET", "/jobs", params={"limit": 4, "cursor": second["next_cursor"]})
    assert ([item["id"] for item in last["items"]], last["next_cursor"]) == (ids[1::-1], None)


async def test_a_page_of_large_payloads_ends_early(api: Api) -> None:
    for number in range(40):
        await api.job(f"job-{number}", payload={"x": "y" * 200_000})
    seen, pages = 0, 0
    params = {"limit": "500"}
    while True:
        answer = await api.http.get("/api/v1/jobs", params=params)
        assert len(answer.content) < 5_000_000
        seen, pages = seen + len(answer.json()["items"]), pages + 1
        if answer.json()["next_cursor"] is None:
            break
        params["cursor"] = answer.json()["next_cursor"]
    assert (seen, pages) == (40, 2)


async def test_a_page_shows_what_became_of_each_job_last(api: Api) -> None:
    await api.job()
    made = await api.trigger("daily")
    (item,) = (await api.ok("GET", "/jobs"))["items"]
    assert item["last_occurrence"] == {
        "id": made["id"],
        "state": "pending",
        "scheduled_for": made["scheduled_for"],
        "finished_at": None,
    }


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "cursor=%21", "paused=perhaps", "search=%00", "type=%00"])
async def test_a_wrong_parameter_is_named(api: Api, query: str) -> None:
    assert (await api.refused("GET", f"/jobs?{query}", 422)).keys() == {query.split("=")[0]}


@pytest.mark.parametrize("ref", ["17", "nothing", "99999999999999999999999", "-1", "%00", "a%00b", "é", "%ff", "0"])
async def test_a_job_that_is_not_there(api: Api, ref: str) -> None:
    for method, path in [
        ("GET", ""),
        ("GET", "/next"),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/pause"),
        ("POST", "/trigger"),
    ]:
        answer = await api.http.request(method, f"/api/v1/jobs/{ref}{path}", json={} if method == "PATCH" else None)
        assert answer.status_code in (404, 422)
        assert problem(answer)
