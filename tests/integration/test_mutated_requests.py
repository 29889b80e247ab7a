"""Requests that are wrong in one place, at the door of the claim desk, among good ones of another worker: those are served."""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leveret_core.store.commands.occurrences import trigger_job
from leveret_core.store.database import Database
from support.claims_door import claims_door
from support.control import Control
from support.mutations import mutated

CASES = 2_000 if os.environ.get("LEVERET_EXHAUSTIVE") else 60
SECRET = "a secret of a worker"
ODD_ONE, GOOD_ONE = str(uuid.uuid4()), str(uuid.uuid4())
KINDS = {"welcome", "claimed", "alive", "declared", "bye", "unknown", "refused"}


@pytest.fixture
async def control(database_url: str) -> AsyncGenerator[Control]:
    database = Database(database_url, pool_size=10)
    await database.start()
    made = Control(database)
    yield made
    violations = await made.violations()
    await database.stop()
    assert violations == []


def said(kind: str, worker: str = ODD_ONE, **fields: Any) -> dict[str, Any]:
    return {"kind": kind, "v": 1, "worker": worker, "secret": SECRET, **fields}


def hello(worker: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"to": {"type": "string"}}}
    handler = {"pattern": "test.*", "concurrency": 2, "name": "f", "timeout": 1.5, "schema": schema, "doc": "d"}
    return said("hello", worker, name="w", host="h", pid=1, sdk="s", concurrency=2, handlers=[handler])


TRIGGER = {"kind": "cron", "expression": "0 6 * * *", "timezone": "Europe/Berlin"}
JOB = {"name": "declared", "type": "test.job", "trigger": TRIGGER, "payload": {"a": [1, "b"]}, "tags": ["x"], "timeout": 3}
REQUESTS = [
    hello(ODD_ONE),
    said("claim", asks=[[1, 1], [2, 1]], types=["test.job", "test.job"], last_success=[1]),
    said("heartbeat", running=1, loop_lag=0.5, draining=False, holding=[[1, 1]]),
    said("declare", jobs=[JOB]),
    said("goodbye"),
]


async def test_what_is_wrong_in_a_request_costs_no_other_and_gets_a_reply(
    control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    job = await control.job(concurrency="allow")
    loop = asyncio.get_running_loop()

    async with claims_door(control.desk) as door:
        await door.ask(hello(ODD_ONE), hello(GOOD_ONE))

        async def check(bodies: list[bytes]) -> None:
            occurrence = (await trigger_job(control.db, job, actor="test")).occurrence_id
            caplog.clear()
            replies = await door.ask(
                said("heartbeat", GOOD_ONE, running=1, holding=[]),
                *bodies,
                said("claim", GOOD_ONE, asks=[[occurrence, 1]]),
                said("declare", GOOD_ONE, jobs=[JOB | {"name": "good"}]),
                hello(GOOD_ONE),
            )
            first, *odd, claimed, declared, welcome = replies
            assert first["kind"] == "alive"
            assert [answer["status"] for answer in claimed["answers"]] == ["granted"]
            assert (declared["problems"], declared["jobs"][0]["name"]) == ([], "good")
            assert welcome["kind"] == "welcome"
            # Every one has its reply: whoever sent it does not send it again and again.
            assert {reply["kind"] for reply in odd} <= KINDS
            assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []

        @settings(
            max_examples=CASES,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        )
        @given(st.lists(st.sampled_from(REQUESTS).flatmap(mutated), min_size=1, max_size=6))
        def explore(bodies: list[bytes]) -> None:
            asyncio.run_coroutine_threadsafe(check(bodies), loop).result(30)

        await asyncio.to_thread(explore)
