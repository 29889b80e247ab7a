"""Requests that no worker should send, at the door of the claim desk: each costs only itself."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from leveret_core.messages import Alive, Finished, Heartbeat, Hello, Request
from leveret_core.store.commands.occurrences import cancel_occurrence, trigger_job
from leveret_core.store.database import Database
from support.claims_door import ClaimsDoor, claims_door
from support.control import Control

SECRET = "a secret of this worker"


@pytest.fixture
async def control(database_url: str) -> AsyncGenerator[Control]:
    database = Database(database_url, pool_size=10)
    await database.start()
    made = Control(database)
    yield made
    violations = await made.violations()
    await database.stop()
    assert violations == []


@pytest.fixture
async def door(control: Control) -> AsyncGenerator[ClaimsDoor]:
    async with claims_door(control.desk) as door:
        yield door


def hello(worker: str, **more: Any) -> dict[str, Any]:
    facts = {"kind": "hello", "name": "w", "host": "h", "pid": 1, "sdk": "test/1", "concurrency": 10, "secret": SECRET}
    return {**facts, "worker": worker, "handlers": [{"pattern": "test.*", "concurrency": 10}], **more}


def claim(worker: str, *asks: Any) -> dict[str, Any]:
    return {"kind": "claim", "worker": worker, "secret": SECRET, "asks": list(asks)}


async def pending(control: Control, count: int) -> list[int]:
    job = await control.job(concurrency="allow")
    return [(await trigger_job(control.db, job, actor="test")).occurrence_id for _ in range(count)]


async def test_a_bad_ask_is_answered_and_its_neighbours_are_granted(control: Control, door: ClaimsDoor) -> None:
    worker = str(uuid.uuid4())
    first, second = await pending(control, 2)
    bad: list[Any] = [[first, 2**31], [2**63, 1], ["\x00", 1]]
    _, claimed = [*(await door.ask(hello(worker))), *(await door.ask(claim(worker, [first, 1], *bad, [second, 1])))]
    statuses = {(answer["occurrence"], answer["attempt"]): answer["status"] for answer in claimed["answers"]}
    assert statuses == {(first, 1): "granted", (second, 1): "granted", (first, 2**31): "stale", (2**63, 1): "stale"}
    assert [problem.split(" - at ")[1] for problem in claimed["problems"]] == [
        "`$.asks[1][1]`",
        "`$.asks[2][0]`",
        "`$.asks[3][0]`",
    ]


async def test_bad_requests_in_a_batch_are_refused_and_the_others_answered(control: Control, door: ClaimsDoor) -> None:
    worker = str(uuid.uuid4())
    (occurrence,) = await pending(control, 1)
    await door.ask(hello(worker))
    replies = await door.ask(
        hello(str(uuid.uuid4()), name="a\x00b"),
        claim(worker, *[[1, 1]] * 400_000),
        {"kind": "heartbeat", "worker": worker, "secret": SECRET, "running": 2**31, "holding": []},
        claim(worker, [occurrence, 1]),
        {"kind": "heartbeat", "worker": worker, "secret": SECRET, "running": 1, "holding": []},
        b"\xff",
        hello(str(uuid.uuid4()), handlers=[{"pattern": "(", "concurrency": 1}]),
    )
    assert [reply["kind"] for reply in replies] == ["refused", "refused", "refused", "claimed", "alive", "refused", "refused"]
    assert replies[3]["answers"][0]["status"] == "granted"


# --- who asks, and for what ---------------------------------------------------------------------------------------------


async def test_who_knows_an_id_and_not_its_secret_learns_and_changes_nothing(control: Control, door: ClaimsDoor) -> None:
    worker = str(uuid.uuid4())
    first, second = await pending(control, 2)
    await door.ask(hello(worker))
    (held,) = (await door.ask(claim(worker, [first, 1])))[0]["answers"]
    row = await control.row(first)
    guess = {"worker": worker, "secret": "a secret of another one"}
    job = {"name": "forged", "type": "test.job", "trigger": {"kind": "manual"}}
    # In one batch with requests of the worker itself: its secret does not speak for the others.
    replies = await door.ask(
        claim(worker, [first, 1]),
        claim(worker, [first, 1], [second, 1]) | guess,
        {"kind": "heartbeat", "running": 7, "holding": [], "draining": True} | guess,
        {"kind": "heartbeat", "worker": worker, "secret": SECRET, "running": 1, "holding": []},
        {"kind": "goodbye"} | guess,
        {"kind": "declare", "jobs": [job]} | guess,
        hello(worker, secret="a secret of another one"),
        hello(worker, handlers=[{"pattern": "#", "concurrency": 1}]),
        {"kind": "claim", "worker": worker, "asks": [[first, 1]]},
    )
    kinds = [reply["kind"] for reply in replies]
    assert kinds == ["claimed", "unknown", "unknown", "alive", "bye", "unknown", "unknown", "unknown", "unknown"]
    assert replies[0]["answers"] == [held]
    assert replies[4]["released"] == 0
    assert "`secret` is missing" in replies[8]["reason"]
    assert await control.row(first) == row
    assert (await control.row(second))["state"] == "pending"
    told = await control.db.pool.fetchrow("select running, state from worker where id = $1", uuid.UUID(worker))
    assert told is not None
    assert dict(told) == {"running": 1, "state": "alive"}
    assert await control.db.pool.fetchval("select count(*) from job where name = 'forged'") == 0


async def test_a_worker_gets_only_what_its_handlers_serve_and_sees_nothing_else(control: Control, door: ClaimsDoor) -> None:
    mine, others = str(uuid.uuid4()), str(uuid.uuid4())
    job = await control.job("secret", type="secret.report", payload={"card": "4711"}, concurrency="allow")
    foreign = (await trigger_job(control.db, job, actor="test")).occurrence_id
    (own,) = await pending(control, 1)
    await door.ask(hello(mine), hello(others, handlers=[{"pattern": "secret.#", "concurrency": 1}]))
    for types in ({}, {"types": ["test.job", "secret.report"]}, {"types": ["test.job", "test.job"]}):
        (reply,) = await door.ask(claim(mine, [own, 1], [foreign, 1]) | types)
        assert [answer["status"] for answer in reply["answers"]] == ["granted", "stale"]
        assert reply["problems"] == [f"occurrence {foreign} is of a type that no handler of this worker serves"]
        assert "4711" not in str(reply)
        assert "secret" not in str(reply)
    assert (await control.row(foreign))["state"] == "pending"
    (reply,) = await door.ask(claim(others, [foreign, 1]) | {"types": ["secret.other"]})
    assert (reply["answers"][0]["status"], (await control.row(foreign))["state"]) == ("stale", "pending")
    (reply,) = await door.ask(claim(others, [foreign, 1]) | {"types": ["secret.report"]})
    assert reply["answers"][0]["payload"] == {"card": "4711"}


async def test_what_was_cancelled_before_its_worker_heard_of_it_is_not_begun_and_comes_to_its_end(
    control: Control, door: ClaimsDoor
) -> None:
    worker = str(uuid.uuid4())
    (occurrence,) = await pending(control, 1)
    await door.ask(hello(worker), claim(worker, [occurrence, 1]))
    await door.ask(claim(worker, [occurrence, 1]))  # its reply is lost
    await cancel_occurrence(control.db, occurrence, reason="", actor="test")
    (again,) = (await door.ask(claim(worker, [occurrence, 1])))[0]["answers"]
    assert again.keys() == {"occurrence", "attempt", "status", "token"}
    assert again["status"] == "cancelled"
    end = Finished(occurrence=occurrence, attempt=1, token=again["token"], seq=1, outcome="cancelled", duration=0.0)
    await control.report(worker, end)
    assert (await control.row(occurrence))["state"] == "cancelled"
    (other,) = (await door.ask(claim(worker, [occurrence, 1])))[0]["answers"]
    assert other["status"] == "stale"


# --- what is wrong is found by whoever has to mend it -------------------------------------------------------------------


async def test_mistakes_are_logged_with_the_workers_name_counted_and_kept_within_bounds(
    control: Control, door: ClaimsDoor, caplog: pytest.LogCaptureFixture
) -> None:
    worker, nobody = str(uuid.uuid4()), str(uuid.uuid4())
    await door.ask(hello(worker, name="mails"))
    await door.ask(*[claim(worker, [1, 0])] * 30, hello(nobody, name="others", concurrency=0), b"{", claim("x", [1, 1]))
    await door.ask(*({"kind": "heartbeat", "worker": worker, "running": -number, "holding": []} for number in range(1, 31)))
    await control.desk.refusals.keep()
    kept = await control.db.pool.fetch("select worker_id, kind, reason, worker_name, count from refusal order by count desc")
    assert {(row["kind"], row["worker_name"], row["count"]) for row in kept} == {
        ("heartbeat", "mails", 30),
        ("claim", "mails", 30),
        ("hello", "others", 1),
        ("claim", "", 1),
        ("other", "", 1),
    }
    assert {str(row["worker_id"]) for row in kept} == {worker, nobody, str(uuid.UUID(int=0))}
    assert f"claim desk: claim refused, 30 times: Expected `int` >= 1 - at `$.asks[0][1]` (mails, {worker})" in caplog.text
    assert control.desk.refusals.counts["claim"] == 31
    for number in range(50):
        control.desk.refusals.note("claim", worker, f"number {number}")
    await control.desk.refusals.keep()
    assert await control.db.pool.fetchval("select count(*) from refusal where worker_id = $1", uuid.UUID(worker)) == 20
    for _ in range(3):
        for number in range(100):
            control.desk.refusals.note("claim", str(uuid.uuid4()), f"number {number}")
        await control.desk.refusals.keep()
    assert await control.db.pool.fetchval("select count(*) from refusal") <= 220


async def test_a_heartbeat_that_does_not_say_what_its_worker_holds_is_refused_and_renews_nothing(
    control: Control, door: ClaimsDoor
) -> None:
    worker = str(uuid.uuid4())
    await door.ask(hello(worker))
    leased = "select lease_until from worker where id = $1"
    before = await control.db.pool.fetchval(leased, uuid.UUID(worker))
    beat = {"kind": "heartbeat", "worker": worker, "secret": SECRET, "running": 1}
    (reply,) = await door.ask(beat)
    assert (reply["kind"], reply["reason"]) == ("refused", "Object missing required field `holding`")
    assert await control.db.pool.fetchval(leased, uuid.UUID(worker)) == before
    for holding in ([], [[1, 1]], None):
        (reply,) = await door.ask(beat | {"holding": holding})
        assert reply["kind"] == "alive"


async def test_heartbeats_wait_for_no_declaration(control: Control, door: ClaimsDoor) -> None:
    worker = str(uuid.uuid4())
    await door.ask(hello(worker))
    trigger = {"kind": "cron", "expression": "0 6 * * *"}
    declared = [{"name": f"job-{number}", "type": "test.job", "trigger": trigger} for number in range(200)]
    (slow, *quick) = door.put(
        [
            {"kind": "declare", "worker": worker, "secret": SECRET, "jobs": declared},
            {"kind": "heartbeat", "worker": worker, "secret": SECRET, "running": 1, "holding": []},
            claim(worker, [1, 1]),
            hello(str(uuid.uuid4())),
        ]
    )
    replies = await asyncio.wait_for(asyncio.gather(*quick), 10)
    assert [reply["kind"] for reply in replies] == ["alive", "claimed", "welcome"]
    assert not slow.done()
    assert len((await asyncio.wait_for(slow, 30))["jobs"]) == 200


async def test_a_statement_that_breaks_on_the_data_of_one_request_serves_the_others(control: Control) -> None:
    """Behind the checks of the door, should they ever let something through."""
    good, bad, unnamed = await control.worker(), await control.worker(), str(uuid.uuid4())
    requests: list[Request] = [
        Heartbeat(worker=good, running=1, holding=None),
        Heartbeat(worker=bad, running=2**31, holding=None),
    ]
    requests.append(Hello(worker=unnamed, name="\x00", host="h", pid=1, sdk="s", concurrency=1, handlers=[], secret=""))
    replies = await control.desk.answer(requests)
    assert [type(reply).__name__ for reply in replies] == ["Alive", "Refused", "Refused"]
    assert isinstance(replies[0], Alive)


async def test_what_was_refused_just_before_a_stop_is_kept(control: Control) -> None:
    worker = uuid.uuid4()
    control.desk.refusals.note("claim", str(worker), "too late to wait")
    await control.desk.refusals.stop()
    await control.desk.refusals.stop()
    assert await control.db.pool.fetchval("select reason from refusal where worker_id = $1", worker) == "too late to wait"
