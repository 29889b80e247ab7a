"""Jobs declared in code: what workers declare, twenty at once, by hand in between, and over a rolling deploy."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leveret_core.messages import Declare, Declared, Goodbye, Hello, Unknown
from leveret_core.store.database import Database
from leveret_core.store.jobs import changes as job_changes
from leveret_dispatcher.claims.claim_desk import ClaimDesk
from support.control import Control


@pytest.fixture
async def control(database_url: str) -> AsyncIterator[Control]:
    database = Database(database_url, pool_size=20)
    await database.start()
    yield Control(database)
    await database.stop()


def daily(name: str = "report", expression: str = "0 6 * * *", **more: Any) -> dict[str, Any]:
    trigger = {"kind": "cron", "expression": expression, "timezone": "Europe/Berlin"}
    return {"name": name, "type": "report.daily", "trigger": trigger, **more}


async def declare(control: Control, worker: str, *declared: dict[str, Any], desk: ClaimDesk | None = None) -> list[str]:
    """The results, in the order of the jobs."""
    (reply,) = await (desk or control.desk).answer([Declare(worker=worker, jobs=list(declared))])
    assert isinstance(reply, Declared), reply
    assert reply.problems == []
    assert [job.name for job in reply.jobs] == [job["name"] for job in declared]
    return [job.result for job in reply.jobs]


async def job_row(control: Control, name: str = "report") -> dict[str, Any]:
    rows = await control.db.pool.fetch("select * from job where name = $1 and deleted_at is null", name)
    assert len(rows) == 1
    return dict(rows[0]) | {"trigger": rows[0]["trigger"]}


async def edit(control: Control, name: str = "report", **changes: Any) -> None:
    await job_changes.edit_job(control.db, name, changes, actor="test", version=None, payload_limit=10_000)


async def leave(control: Control, worker: str) -> None:
    await control.desk.answer([Goodbye(worker=worker)])


async def test_a_declared_job_is_due_from_now_on_and_the_same_again_changes_nothing(control: Control) -> None:
    worker = await control.worker()
    before = datetime.now(UTC)
    assert await declare(control, worker, daily(payload={"a": 1})) == ["created"]
    row = await job_row(control)
    assert row["next_fire_at"] > before
    assert row["version"] == 1
    for again in (worker, await control.worker()):
        assert await declare(control, again, daily(payload={"a": 1})) == ["unchanged"]
    assert dict(await job_row(control)) == dict(row)


@pytest.mark.parametrize("replicas", [1, 20])
@pytest.mark.parametrize("known", [False, True])
async def test_twenty_workers_that_boot_at_once_change_each_job_once(control: Control, known: bool, replicas: int) -> None:
    desks = [ClaimDesk(control.settings, control.db, control.hints) for _ in range(replicas)]
    names = [f"job-{number}" for number in range(5)]
    if known:
        await declare(control, await control.worker(), *(daily(name) for name in names))
    workers = [await control.worker() for _ in range(20)]
    changed = [daily(name, "0 7 * * *", concurrency="queue") for name in names]
    # Each in an order of its own, as different programs may.
    replies = await asyncio.gather(
        *(
            declare(control, worker, *(changed[n % 5 :] + changed[: n % 5]), desk=desks[n % replicas])
            for n, worker in enumerate(workers)
        )
    )
    results = [result for reply in replies for result in reply]
    assert set(results) == {"unchanged", "updated" if known else "created"}
    assert results.count("unchanged") == 95
    for name in names:
        assert (await job_row(control, name))["version"] == (2 if known else 1)
    actions = await control.db.pool.fetch("select action, count(*) from audit where job_id is not null group by 1")
    assert {row["action"]: row["count"] for row in actions} == ({"create": 5, "edit": 5} if known else {"create": 5})


async def test_what_people_change_stays_until_the_code_changes(control: Control) -> None:
    worker = await control.worker()
    await declare(control, worker, daily())
    await edit(control, trigger={"kind": "cron", "expression": "0 9 * * *"}, priority=9)
    edited = await job_row(control)
    assert await declare(control, await control.worker(), daily()) == ["unchanged"]
    assert dict(await job_row(control)) == dict(edited)
    assert await declare(control, await control.worker(), daily(expression="0 7 * * *")) == ["updated"]
    row = await job_row(control)
    assert "0 7 * * *" in row["trigger"]
    assert (row["priority"], row["version"]) == (5, 3)


async def test_a_pause_by_hand_survives_a_change_of_the_code(control: Control) -> None:
    await declare(control, await control.worker(), daily())
    await job_changes.pause_job(control.db, "report", reason="holiday", actor="test")
    assert await declare(control, await control.worker(), daily(expression="* * * * *")) == ["updated"]
    row = await job_row(control)
    assert (row["pause_reason"], row["next_fire_at"]) == ("holiday", None)


async def test_a_change_of_the_code_never_fires_the_past(control: Control) -> None:
    await declare(control, await control.worker(), daily())
    long_ago = datetime.now(UTC) - timedelta(days=3)
    await control.db.pool.execute("update job set next_fire_at = $1, created_at = $1", long_ago)
    await declare(control, await control.worker(), daily(expression="*/5 * * * *"))
    assert (await job_row(control))["next_fire_at"] > datetime.now(UTC)


async def test_an_interval_keeps_its_anchor_however_often_it_is_declared(control: Control) -> None:
    every = daily() | {"trigger": {"kind": "interval", "every": 3600}}
    await declare(control, await control.worker(), every)
    first = await job_row(control)
    await declare(control, await control.worker(), every | {"priority": 7})
    assert (await job_row(control))["next_fire_at"] == first["next_fire_at"]


async def test_code_leaves_a_job_alone_that_was_made_by_hand_and_the_others_are_made(control: Control) -> None:
    await control.job("report", type="report.daily")
    before = await job_row(control)
    declare = Declare(worker=await control.worker(), jobs=[daily("one"), daily(), daily("two")])
    (reply,) = await control.desk.answer([declare])
    assert isinstance(reply, Declared)
    by_hand = "was not made by code, which therefore leaves it alone; delete it, or declare another name"
    assert reply.problems == [f"job report: {by_hand}"]
    assert [(job.name, job.result) for job in reply.jobs] == [("one", "created"), ("two", "created")]
    assert await job_row(control) == before
    await job_changes.delete_job(control.db, "report", actor="test")
    (reply,) = await control.desk.answer([declare])
    assert isinstance(reply, Declared)
    assert [(job.name, job.result) for job in reply.jobs] == [("one", "unchanged"), ("report", "created"), ("two", "unchanged")]


async def test_a_rolling_deploy_changes_the_job_once_whoever_restarts_meanwhile(control: Control) -> None:
    old, new = daily(), daily(expression="0 7 * * *")
    first_old = await control.worker()
    await declare(control, first_old, old)
    first_new = await control.worker()
    assert await declare(control, first_new, new) == ["updated"]
    version = (await job_row(control))["version"]
    for _ in range(3):  # old workers crash and come back, new ones come
        assert await declare(control, await control.worker(), old) == ["superseded"]
        assert await declare(control, first_old, old) == ["superseded"]
        assert await declare(control, await control.worker(), new) == ["unchanged"]
    row = await job_row(control)
    assert row["version"] == version
    assert "0 7 * * *" in row["trigger"]


@pytest.mark.parametrize("lost", [False, True])
async def test_a_deploy_that_is_rolled_back_takes_its_schedule_along(control: Control, lost: bool) -> None:
    old, new = daily(), daily(expression="0 7 * * *")
    await declare(control, survivor := await control.worker(), old)
    await declare(control, failed := await control.worker(), new)
    assert await declare(control, survivor, old) == ["superseded"]
    if lost:
        term = await control.term()
        await control.db.pool.execute("update worker set lease_until = now() - interval '1 s' where id = $1", uuid.UUID(failed))
        await control.reaper(term).run_once()
    else:
        await leave(control, failed)
    # The survivor says it again by itself, from time to time.
    assert await declare(control, survivor, old) == ["updated"]
    assert "0 6 * * *" in (await job_row(control))["trigger"]
    # And forward again: what was in force before is not forgotten, and the newest live code holds.
    assert await declare(control, await control.worker(), new) == ["superseded"]
    await leave(control, survivor)
    assert await declare(control, await control.worker(), new) == ["updated"]


async def test_a_job_that_the_code_no_longer_declares_stays(control: Control) -> None:
    await declare(control, await control.worker(), daily("one"), daily("two"))
    assert await declare(control, await control.worker(), daily("one")) == ["unchanged"]
    row = await job_row(control, "two")
    assert row["next_fire_at"] is not None
    assert row["declaration"]


async def test_a_job_deleted_by_hand_comes_back_while_code_declares_it(control: Control) -> None:
    worker = await control.worker()
    await declare(control, worker, daily())
    await job_changes.delete_job(control.db, "report", actor="test")
    assert await declare(control, worker, daily()) == ["created"]


async def test_a_wrong_definition_is_told_in_full_and_stops_no_other(control: Control) -> None:
    wrong = [daily("one"), daily("two", "0 61 * * *", priority=10), daily("one"), daily("7"), {"type": "x.*"}, daily("three")]
    (reply,) = await control.desk.answer([Declare(worker=await control.worker(), jobs=wrong)])
    assert isinstance(reply, Declared)
    assert [(job.name, job.result) for job in reply.jobs] == [("three", "created")]
    assert reply.problems[:2] == [
        "job two: trigger.expression: hour: 61 is above 23",
        "job two: priority: must be a whole number from 0 to 9",
    ]
    assert reply.problems[2] == "job one: is declared twice; give one of them another name="
    assert reply.problems[3].startswith("job 7: name: must begin with a letter")
    assert any("wildcard" in problem for problem in reply.problems)
    assert await control.db.pool.fetchval("select count(*) from job") == 1


async def test_a_payload_over_the_limit_is_refused_as_over_rest(control: Control) -> None:
    large = daily(payload={"text": "x" * control.settings.payload_limit})
    (reply,) = await control.desk.answer([Declare(worker=await control.worker(), jobs=[large])])
    assert isinstance(reply, Declared)
    assert "at most" in reply.problems[0]


async def test_a_worker_that_nobody_knows_declares_nothing(control: Control) -> None:
    gone = await control.worker()
    await leave(control, gone)
    for worker in (gone, str(uuid.uuid4())):
        (reply,) = await control.desk.answer([Declare(worker=worker, jobs=[daily()])])
        assert isinstance(reply, Unknown)
    assert await control.db.pool.fetchval("select count(*) from job") == 0


async def test_the_dispatcher_and_the_pages_are_told_of_changes_alone(control: Control) -> None:
    worker = await control.worker()
    control.sent.clear()
    await declare(control, worker, daily())
    job = (await job_row(control))["id"]
    assert [(hint.topic, hint.ids) for hint in control.sent] == [("jobs", (job,)), ("wake", ())]
    control.sent.clear()
    await declare(control, worker, daily())
    assert control.sent == []


async def test_hello_again_keeps_what_a_worker_stands_for(control: Control) -> None:
    await declare(control, old := await control.worker(), daily())
    await declare(control, new := await control.worker(), daily(expression="0 7 * * *"))
    hello = Hello(worker=new, name="w", host="h", pid=1, sdk="test", concurrency=1, handlers=[])
    await control.desk.answer([hello])
    assert await declare(control, old, daily()) == ["superseded"]


@pytest.mark.parametrize("name", [[], {}, [1], None, 1, True])
async def test_a_name_that_is_no_text_costs_its_neighbour_nothing(control: Control, name: Any) -> None:
    worker = await control.worker()
    bad = daily() | {"name": name}
    (reply,) = await control.desk.answer([Declare(worker=worker, jobs=[bad, daily("good")])])
    assert isinstance(reply, Declared), reply
    assert [(job.name, job.result) for job in reply.jobs] == [("good", "created")]
    assert len(reply.problems) == 1
    assert "name" in reply.problems[0]
