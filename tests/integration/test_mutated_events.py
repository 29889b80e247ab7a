"""Batches of events that are wrong in one place, at the ingestor, among good ones of another worker: those are applied."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import uuid
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leveret_core.messages import Answer
from leveret_core.messages.codec import BadMessage
from leveret_core.messages.event_batch import read_events, sender
from leveret_core.store.commands.occurrences import trigger_job
from leveret_core.store.database import Database
from support.control import Control
from support.mutations import mutated

CASES = 2_000 if os.environ.get("LEVERET_EXHAUSTIVE") else 60
ODD_ONE = str(uuid.uuid4())
TOKEN = str(uuid.uuid4())


@pytest.fixture
async def control(database_url: str) -> AsyncGenerator[Control]:
    database = Database(database_url, pool_size=10)
    await database.start()
    made = Control(database)
    yield made
    violations = await made.violations()
    await database.stop()
    assert violations == []


def event(kind: str, occurrence: int = 1, token: str = TOKEN, **fields: Any) -> dict[str, Any]:
    return {"kind": kind, "occurrence": occurrence, "attempt": 1, "token": token, "seq": 1, **fields}


def whose(answer: Answer | None) -> tuple[int, str]:
    return (answer.occurrence, answer.token) if answer is not None else (1, TOKEN)


def end(answer: Answer | None = None, outcome: str = "succeeded", **fields: Any) -> dict[str, Any]:
    occurrence, token = whose(answer)
    return event("finished", occurrence, token, outcome=outcome, duration=0.1, result={"ok": [1, "b"]}, **fields)


def record(answer: Answer | None = None) -> dict[str, Any]:
    occurrence, token = whose(answer)
    return event("log", occurrence, token, at="2026-11-22T06:00:00Z", level="info", message="hello", fields={"n": 1})


ERROR = {"type": "ValueError", "message": "boom", "traceback": "Traceback"}
EVENTS = [
    end(),
    end(outcome="failed", error=ERROR, retry=False),
    end(outcome="snoozed", retry_after=5, max_snoozes=3),
    record(),
    event("progress", fraction=0.5, message="half"),
    event("checkpoint", data={"page": 3}),
]
BATCHES = [{"v": 1, "worker": ODD_ONE, "events": [one]} for one in EVENTS]


async def test_what_is_wrong_in_a_batch_goes_into_quarantine_and_its_neighbours_are_applied(
    control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    job = await control.job(concurrency="allow")
    good_one = await control.worker()
    named = (
        "insert into worker (id, name, host, pid, sdk, concurrency, handlers, lease_until) values ($1, 'the odd one', 'h', 1,"
    )
    await control.db.pool.execute(f"{named} 's', 1, '[]', now() + interval '1 hour')", uuid.UUID(ODD_ONE))
    loop = asyncio.get_running_loop()

    async def claimed() -> Answer:
        return await control.claim(good_one, (await trigger_job(control.db, job, actor="test")).occurrence_id)

    async def check(bodies: list[bytes], inside: bytes) -> None:
        before, beside, after = await claimed(), await claimed(), await claimed()
        await control.db.pool.execute("delete from dead_event")
        caplog.clear()
        neighbours = [json.dumps(one).encode() for one in (record(beside), end(beside))]
        among = b'{"v":1,"worker":"%s","events":[%s]}' % (good_one.encode(), b",".join([neighbours[0], inside, neighbours[1]]))
        ends = [json.dumps({"v": 1, "worker": good_one, "events": [record(one), end(one)]}).encode() for one in (before, after)]
        messages = [ends[0], *bodies, among, ends[1]]
        # Every message is acknowledged: none of them comes again and again.
        assert await control.ingest(*messages) == len(messages)
        for answer in (before, beside, after):
            assert (await control.row(answer.occurrence))["state"] == "succeeded"
            logged = "select count(*) from occurrence_log where occurrence_id = $1"
            assert await control.db.pool.fetchval(logged, answer.occurrence) == 1
        kept = {
            (bytes(row["body"]), row["worker_id"], row["worker_name"])
            for row in await control.db.pool.fetch("select body, worker_id, worker_name from dead_event")
        }
        assert kept >= expected(bodies, "the odd one") | expected([among], "w")
        assert [found.getMessage() for found in caplog.records if found.levelno >= logging.ERROR] == []

    @settings(
        max_examples=CASES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    @given(
        st.lists(st.sampled_from(BATCHES).flatmap(mutated), min_size=1, max_size=6),
        st.sampled_from(EVENTS).flatmap(mutated_event),
    )
    def explore(bodies: list[bytes], inside: bytes) -> None:
        asyncio.run_coroutine_threadsafe(check(bodies, inside), loop).result(30)

    await asyncio.to_thread(explore)


def mutated_event(good: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """An event that is wrong, but whose end can be found among others."""
    return mutated(good).filter(_is_json)


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def expected(bodies: list[bytes], name: str) -> set[tuple[bytes, uuid.UUID | None, str | None]]:
    """What of them is kept, and whose it is."""
    kept: set[tuple[bytes, uuid.UUID | None, str | None]] = set()
    for body in bodies:
        try:
            batch = read_events(body)
        except BadMessage:
            worker = sender(body)
            kept.add((body, worker, name if str(worker) == ODD_ONE else None))
            continue
        kept |= {(bad.raw, batch.worker, name if str(batch.worker) == ODD_ONE or name == "w" else None) for bad in batch.bad}
    return kept
