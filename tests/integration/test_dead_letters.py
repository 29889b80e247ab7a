"""Dead letters over REST, on a real Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from leveret_api import cached
from leveret_core.hints import Hint
from leveret_core.messages import JobError
from leveret_core.store.database import sql
from leveret_core.store.dead_letters import commands as dead_letters
from support.api import Api, running_api
from support.control import Control, finished

ONCE = {"max_attempts": 1}


@pytest.fixture
async def api(database_url: str) -> AsyncGenerator[Api]:
    async with running_api(database_url, payload_limit=200) as running:
        yield running
        violations = await Control(running.db).violations()
    assert violations == []


@pytest.fixture
def control(api: Api) -> Control:
    return Control(api.db)


async def failed(
    control: Control, occurrence: int, *, outcome: str = "failed", kind: str = "ValueError", message: str = "no such user"
) -> int:
    """Let an attempt at `occurrence` end badly."""
    worker = await control.worker()
    attempt = (await control.row(occurrence))["attempt"] + 1
    error = JobError(type=kind, message=message, traceback="Traceback …")
    await control.report(worker, finished(await control.claim(worker, occurrence, attempt), outcome, error=error))
    return occurrence


async def dead(api: Api, control: Control, job: str, count: int = 1, **error: Any) -> list[int]:
    """Ids of new dead letters of a job that allows any number, the oldest first."""
    made = [(await api.trigger(job, payload={"n": n}))["id"] for n in range(count)]
    return [await failed(control, id_, **error) for id_ in made]


async def view(api: Api, **params: Any) -> list[int]:
    """Ids in the view, page by page."""
    found: list[int] = []
    cursor: str | None = None
    while True:
        page = await api.ok("GET", "/dead-letters", params=params | ({"cursor": cursor} if cursor else {}))
        found += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


async def requeue(api: Api, **body: Any) -> dict[str, Any]:
    made: dict[str, Any] = await api.ok("POST", "/dead-letters/requeue", json=body)
    return made


async def discard(api: Api, **body: Any) -> dict[str, Any]:
    made: dict[str, Any] = await api.ok("POST", "/dead-letters/discard", json=body)
    return made


# The view


async def test_what_failed_for_good_is_a_dead_letter_with_its_error(api: Api, control: Control) -> None:
    await api.job(retry={"max_attempts": 2, "delay": 0})
    made = (await api.trigger("daily"))["id"]
    await failed(control, made)
    assert await view(api) == []  # it is tried again
    await control.db.pool.execute("update occurrence set retry_at = now()")
    await control.retrier(await control.term()).run_once()
    await failed(control, made, message="still " + "x" * 3_000)
    (letter,) = (await api.ok("GET", "/dead-letters"))["items"]
    occurrence = await api.ok("GET", f"/occurrences/{made}")
    assert letter == {name: occurrence[name] for name in letter.keys() - {"error"}} | {"error": letter["error"]}
    assert (letter["state"], letter["attempt"], letter["resolution"]) == ("failed", 2, None)
    assert letter["error"] == {"type": "ValueError", "message": "still " + "x" * 1_994, "traceback": ""}


async def test_what_timed_out_and_what_was_lost_too_often_are_dead_letters_and_nothing_else_is(
    api: Api, control: Control
) -> None:
    await api.job("a", concurrency="allow", retry={"max_attempts": 1, "max_lost": 1}, trigger={"kind": "manual"})
    (timed_out,) = await dead(api, control, "a", outcome="timed_out")
    lost = (await api.trigger("a"))["id"]
    await control.claim(await control.worker(), lost)
    await control.db.pool.execute("update worker set lease_until = now() - interval '1 hour'")
    await control.reaper(await control.term()).run_once()
    succeeded, cancelled, _pending = [(await api.trigger("a"))["id"] for _ in range(3)]
    worker = await control.worker()
    await control.report(worker, finished(await control.claim(worker, succeeded)))
    await api.ok("POST", f"/occurrences/{cancelled}/cancel", 202)
    assert await view(api) == [lost, timed_out]
    assert (await api.ok("GET", "/dead-letters?search=WorkerLost"))["items"][0]["id"] == lost
    assert (await view(api, search="worker died")) == [lost]


async def test_the_view_is_filtered_and_paged(api: Api, control: Control) -> None:
    one = await api.job("one", type="report.daily", concurrency="allow", retry=ONCE)
    await api.job("two", type="sendemail.x", concurrency="allow", retry=ONCE)
    a, b, c = await dead(api, control, "one", 3, kind="ConnectionError", message="db01 refused, 100%_sure")
    d, e = await dead(api, control, "two", 2, kind="KeyError", message="'name'")
    between = (await control.row(c))["finished_at"].isoformat()
    wanted: list[tuple[dict[str, Any], list[int]]] = [
        ({}, [e, d, c, b, a]),
        ({"limit": 2}, [e, d, c, b, a]),
        ({"job": "one"}, [c, b, a]),
        ({"job": one["id"], "limit": 1}, [c, b, a]),
        ({"job": 4711}, []),
        ({"type": "sendemail.x"}, [e, d]),
        ({"type": "sendemail"}, []),
        ({"search": "connectionerror"}, [c, b, a]),
        ({"search": "DB01 refused"}, [c, b, a]),
        ({"search": "100%_s"}, [c, b, a]),
        ({"search": "1%s"}, []),
        ({"search": "'name'", "job": "two"}, [e, d]),
        ({"search": "'name'", "job": "one"}, []),
        ({"since": between}, [e, d, c]),
        ({"until": between}, [b, a]),
        ({"since": between, "until": between}, []),
        ({"until": between, "type": "report.daily", "search": "db01", "limit": 1}, [b, a]),
    ]
    for params, expected in wanted:
        assert await view(api, **params) == expected, params
    assert await view(api, since="2020-01-01T00:00:00", until="2100-01-01") == [e, d, c, b, a]
    await api.ok("DELETE", "/jobs/two", 204)
    await api.refused("GET", "/dead-letters?job=two", 404)
    assert await view(api, type="sendemail.x") == [e, d]


async def test_they_are_counted_in_the_overview_and_for_prometheus(
    api: Api, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached, "_SHARE", 0)
    await api.job(concurrency="allow", retry=ONCE)
    await dead(api, control, "daily", 3)
    assert (await api.ok("GET", "/overview"))["dead_letters"] == 3
    assert "leveret_dead_letters 3.0" in (await api.http.get("/metrics")).text


@pytest.mark.parametrize("query", ["since=0001-01-01T00:00:00%2B14:00", "until=9999-12-31T23:59:59-14:00"])
async def test_times_beyond_what_can_be_stored_are_refused(api: Api, query: str) -> None:
    assert (await api.refused("GET", f"/dead-letters?{query}", 422)).keys() == {query.partition("=")[0]}


@pytest.mark.parametrize("query", ["since=x", "cursor=x", "cursor=MTo1", "limit=501", "search=%00", "type=%00", "job=%00"])
async def test_a_wrong_filter_is_named(api: Api, query: str) -> None:
    assert (await api.refused("GET", f"/dead-letters?{query}", 422)).keys() == {query.split("=")[0]}


# Requeueing


async def test_a_single_requeue_leaves_the_view(api: Api, control: Control) -> None:
    await api.job(concurrency="allow", retry=ONCE)
    first, second = await dead(api, control, "daily", 2)
    again = await api.ok("POST", f"/occurrences/{first}/requeue", 202, json={"payload": {"n": 7}})
    assert await view(api) == [second]
    assert (await api.ok("GET", f"/occurrences/{first}"))["resolution"] == "requeued"
    # The new one is a letter of its own.
    await failed(control, again["id"])
    assert await view(api) == [again["id"], second]


async def test_a_single_requeue_that_is_skipped_at_once_stays_in_the_view(api: Api, control: Control) -> None:
    await api.job(retry=ONCE)
    (letter,) = await dead(api, control, "daily")
    await api.trigger("daily")
    again = await api.ok("POST", f"/occurrences/{letter}/requeue", 202)
    assert again["state"] == "skipped"
    assert await view(api) == [letter]


async def test_by_filter_the_oldest_are_requeued_first_and_each_once(api: Api, control: Control) -> None:
    await api.job("one", concurrency="allow", retry=ONCE)
    await api.job("two", concurrency="allow", retry=ONCE)
    letters = await dead(api, control, "one", 5, message="db01 refused")
    others = await dead(api, control, "two", 2)
    done = await requeue(api, filter={"search": "db01"}, limit=3)
    assert done == {"requeued": 3, "remaining": 2, "ids": letters[:3], "refused": []}
    assert any(hint.topic == "wake" for hint in api.hints)
    assert any(hint.topic == "occurrences" and set(letters[:3]) < set(hint.ids) for hint in api.hints)
    done = await requeue(api, filter={"job": "one"})
    assert done == {"requeued": 2, "remaining": 0, "ids": letters[3:], "refused": []}
    assert await requeue(api, filter={"job": "one"}) == {"requeued": 0, "remaining": 0, "ids": [], "refused": []}
    assert await view(api) == others[::-1]
    rows = await control.db.pool.fetch(
        "select requeue_of, payload::text, state::text from occurrence where origin = 'requeue' order by id"
    )
    assert [tuple(row) for row in rows] == [(id_, f'{{"n": {n}}}', "pending") for n, id_ in enumerate(letters)]
    assert await control.db.pool.fetchval("select count(*) from audit where action = 'requeue'") == 5


async def test_ten_clicks_at_once_requeue_nothing_twice(api: Api, control: Control) -> None:
    await api.job(concurrency="allow", retry=ONCE)
    letters = await dead(api, control, "daily", 6)
    clicks = await asyncio.gather(*(requeue(api, filter={}) for _ in range(4)), *(requeue(api, ids=letters) for _ in range(4)))
    assert sum(click["requeued"] for click in clicks) == 6
    assert await control.db.pool.fetchval("select count(*) from occurrence where origin = 'requeue'") == 6
    assert all(click["remaining"] == 0 for click in clicks[-1:])


async def test_requeued_and_discarded_at_once_is_one_of_both(api: Api, control: Control) -> None:
    await api.job(concurrency="allow", retry=ONCE)
    letters = await dead(api, control, "daily", 8)
    both = await asyncio.gather(*(f(api, filter={}) for f in (requeue, discard, requeue, discard)))
    taken = [id_ for answer in both for id_ in answer["ids"]]
    assert sorted(taken) == letters
    assert await view(api) == []


async def test_ids_that_are_no_dead_letters_are_passed_over(api: Api, control: Control) -> None:
    await api.job(concurrency="allow", retry=ONCE)
    first, second = await dead(api, control, "daily", 2)
    live = (await api.trigger("daily"))["id"]
    done = await requeue(api, ids=[second, live, 4711, second, first], limit=1)
    assert done == {"requeued": 1, "remaining": 1, "ids": [first], "refused": []}
    assert (await requeue(api, ids=[]))["requeued"] == 0


async def test_a_payload_is_replaced_or_patched(api: Api, control: Control) -> None:
    await api.job(concurrency="allow", retry=ONCE)
    made = (await api.trigger("daily", payload={"server": {"host": "a", "port": 1}, "debug": True, "list": [1, 2]}))["id"]
    await failed(control, made)
    await requeue(api, ids=[made], payload_patch={"server": {"host": "b"}, "debug": None, "list": [3]})
    (patched,) = await control.db.pool.fetch("select id, payload::text from occurrence where requeue_of = $1", made)
    assert (await api.ok("GET", f"/occurrences/{patched['id']}"))["payload"] == {
        "server": {"host": "b", "port": 1},
        "list": [3],
    }
    await failed(control, patched["id"])
    await requeue(api, filter={}, payload={"new": 1})
    last = await control.db.pool.fetchval("select payload::text from occurrence where requeue_of = $1", patched["id"])
    assert last == '{"new": 1}'


async def test_what_a_patch_makes_too_large_stays_with_the_reason(api: Api, control: Control) -> None:
    await api.job(concurrency="allow", retry=ONCE)
    small, large = [(await api.trigger("daily", payload={"a": "x" * n}))["id"] for n in (1, 150)]
    for letter in (small, large):
        await failed(control, letter)
    done = await requeue(api, filter={}, payload_patch={"b": "y" * 100})
    assert (done["requeued"], done["remaining"], done["ids"]) == (1, 1, [small])
    (refusal,) = done["refused"]
    assert refusal["id"] == large
    assert "at most 200 are allowed" in refusal["reason"]
    assert await view(api) == [large]


@pytest.mark.parametrize("concurrency", ["skip", "replace"])
async def test_no_letter_is_lost_to_the_policy_of_its_job(api: Api, control: Control, concurrency: str) -> None:
    await api.job("busy", concurrency=concurrency, retry=ONCE)
    await api.job("free", concurrency="allow", retry=ONCE)
    letters = [(await dead(api, control, "busy"))[0] for _ in range(3)]
    free = await dead(api, control, "free", 2)
    done = await requeue(api, filter={})
    assert done["ids"] == [letters[0], *free]
    assert done["remaining"] == 2
    assert [refusal["id"] for refusal in done["refused"]] == letters[1:]
    assert len({refusal["reason"] for refusal in done["refused"]}) == 1
    assert await view(api) == letters[:0:-1]
    assert await control.db.pool.fetchval("select count(*) from occurrence where state in ('skipped', 'cancelled')") == 0
    again = await requeue(api, filter={})
    assert (again["requeued"], again["remaining"]) == (0, 2)
    await failed(control, await control.db.pool.fetchval("select max(id) from occurrence where job_name = 'busy'"))
    assert (await requeue(api, filter={"job": "busy"}))["ids"] == [letters[1]]


async def test_refused_ones_do_not_stand_in_the_way_of_others(api: Api, control: Control) -> None:
    await api.job("busy", concurrency="skip", retry=ONCE)
    await api.job("free", concurrency="allow", retry=ONCE)
    letters = [(await dead(api, control, "busy"))[0] for _ in range(3)]
    free = await dead(api, control, "free", 2)
    done = await requeue(api, ids=[*letters, *free], limit=3)
    assert (done["ids"], done["remaining"]) == ([letters[0], *free], 2)
    assert [refusal["id"] for refusal in done["refused"]] == letters[1:]


async def test_what_a_job_would_skip_waits_in_line_if_asked_to(api: Api, control: Control) -> None:
    await api.job("busy", concurrency="skip", retry=ONCE)
    letters = [(await dead(api, control, "busy"))[0] for _ in range(3)]
    done = await requeue(api, ids=letters, queue=True)
    assert (done["ids"], done["remaining"], done["refused"]) == (letters, 0, [])
    rows = await control.db.pool.fetch(
        "select id, requeue_of, state::text from occurrence where origin = 'requeue' order by scheduled_for"
    )
    assert [tuple(row)[1:] for row in rows] == [(letters[0], "pending"), (letters[1], "waiting"), (letters[2], "waiting")]
    for row, following in pairwise(rows):
        worker = await control.worker()
        await control.report(worker, finished(await control.claim(worker, row["id"], 1)))
        assert (await control.row(following["id"]))["state"] == "pending"


async def test_a_line_is_no_way_around_replace(api: Api, control: Control) -> None:
    """What waits for a job with `replace` would end for the next one that is due."""
    await api.job("busy", concurrency="replace", retry=ONCE)
    letters = [(await dead(api, control, "busy"))[0] for _ in range(2)]
    done = await requeue(api, ids=letters, queue=True)
    assert (done["ids"], done["remaining"]) == (letters[:1], 1)


async def test_one_key_that_is_busy_does_not_hold_up_the_others(api: Api, control: Control) -> None:
    await api.job(concurrency="skip", concurrency_key="who", retry=ONCE)
    letters: list[int] = []
    for who in ("ann", "ann", "bob"):
        letters.append(await failed(control, (await api.trigger("daily", payload={"who": who}))["id"]))
    assert (await requeue(api, filter={}))["ids"] == [letters[0], letters[2]]


async def test_queued_jobs_get_their_letters_back_in_order(api: Api, control: Control) -> None:
    await api.job(concurrency="queue", retry=ONCE)
    letters = [(await dead(api, control, "daily"))[0] for _ in range(3)]
    assert (await requeue(api, filter={}))["requeued"] == 3
    rows = await control.db.pool.fetch(
        "select requeue_of, state::text from occurrence where origin = 'requeue' order by scheduled_for"
    )
    assert [tuple(row) for row in rows] == [(letters[0], "pending"), (letters[1], "waiting"), (letters[2], "waiting")]


async def test_letters_of_a_deleted_job_are_only_discarded(api: Api, control: Control) -> None:
    job = await api.job(concurrency="allow", retry=ONCE)
    letters = await dead(api, control, "daily", 2)
    await api.ok("DELETE", "/jobs/daily", 204)
    assert await requeue(api, filter={}) == {"requeued": 0, "remaining": 0, "ids": [], "refused": []}
    assert await requeue(api, ids=letters) == {"requeued": 0, "remaining": 0, "ids": [], "refused": []}
    assert await view(api) == letters[::-1]
    assert await discard(api, filter={"job": job["id"]}) == {"discarded": 2, "remaining": 0, "ids": letters}
    assert await view(api) == []


# Discarding


async def test_discarding_takes_letters_out_of_the_view_and_keeps_their_history(api: Api, control: Control) -> None:
    await api.job(concurrency="allow", retry=ONCE)
    letters = await dead(api, control, "daily", 4)
    assert await discard(api, ids=letters[:1], reason="known") == {"discarded": 1, "remaining": 0, "ids": letters[:1]}
    assert await discard(api, filter={}, limit=2) == {"discarded": 2, "remaining": 1, "ids": letters[1:3]}
    assert await view(api) == letters[3:]
    assert Hint("occurrences", tuple(letters[1:3])) in api.hints
    detail = await api.ok("GET", f"/occurrences/{letters[0]}")
    assert (detail["state"], detail["resolution"]) == ("failed", "discarded")
    row = await control.db.pool.fetchrow(
        "select actor, job_id, detail::text from audit where action = 'discard' and occurrence_id = $1", letters[0]
    )
    assert row is not None
    assert tuple(row) == ("api", detail["job_id"], '{"reason": "known"}')
    # It can be requeued all the same, one by one.
    await api.ok("POST", f"/occurrences/{letters[0]}/requeue", 202)
    assert (await api.ok("GET", f"/occurrences/{letters[0]}"))["resolution"] == "discarded"


async def test_a_dry_run_tells_which_ones_and_does_nothing(api: Api, control: Control) -> None:
    await api.job(concurrency="skip", retry=ONCE)
    letters = [(await dead(api, control, "daily"))[0] for _ in range(3)]
    assert await requeue(api, filter={}, dry_run=True, limit=2) == {
        "requeued": 0,
        "remaining": 3,
        "ids": letters[:2],
        "refused": [],
    }
    assert await discard(api, filter={}, dry_run=True) == {"discarded": 0, "remaining": 3, "ids": letters}
    assert await view(api) == letters[::-1]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"filter"}),
        ({"filter": {}, "ids": [1]}, {"filter"}),
        ({"filter": {"jobs": "x"}}, {"filter.jobs"}),
        ({"filter": {"since": "x"}}, {"filter.since"}),
        ({"filter": {"search": "\x00"}}, {"filter.search"}),
        ({"filter": {"job": 2**70}}, {"filter.job"}),
        ({"ids": [0]}, {"ids.0"}),
        ({"ids": list(range(1, 1002))}, {"ids"}),
        ({"filter": {}, "limit": 1001}, {"limit"}),
        ({"filter": {}, "payload": {}, "payload_patch": {}}, {"payload_patch"}),
        ({"filter": {}, "payload": {"a": "x" * 200}}, {"payload"}),
        ({"filter": {}, "payload_patch": {"a": "\x00"}}, {"payload_patch.a"}),
        ({"filter": {}, "payload_patch": []}, {"payload_patch"}),
    ],
)
async def test_a_wrong_request_names_the_fields(api: Api, body: dict[str, Any], fields: set[str]) -> None:
    assert (await api.refused("POST", "/dead-letters/requeue", 422, json=body)).keys() == fields


# Many


async def many(api: Api, count: int, **columns: Any) -> int:
    """Dead letters of a new job, one a second up to now; returns its id."""
    job = await api.job(columns.pop("name", "many"), type="test.many", concurrency="allow")
    row = {"state": "failed", "resolution": None} | columns
    await api.db.pool.execute(
        """insert into occurrence (job_id, job_name, job_version, type, payload, origin, scheduled_for, state, retry,
                                   resolution, error, finished_at)
           select $1, 'many', 1, 'test.many', '{}', 'schedule', now() - n * interval '1 second', $3::text::occurrence_state,
                  '{}', $4, jsonb_build_object('type', 'ValueError', 'message', 'number ' || n, 'traceback', repeat('x', 500)),
                  now() - n * interval '1 second'
           from generate_series(1, $2::integer) n""",
        job["id"],
        count,
        row["state"],
        row["resolution"],
        timeout=60,
    )
    return int(job["id"])


async def test_a_rare_match_far_back_is_found_within_bounds(
    api: Api, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "SCAN", 50)
    await many(api, 500)
    rare = await many(api, 3, name="rare")
    expected = await view(api, job=rare)
    assert len(expected) == 3
    assert await view(api, job=rare, limit=1) == expected
    assert len(await view(api, search="number 499")) == 1
    assert len(await view(api)) == 503
    # Out of time after one look each: short pages, but all is found in the end.
    monkeypatch.setattr(dead_letters, "SCAN_TIME", 0)
    assert len(await view(api, search="number 499")) == 1
    page = await api.ok("GET", "/dead-letters?search=number 499")
    assert page["items"] == []
    assert page["next_cursor"] is not None
    # What is not counted to the end is not said to be nothing.
    assert (await requeue(api, filter={"search": "number 500"}))["remaining"] == 1
    assert (await discard(api, filter={"search": "number 3"}, limit=1000))["discarded"] == 111 + 1


async def test_many_are_dealt_with_in_several_requests(api: Api, control: Control) -> None:
    await many(api, 250)
    answers = [await requeue(api, filter={}) for _ in range(3)]
    assert [(answer["requeued"], answer["remaining"]) for answer in answers] == [(100, 150), (100, 50), (50, 0)]


async def test_the_view_reads_no_more_than_it_shows_whatever_else_there_is(api: Api) -> None:
    """Among 100,000 other ends, dealt with or not failed, in a generic plan too."""
    await many(api, 50_000, state="succeeded", name="good")
    await many(api, 50_000, resolution="discarded", name="dealt-with")
    job = await many(api, 300)
    await api.db.pool.execute("vacuum analyze occurrence", timeout=60)
    now = datetime.now(UTC)
    nothing = (None, None, None, None, None)
    for name, arguments in [
        ("dead_letters/list", (None, None, 51, 20_000, *nothing)),
        ("dead_letters/list", (now, 1, 51, 20_000, job, "test.many", "%number%", now - timedelta(hours=1), now)),
        ("dead_letters/list_horizon", (None, None, 20_000, None, None)),
        ("dead_letters/find", (None, None, 100, 20_000, *nothing, True, [])),
        ("dead_letters/find", (None, None, 100, 20_000, job, None, "%number 1%", None, None, True, [1])),
        ("dead_letters/find_horizon", (None, None, 20_000, None, None)),
    ]:
        assert await rows_read(api, name, arguments) < 2_000, (name, arguments)


async def rows_read(api: Api, name: str, arguments: Sequence[object]) -> int:
    async with api.db.pool.acquire() as connection, connection.transaction():
        await connection.execute("set local plan_cache_mode = force_generic_plan")
        await connection.execute("select pg_stat_force_next_flush()")
        before = await _read(connection)
        await connection.fetch(sql(name), *arguments)
    async with api.db.pool.acquire() as connection:
        await connection.execute("select pg_stat_force_next_flush()")
        await connection.execute("select pg_stat_clear_snapshot()")
        return await _read(connection) - before


async def _read(connection: Any) -> int:
    count: int = await connection.fetchval(
        "select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint from pg_stat_user_tables"
    )
    return count
