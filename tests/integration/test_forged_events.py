"""A worker that lies, or a message from nobody: without the token of a claim no event changes anything."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import pytest

from leveret_core import messages
from leveret_core.messages import Answer, Ask, Checkpoint, Claim, Claimed, Event, Finished, Log, Progress
from leveret_core.store.commands.occurrences import trigger_job
from leveret_core.store.database import Database
from support.control import Control, finished

Outcome = Literal["succeeded", "failed", "timed_out", "cancelled", "released", "skipped", "snoozed"]
OUTCOMES: tuple[Outcome, ...] = ("succeeded", "failed", "timed_out", "cancelled", "released", "skipped", "snoozed")


@pytest.fixture
async def control(database_url: str) -> AsyncGenerator[Control]:
    database = Database(database_url, pool_size=5)
    await database.start()
    made = Control(database)
    yield made
    violations = await made.violations()
    await database.stop()
    assert violations == []


async def claimed(control: Control, worker: str) -> Answer:
    occurrence = (await trigger_job(control.db, await control.job(concurrency="allow"), actor="test")).occurrence_id
    return await control.claim(worker, occurrence)


def forgeries(answer: Answer, token: str, attempt: int) -> list[Event]:
    """One event of every kind, about that attempt, numbered to win over all others."""
    about: dict[str, Any] = {"occurrence": answer.occurrence, "attempt": attempt, "token": token, "seq": 1_000_000}
    first: dict[str, Any] = about | {"seq": 1}
    return [
        *(Finished(outcome=outcome, duration=0, **about) for outcome in OUTCOMES),
        Progress(fraction=1.0, **about),
        Checkpoint(data=msgspec.Raw(b'"forged"'), **about),
        Log(at=datetime.now(UTC), level="info", message="forged", **first),
    ]


async def everything(control: Control, occurrence: int) -> tuple[dict[str, Any], int, int]:
    row = await control.row(occurrence)
    logs = await control.db.pool.fetchval("select count(*) from occurrence_log where occurrence_id = $1", occurrence)
    attempts = await control.db.pool.fetchval("select count(*) from attempt where occurrence_id = $1", occurrence)
    return row, logs, attempts


@pytest.mark.parametrize("sender", ["another", "the same"])
@pytest.mark.parametrize("attempt", [0, 1, 2, 7])
async def test_no_event_with_a_guessed_token_changes_a_run(control: Control, sender: str, attempt: int) -> None:
    worker, other = await control.worker(), await control.worker()
    answer = await claimed(control, worker)
    before = await everything(control, answer.occurrence)
    # A log of an attempt before this one may be late, and its token is gone: it is known by its worker alone.
    forged = forgeries(answer, str(uuid.uuid4()), attempt)[: None if attempt or sender == "another" else -1]
    for event in forged:
        await control.report(other if sender == "another" else worker, event)
    await control.report(other, *forged)
    assert await everything(control, answer.occurrence) == before
    await control.report(worker, finished(answer))
    assert (await control.row(answer.occurrence))["state"] == "succeeded"


async def test_a_final_state_is_not_left_by_the_right_token_either(control: Control) -> None:
    worker = await control.worker()
    answer = await claimed(control, worker)
    await control.report(worker, finished(answer, result=b'"true"'))
    before = await everything(control, answer.occurrence)
    for event in forgeries(answer, answer.token, 1)[:-1]:
        await control.report(worker, event)
    assert await everything(control, answer.occurrence) == before


async def test_a_token_of_one_occurrence_is_none_for_another(control: Control) -> None:
    worker, other = await control.worker(), await control.worker()
    mine, theirs = await claimed_pair(control, worker, other)
    before = await everything(control, theirs.occurrence)
    for event in forgeries(theirs, mine.token, 1):
        await control.report(worker, event)
    assert await everything(control, theirs.occurrence) == before


async def claimed_pair(control: Control, worker: str, other: str) -> tuple[Answer, Answer]:
    job = await control.job(concurrency="allow")
    first, second = [(await trigger_job(control.db, job, actor="test")).occurrence_id for _ in range(2)]
    return await control.claim(worker, first), await control.claim(other, second)


async def test_a_claim_for_what_another_runs_is_stale_and_shows_nothing_of_it(control: Control) -> None:
    worker, other = await control.worker(), await control.worker()
    answer = await claimed(control, worker)
    for attempt in (1, 2, 3):
        (reply,) = await control.desk.answer([Claim(worker=other, asks=[Ask(answer.occurrence, attempt)])])
        assert isinstance(reply, Claimed)
        (told,) = reply.answers
        assert (told.status, told.token, bytes(told.payload)) == ("stale", "", b"{}")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[" * 100_000,
        b'{"v":1,"worker":"w","events":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"v":1,"worker":"not-a-uuid","events":[]}',
        b'{"v":1,"worker":"\\ud800","events":[]}',
        b'{"v":1,"worker":"00000000-0000-0000-0000-000000000000","events":[{"kind":"finished"}]}',
        b'{"v":1,"worker":"00000000-0000-0000-0000-000000000000","events":[{"kind":"unheard-of"}]}',
        b'{"v":1,"worker":"00000000-0000-0000-0000-000000000000","events":[{"kind":"finished","occurrence":NaN}]}',
        b'{"v":1,"worker":"00000000-0000-0000-0000-000000000000","events":[{"kind":"finished","occurrence":99999999999999999999}]}',
        b'{"v":1,"worker":"00000000-0000-0000-0000-000000000000","events":["' + b"x" * 9_000_000 + b'"]}',
    ],
    ids=lambda body: body[:60].decode("latin-1") + ("…" if len(body) > 60 else ""),
)
async def test_a_body_that_is_no_batch_of_events_is_quarantined_and_hinders_no_neighbour(control: Control, body: bytes) -> None:
    worker = await control.worker()
    answer = await claimed(control, worker)
    good = msgspec.json.encode({"v": 1, "worker": worker, "events": [finished(answer)]})
    assert await control.ingest(body, good, body) == 3
    assert (await control.row(answer.occurrence))["state"] == "succeeded"
    assert await control.db.pool.fetchval("select count(*) from dead_event where length(body) <= 1048576") == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("token", "not-a-uuid"),
        ("token", "x\u0000y"),
        ("seq", 2**40),
        ("attempt", -(2**40)),
        ("duration", 1e308),
        ("result", msgspec.Raw(b'"\\u0000\\ud800"')),
        ("result", msgspec.Raw(b"[" * 3_000 + b"]" * 3_000)),
    ],
)
async def test_an_event_with_a_hostile_value_hinders_no_neighbour(control: Control, field: str, value: object) -> None:
    worker = await control.worker()
    job = await control.job(concurrency="allow")
    answers = [await control.claim(worker, (await trigger_job(control.db, job, actor="test")).occurrence_id) for _ in range(3)]
    bad = msgspec.structs.replace(finished(answers[1]), **{field: value})
    bodies = [
        messages.encode(messages.Events(worker=worker, events=[e])) for e in (finished(answers[0]), bad, finished(answers[2]))
    ]
    assert await control.ingest(*bodies) == 3
    assert [(await control.row(answer.occurrence))["state"] for answer in (answers[0], answers[2])] == ["succeeded"] * 2
