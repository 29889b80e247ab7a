"""Occurrences over REST, on a real Postgres."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leveret_core.hints import Hint
from leveret_core.messages import Cancel, JobError, Log, Progress
from leveret_core.states import State
from leveret_core.store.reads import occurrences as occurrence_reads
from leveret_core.store.reads import pages
from support.api import Api, running_api
from support.control import Control, finished


@pytest.fixture
async def api(database_url: str) -> AsyncGenerator[Api]:
    async with running_api(database_url) as running:
        yield running


@pytest.fixture
def control(api: Api) -> Control:
    return Control(api.db)


async def seed(api: Api, count: int, **columns: Any) -> int:
    """Insert succeeded occurrences of a new job; returns its id."""
    job = await api.job(f"seed-{uuid.uuid4().hex[:8]}", type=columns.get("type", "test.seed"))
    await api.db.pool.execute(
        """insert into occurrence (
               job_id, job_name, job_version, type, payload, origin, scheduled_for, state, retry, finished_at
           )
           select $1, 'seed', 1, $3, '{}', 'schedule', now() + (n - $2::integer) * interval '1 minute',
                  $4::occurrence_state, '{}', now()
           from generate_series(1, $2::integer) n""",
        job["id"],
        count,
        columns.get("type", "test.seed"),
        columns.get("state", "succeeded"),
        timeout=60,
    )
    return int(job["id"])


async def ids(api: Api, **params: Any) -> list[int]:
    """All ids that a listing gives, page by page."""
    found: list[int] = []
    cursor: str | None = None
    while True:
        page = await api.ok("GET", "/occurrences", params=params | ({"cursor": cursor} if cursor else {}))
        found += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


# Reading


async def test_an_occurrence_tells_its_whole_story(api: Api, control: Control) -> None:
    job = await api.job(payload={"a": 1}, retry={"max_attempts": 2, "delay": 0})
    made = await api.trigger("daily", payload={"to": "ann"})
    worker = await control.worker()
    granted = await control.claim(worker, made["id"])
    await control.report(
        worker,
        Progress(occurrence=made["id"], attempt=1, token=granted.token, seq=1, fraction=0.5, message="half"),
    )
    assert (await api.ok("GET", f"/occurrences/{made['id']}"))["progress"] == {"fraction": 0.5, "message": "half"}
    error = JobError(type="ValueError", message="no such user", traceback="Traceback …")
    await control.report(worker, finished(granted, outcome="failed", error=error))
    await control.db.pool.execute("update occurrence set retry_at = now() where state = 'retrying'")
    await control.retrier(await control.term()).run_once()
    granted = await control.claim(worker, made["id"], 2)
    await control.report(worker, finished(granted, result=b'{"sent": 1}'))
    detail = await api.ok("GET", f"/occurrences/{made['id']}")
    assert (detail["state"], detail["attempt"], detail["max_attempts"]) == ("succeeded", 2, 2)
    assert (detail["payload"], detail["result"], detail["error"]) == ({"to": "ann"}, {"sent": 1}, None)
    assert (detail["worker_id"], detail["worker_name"]) == (worker, "w")
    assert detail["duration"] >= 0
    assert [(item["attempt"], item["state"]) for item in detail["attempts"]] == [(1, "failed"), (2, "succeeded")]
    assert detail["attempts"][0]["error"] == {"type": "ValueError", "message": "no such user", "traceback": "Traceback …"}
    assert all(item["worker_id"] == worker for item in detail["attempts"])
    last = (await api.ok("GET", f"/jobs/{job['id']}"))["last_occurrence"]
    assert (last["id"], last["state"]) == (made["id"], "succeeded")


async def test_logs_are_read_oldest_first_and_followed(api: Api, control: Control) -> None:
    await api.job()
    made = await api.trigger("daily")
    worker = await control.worker()
    granted = await control.claim(worker, made["id"])
    path = f"/occurrences/{made['id']}/logs"
    assert await api.ok("GET", path) == {"items": [], "next_cursor": None}
    await control.report(
        worker,
        *(
            Log(
                occurrence=made["id"],
                attempt=1,
                token=granted.token,
                seq=seq,
                at=datetime.now(UTC),
                level="info",
                message=f"line {seq}",
                fields={"n": seq},
            )
            for seq in range(1, 8)
        ),
    )
    first = await api.ok("GET", f"{path}?limit=3")
    assert [(item["message"], item["fields"]) for item in first["items"]] == [(f"line {n}", {"n": n}) for n in (1, 2, 3)]
    second = await api.ok("GET", path, params={"limit": 3, "after": first["next_cursor"]})
    assert [item["seq"] for item in second["items"]] == [4, 5, 6]
    last = await api.ok("GET", path, params={"after": second["next_cursor"]})
    assert ([item["seq"] for item in last["items"]], last["next_cursor"]) == ([7], None)
    assert [item["seq"] for item in (await api.ok("GET", path, params={"after": "1:5"}))["items"]] == [6, 7]
    assert (await api.refused("GET", f"{path}?after=x", 422)).keys() == {"after"}
    assert await api.refused("GET", "/occurrences/999/logs", 404)


async def test_a_log_is_downloaded_whole(api: Api, control: Control) -> None:
    await api.job()
    made = (await api.trigger("daily"))["id"]
    await api.db.pool.execute(
        """insert into occurrence_log (occurrence_id, attempt, seq, at, level, message, fields)
        select $1, 1, n, '2026-03-01 10:00:00.25Z', 'info', 'line ' || n || E'\nmore', '{"rows": 7, "to": "ann"}'
        from generate_series(1, 1200) n""",
        made,
    )
    text = await api.http.get(f"/api/v1/occurrences/{made}/logs/file")
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert text.headers["content-disposition"] == f'attachment; filename="occurrence-{made}.log"'
    lines = text.text.splitlines()
    assert len(lines) == 2_400
    assert lines[:2] == ["2026-03-01T10:00:00.250Z INFO     [1] line 1", "    more to=ann rows=7"]
    told = await api.http.get(f"/api/v1/occurrences/{made}/logs/file?format=ndjson")
    records = [json.loads(line) for line in told.text.splitlines()]
    assert [record["seq"] for record in records] == list(range(1, 1201))
    assert records[0]["fields"] == {"rows": 7, "to": "ann"}
    await api.refused("GET", "/occurrences/4711/logs/file", 404)
    await api.refused("GET", f"/occurrences/{made}/logs/file?format=xml", 422)


@pytest.mark.parametrize("ref", ["999", "0", "-1", "x", "99999999999999999999", "1.5", "%00"])
async def test_an_occurrence_that_is_not_there(api: Api, ref: str) -> None:
    for method, path in [("GET", ""), ("GET", "/logs"), ("POST", "/cancel"), ("POST", "/requeue")]:
        await api.refused(method, f"/occurrences/{ref}{path}", 404 if ref == "999" else 422)


# Cancelling and requeueing


async def test_cancelling_what_has_not_begun_is_done_at_once(api: Api) -> None:
    await api.job(concurrency="queue")
    first, second = await api.trigger("daily"), await api.trigger("daily")
    cancelled = await api.ok("POST", f"/occurrences/{first['id']}/cancel", 202, json={"reason": "wrong customer"})
    assert (cancelled["state"], cancelled["reason"]) == ("cancelled", "wrong customer")
    assert (await api.ok("GET", f"/occurrences/{second['id']}"))["state"] == "pending"
    assert api.broker.words == []
    found = await api.refused("POST", f"/occurrences/{first['id']}/cancel", 409)
    assert "already cancelled" in found[""]


async def test_cancelling_what_runs_tells_its_worker(api: Api, control: Control) -> None:
    await api.job()
    made = await api.trigger("daily")
    worker = await control.worker()
    await control.claim(worker, made["id"])
    cancelling = await api.ok("POST", f"/occurrences/{made['id']}/cancel", 202)
    assert cancelling["state"] == "cancelling"
    assert api.broker.words == [Cancel(worker=worker, occurrence=made["id"], attempt=1)]
    assert Hint("occurrences", (made["id"],)) in api.hints


async def test_only_what_has_ended_is_requeued_as_a_new_occurrence(api: Api) -> None:
    await api.job(payload={"a": 1})
    made = await api.trigger("daily")
    assert await api.refused("POST", f"/occurrences/{made['id']}/requeue", 409)
    await api.ok("POST", f"/occurrences/{made['id']}/cancel", 202)
    again = await api.ok("POST", f"/occurrences/{made['id']}/requeue", 202, json={"payload": {"a": 2}})
    assert (again["origin"], again["requeue_of"], again["state"]) == ("requeue", made["id"], "pending")
    assert (await api.ok("GET", f"/occurrences/{again['id']}"))["payload"] == {"a": 2}
    old = await api.ok("GET", f"/occurrences/{made['id']}")
    assert (old["state"], old["requeued_as"]) == ("cancelled", again["id"])
    assert (await api.refused("POST", f"/occurrences/{made['id']}/requeue", 422, json={"payload": []})).keys() == {"payload"}


# Listing


async def test_occurrences_are_filtered(api: Api, control: Control) -> None:
    one = await api.job("one", type="report.daily", concurrency="allow")
    two = await api.job("two", type="sendemail.welcome", concurrency="allow")
    a, b, c, d = [(await api.trigger(name))["id"] for name in ("one", "one", "two", "two")]
    worker = await control.worker()
    granted = await control.claim(worker, a)
    await control.report(worker, finished(granted))
    await control.claim(worker, c)
    await api.ok("POST", f"/occurrences/{d}/cancel", 202)
    assert await ids(api) == [d, c, b, a]
    assert await ids(api, limit=1) == [d, c, b, a]
    assert await ids(api, job="one") == await ids(api, job=one["id"]) == await ids(api, type="report.daily") == [b, a]
    assert await ids(api, state="running") == [c]
    assert await ids(api, state=["running", "cancelled", "pending"]) == [d, c, b]
    assert await ids(api, state=["running", "succeeded"]) == [c, a]
    assert await ids(api, worker=worker) == [c, a]
    assert await ids(api, worker=worker, state="running") == [c]
    assert await ids(api, worker=str(uuid.uuid4())) == []
    assert await ids(api, job="two", state="cancelled", type="sendemail.welcome", limit=1) == [d]
    assert await ids(api, job="two", state="cancelled", type="report.daily") == []
    await api.ok("DELETE", "/jobs/two", 204)
    assert await ids(api, job=two["id"]) == [d, c]
    assert await api.refused("GET", "/occurrences?job=two", 404)
    assert await ids(api, job=12345) == []


@pytest.mark.parametrize(
    "query", ["state=done", "worker=x", "cursor=x", "limit=501", "type=%00", "job=%00", "type=send*", "since=soon", "error=%00"]
)
async def test_a_wrong_filter_is_named(api: Api, query: str) -> None:
    found = await api.refused("GET", f"/occurrences?{query}", 422)
    assert next(iter(found)).split(".")[0] == query.split("=")[0]


async def test_what_failed_yesterday_with_an_error_is_found(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    day = datetime(2026, 3, 1, tzinfo=UTC)
    made: dict[tuple[str, str, int, str], int] = {}
    for kind in ("sendemail.welcome", "sendemail.a.b", "report.daily"):
        for hours in (-1, 3, 23, 24):
            state = "timed_out" if hours == 23 else "failed"
            for error, id_ in zip(
                ("read timeout", "refused"), await ids(api, job=await seed(api, 2, type=kind, state=state)), strict=True
            ):
                await api.db.pool.execute(
                    """update occurrence set finished_at = $2,
                    error = jsonb_build_object('type', 'OSError', 'message', $3::text) where id = $1""",
                    id_,
                    day + timedelta(hours=hours),
                    error + "\nand so on",
                )
                made[kind, error, hours, state] = id_
    yesterday = {"since": "2026-03-01", "until": "2026-03-02T00:00:00Z"}

    def of(**wanted: set[Any]) -> list[int]:
        names = ("kind", "error", "hours", "state")
        rows = [row for row in made.items() if all(row[0][names.index(n)] in v for n, v in wanted.items())]
        return [id_ for _, id_ in sorted(rows, key=lambda row: (row[0][2], row[1]), reverse=True)]

    within = {3, 23}
    one = of(kind={"sendemail.welcome"}, error={"read timeout"}, hours=within)
    assert await ids(api, type="sendemail.*", error="TIMEOUT", limit=1, **yesterday) == one
    assert await ids(api, type="sendemail.*", error="timeout", state="failed", **yesterday) == of(
        kind={"sendemail.welcome"}, error={"read timeout"}, hours={3}
    )
    mails = {"sendemail.welcome", "sendemail.a.b"}
    assert await ids(api, type="sendemail.#", **yesterday) == of(kind=mails, hours=within)
    assert await ids(api, type="sendemail.#", state=["succeeded", "timed_out"], **yesterday) == of(kind=mails, hours={23})
    assert await ids(api, error="oserror", since="2026-03-02") == of(hours={24})
    assert await ids(api, error="timeout", state="succeeded", **yesterday) == []
    assert sorted(await ids(api, error="timeout", type="#.welcome")) == sorted(
        of(kind={"sendemail.welcome"}, error={"read timeout"})
    )
    job = (await api.ok("GET", "/occurrences?type=report.daily&state=timed_out"))["items"][0]["job_id"]
    assert await ids(api, job=job, error="refused", **yesterday) == of(kind={"report.daily"}, error={"refused"}, hours={23})
    assert await ids(api, job=job, since="2026-03-02") == []
    monkeypatch.setattr(occurrence_reads, "SCAN", 2)
    monkeypatch.setattr(occurrence_reads, "STATE_SCAN", 2)
    monkeypatch.setattr(pages, "SCAN_TIME", 0)
    assert await ids(api, type="sendemail.*", error="timeout", **yesterday) == one
    assert await ids(api, type="sendemail.#", **yesterday) == of(kind=mails, hours=within)
    page = await api.ok("GET", "/occurrences", params={"type": "nothing.*", **yesterday})
    assert (page["items"], page["looked_at"]) == ([], 2)
    listed = (await api.ok("GET", "/occurrences", params={"error": "timeout", "limit": 1}))["items"]
    assert [each["error"] for each in listed] == [{"type": "OSError", "message": "read timeout"}]


async def test_an_error_in_a_list_is_a_line(api: Api) -> None:
    job = await seed(api, 1, state="failed")
    error = {"type": "T" * 5_000, "message": "m" * 5_000 + "\nmore", "traceback": "x"}
    await api.db.pool.execute("update occurrence set error = $1::text::jsonb", json.dumps(error))
    short = {"type": "T" * 200, "message": "m" * 300}
    for query in (f"job={job}", "state=failed", "since=2000-01-01", "error=mmm", ""):
        (listed,) = (await api.ok("GET", f"/occurrences?{query}"))["items"]
        assert listed["error"] == short
    assert (await api.ok("GET", f"/occurrences/{listed['id']}"))["error"] == error


@pytest.mark.parametrize(
    "path",
    [
        "/jobs",
        "/occurrences",
        "/dead-letters",
        "/backfills",
        "/workers",
        "/types",
        "/rate-limits",
        "/overview",
        "/occurrences/1/logs",
    ],
)
async def test_a_parameter_that_nothing_knows_is_refused(api: Api, path: str) -> None:
    found = await api.refused("GET", f"{path}?serach=x", 422)
    assert list(found) == ["serach"]
    assert "is not a parameter of this request" in found["serach"]


async def test_the_parameters_that_are_known_are_told(api: Api) -> None:
    found = await api.refused("GET", "/occurrences?search=x&limit=1", 422)
    assert found["search"].endswith("it has backfill, cursor, error, job, limit, since, state, type, until, worker")


# Waiting


async def test_a_pending_occurrence_tells_what_it_waits_for(api: Api, control: Control) -> None:
    async def waits_for(id_: int) -> dict[str, Any]:
        api.services.served.forget()
        found: dict[str, Any] = (await api.ok("GET", f"/occurrences/{id_}"))["waits_for"]
        return found

    await api.job("mail", type="sendemail.welcome", concurrency="allow", payload={"customer": "ann"})
    first, second = [(await api.trigger("mail"))["id"] for _ in range(2)]
    assert await waits_for(first) == {
        "kind": "no_worker",
        "text": "a worker that serves sendemail.welcome",
        "until": None,
    }
    worker = await control.worker()
    assert (await waits_for(first))["kind"] == "dispatcher"
    await api.ok("PUT", "/rate-limits/sendemail.welcome", json={"count": 2, "per": 60})
    assert await waits_for(first) == {"kind": "rate_limit", "text": "the rate limit 2 per 60 s", "until": None}
    await api.db.pool.execute("update occurrence set ring_at = now() + interval '1 minute', rings = 1 where id = $1", first)
    assert (await waits_for(first))["kind"] == "worker"
    await api.db.pool.execute("update worker set running = concurrency")
    assert (await waits_for(first))["text"] == "a free worker: all 1 that serve it are busy"
    await api.ok("DELETE", "/rate-limits/sendemail.welcome", 204)
    await api.ok("PUT", "/rate-limits/sendemail.welcome/by-key", json={"key": "customer", "count": 2, "per": 60})
    await control.publisher(await control.term()).run_once()
    await api.db.pool.execute("update occurrence set ring_at = 'infinity', rings = 0 where id = $1", second)
    await api.db.pool.execute(
        "insert into rate_line (occurrence_id, type, key, priority) values ($1, 'sendemail.welcome', 'ann', 5)"
        " on conflict do nothing",
        second,
    )
    waiting = await waits_for(second)
    assert (waiting["kind"], waiting["text"]) == ("key_limit", "the rate limit 2 per 60 s for customer ann")
    await api.db.pool.execute("update occurrence set ring_at = now() + interval '1 minute', rings = 0 where id = $1", second)
    assert (await waits_for(second))["kind"] == "jitter"
    await control.claim(worker, first)
    assert await waits_for(first) is None


async def test_a_full_window_is_told(database_url: str) -> None:
    async with running_api(database_url, publish_window=1) as api:
        control = Control(api.db)
        await control.worker()
        await api.job("mail", type="sendemail.welcome", concurrency="allow")
        first, second = [(await api.trigger("mail"))["id"] for _ in range(2)]
        await api.db.pool.execute("update occurrence set ring_at = now() + interval '1 minute', rings = 1 where id = $1", first)
        assert (await api.ok("GET", f"/occurrences/{second}"))["waits_for"]["kind"] == "publish_window"


async def test_pages_neither_repeat_nor_miss_while_occurrences_are_made(api: Api) -> None:
    await seed(api, 200)
    before = await ids(api, limit=500)
    seen: list[int] = []
    cursor: str | None = None
    while True:
        page = await api.ok("GET", "/occurrences", params={"limit": 30} | ({"cursor": cursor} if cursor else {}))
        seen += [item["id"] for item in page["items"]]
        await seed(api, 3)
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == before == sorted(before, reverse=True)


async def test_a_rare_match_far_back_is_found_within_bounds(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occurrence_reads, "SCAN", 50)
    monkeypatch.setattr(occurrence_reads, "STATE_SCAN", 10)
    rare = await seed(api, 3, type="rare.one", state="failed")
    common = await seed(api, 500)
    await seed(api, 100, state="failed")
    expected = await ids(api, job=rare)
    assert len(expected) == 3
    assert await ids(api, type="rare.one") == expected
    assert await ids(api, type="rare.one", limit=1) == expected
    assert await ids(api, type="rare.one", state="failed") == expected
    assert await ids(api, type="rare.one", state=["failed", "pending"], limit=2) == expected
    assert await ids(api, job=common, state="failed") == []
    # Out of time after one look each: short pages, but all is found in the end.
    monkeypatch.setattr(pages, "SCAN_TIME", 0)
    assert await ids(api, type="rare.one") == expected
    assert await ids(api, type="rare.one", state="failed") == expected
    assert await ids(api, job=rare, state="failed") == expected
    page = await api.ok("GET", "/occurrences?type=rare.one")
    assert page["items"] == []
    assert page["next_cursor"] is not None


async def test_listing_uses_indexes_whatever_the_filter(api: Api) -> None:
    """Among 100,000 occurrences no listing reads more than a few thousand rows, nor sorts them all, in a generic plan too."""
    common = await seed(api, 100_000)
    rare = await seed(api, 20, type="rare.one", state="failed")
    await api.db.pool.execute("vacuum analyze occurrence", timeout=60)
    now = datetime.now(UTC)
    hour = now - timedelta(hours=1)
    queries: list[tuple[str, tuple[object, ...]]] = [
        ("reads/occurrences", (None, 51, 51, None, None, None)),
        ("reads/occurrences", (None, 51, 2_000, None, ["succeeded"], None)),
        ("reads/occurrences_of_job", (None, 51, 51, None, None, None, None, None, None, common)),
        ("reads/occurrences_of_job", (None, 51, 51, None, None, None, None, None, None, rare)),
        ("reads/occurrences_of_job", (datetime.now(UTC), 51, 2_000, None, ["failed"], None, "%x%", None, None, rare)),
        ("reads/occurrences_of_job_horizon", (None, 2_000, common)),
        ("reads/occurrences_in_states", (None, 51, 51, None, [State.FAILED, State.PENDING], None, None)),
        ("reads/occurrences_ended", (None, None, 51, 2_000, None, None, None, None, hour, now)),
        ("reads/occurrences_ended", (now, 7, 51, 2_000, r"^\.rare\.[^.]+$", None, None, None, hour, None)),
        ("reads/occurrences_ended_horizon", (now, 7, 2_000, hour, now)),
        ("reads/occurrences_ended_in_states", (now, 7, 51, 2_000, None, ["failed", "skipped"], None, "%x%", hour, now)),
        ("reads/occurrences_ended_in_states_horizon", (now, 7, 2_000, hour, now, ["failed", "skipped"])),
        ("reads/occurrence", (1,)),
        ("reads/job", (rare,)),
    ]
    for name, arguments in queries:
        read = await rows_read(api, name, arguments)
        assert read < 5_000, f"{name} {arguments} reads {read} rows"


async def rows_read(api: Api, name: str, arguments: tuple[object, ...]) -> int:
    from leveret_core.store.database import sql

    async with api.db.pool.acquire() as connection:
        await connection.execute("set plan_cache_mode = force_generic_plan")
        await connection.execute("select pg_stat_force_next_flush()")
        before = await _read(connection)
        async with connection.transaction():
            await connection.fetch(sql(name), *arguments)
        await connection.execute("select pg_stat_force_next_flush()")
        await connection.execute("select pg_stat_clear_snapshot()")
        return await _read(connection) - before


async def _read(connection: Any) -> int:
    count: int = await connection.fetchval(
        "select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint from pg_stat_user_tables"
    )
    return count


async def test_many_cancel_the_same_occurrence_and_one_takes_effect(api: Api) -> None:
    await api.job()
    made = await api.trigger("daily")
    answers = await asyncio.gather(*(api.http.post(f"/api/v1/occurrences/{made['id']}/cancel") for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 9
