"""Requests that no worker should send, at the door of the claim desk: each costs only itself."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from leveret_core.store.commands import trigger_job
from leveret_core.store.database import Database
from support.claims_door import ClaimsDoor, claims_door
from support.control import Control


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
    async with claims_door(control.desk.answer) as door:
        yield door


def hello(worker: str, **more: Any) -> dict[str, Any]:
    facts = {"kind": "hello", "name": "w", "host": "h", "pid": 1, "sdk": "test/1", "concurrency": 10}
    return {**facts, "worker": worker, "handlers": [{"pattern": "test.*", "concurrency": 10}], **more}


def claim(worker: str, *asks: Any) -> dict[str, Any]:
    return {"kind": "claim", "worker": worker, "asks": list(asks)}


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
        {"kind": "heartbeat", "worker": worker, "running": 2**31},
        claim(worker, [occurrence, 1]),
        {"kind": "heartbeat", "worker": worker, "running": 1},
        b"\xff",
        hello(str(uuid.uuid4()), handlers=[{"pattern": "(", "concurrency": 1}]),
    )
    assert [reply["kind"] for reply in replies] == ["refused", "refused", "refused", "claimed", "alive", "refused", "refused"]
    assert replies[3]["answers"][0]["status"] == "granted"
