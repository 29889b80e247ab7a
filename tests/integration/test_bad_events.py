"""An event that is wrong costs only itself: its neighbours commit, its attempt ends, and what came is kept, once."""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import pytest

from leveret_core.messages import Answer
from leveret_core.messages.event_batch import EventBatch, read_events
from leveret_core.store.attempts.ends import Ending, Settled, settle
from leveret_core.store.commands.occurrences import trigger_job
from leveret_core.store.database import Connection, Database
from leveret_dispatcher.ends import ingestor, quarantine
from support.control import Control


@pytest.fixture
async def control(database_url: str) -> AsyncGenerator[Control]:
    database = Database(database_url, pool_size=5)
    await database.start()
    made = Control(database)
    yield made
    violations = await made.violations()
    await database.stop()
    assert violations == []


async def claimed(control: Control, worker: str, name: str = "job") -> Answer:
    job = await control.job(f"{name}-{uuid.uuid4().hex[:8]}", concurrency="allow")
    return await control.claim(worker, (await trigger_job(control.db, job, actor="test")).occurrence_id)


def end(answer: Answer, **changed: Any) -> dict[str, Any]:
    event = {"kind": "finished", "occurrence": answer.occurrence, "attempt": 1, "token": answer.token, "seq": 9}
    return event | {"outcome": "succeeded", "duration": 0.1, "result": {"ok": True}} | changed


def without(event: dict[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != field}


def record(answer: Answer, **changed: Any) -> dict[str, Any]:
    event = {"kind": "log", "occurrence": answer.occurrence, "attempt": 1, "token": answer.token, "seq": 1}
    return event | {"at": "2026-11-22T06:00:00Z", "level": "info", "message": "hello"} | changed


def batch(worker: str, *events: dict[str, Any] | bytes, **envelope: Any) -> bytes:
    """A message as a worker in another language writes it: every event as given, also what no encoder of ours would write."""
    written = b",".join(event if isinstance(event, bytes) else json.dumps(event).encode() for event in events)
    head = json.dumps({"v": 1, "worker": worker} | envelope).encode()
    return head[:-1] + b', "events": [' + written + b"]}"


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


async def dead(control: Control) -> list[dict[str, Any]]:
    return [dict(row) for row in await control.db.pool.fetch("select * from dead_event order by id")]


def spliced(event: dict[str, Any], field: str, value: bytes) -> bytes:
    return json.dumps(event | {field: "@@"}).encode().replace(b'"@@"', value)


Mistake = Callable[[Answer], dict[str, Any] | bytes]
ENDS_AS_FAILED: dict[str, Mistake] = {
    "an outcome that is none": lambda a: end(a, outcome="success"),
    "no duration": lambda a: without(end(a), "duration"),
    "no seq": lambda a: without(end(a), "seq"),
    "no outcome": lambda a: without(end(a), "outcome"),
    "seq out of range": lambda a: end(a, seq=2**31),
    "negative seq": lambda a: end(a, seq=-1),
    "an error that is text": lambda a: end(a, outcome="failed", error="boom"),
    "an error without a type": lambda a: end(a, outcome="failed", error={"message": "boom"}),
    "a duration in words": lambda a: end(a, duration="long"),
    "a duration that is not finite": lambda a: spliced(end(a), "duration", b"1e999"),
    "NaN": lambda a: spliced(end(a), "duration", b"NaN"),
    "snoozed for no time": lambda a: end(a, outcome="snoozed"),
    "a result with a number that jsonb cannot hold": lambda a: spliced(end(a), "result", b"[1e400000]"),
    "a result with a number of many digits": lambda a: spliced(end(a), "result", b"9" * 200_000),
    "a result nested too deep": lambda a: spliced(end(a), "result", deep(400)),
    "a result nested without end": lambda a: spliced(end(a), "result", deep(100_000)),
    "a result that is too large": lambda a: end(a, result="x" * 300_000),
    "a broken escape": lambda a: spliced(end(a), "result", b'"\\x"'),
}
COSTS_ONLY_ITSELF: dict[str, Mistake] = {
    "an occurrence beyond bigint": lambda a: end(a, occurrence=2**63),
    "an occurrence that is text": lambda a: end(a, occurrence=str(a.occurrence)),
    "an attempt beyond integer": lambda a: end(a, attempt=2**31),
    "attempt 0": lambda a: end(a, attempt=0),
    "a token that is none": lambda a: end(a, token="mine"),
    "no token": lambda a: without(end(a), "token"),
    "a kind that is none": lambda a: end(a, kind="finish"),
    "no kind": lambda a: without(end(a), "kind"),
    "a time that is none": lambda a: record(a, at="now"),
    "a time without an offset": lambda a: record(a, at="2026-11-22T06:00:00"),
    "a time that no computer can express": lambda a: record(a, at="0001-01-01T00:00:00+05:00"),
    "a level that is none": lambda a: record(a, level="notice"),
    "fields that are none": lambda a: record(a, fields=[1]),
    "fields with a number out of range": lambda a: spliced(record(a), "fields", b'{"n":1e400}'),
    "no object": lambda a: b'"finished"',
    "null": lambda a: b"null",
}


async def test_an_end_that_cannot_be_read_ends_its_attempt_as_failed_and_hinders_no_neighbour(control: Control) -> None:
    worker = await control.worker()
    for number, (mistake, made) in enumerate(ENDS_AS_FAILED.items()):
        before, bad, after, apart = [await claimed(control, worker) for _ in range(4)]
        body = batch(worker, record(before), end(before), made(bad), record(after), end(after))
        assert await control.ingest(body, batch(worker, end(apart))) == 2
        rows = [await control.row(answer.occurrence) for answer in (before, bad, after, apart)]
        assert [row["state"] for row in rows] == ["succeeded", "failed", "succeeded", "succeeded"], mistake
        error = json.loads(rows[1]["error"])
        assert error["type"] in ("BadEvent", "ResultRefused"), mistake
        assert await control.db.pool.fetchval("select count(*) from occurrence_log") == 2 * (number + 1), mistake
        *earlier, kept = await dead(control)
        assert len(earlier) == number, mistake
        assert (kept["worker_id"], kept["worker_name"]) == (uuid.UUID(worker), "w")
        assert (kept["occurrence_id"], kept["attempt"]) == (bad.occurrence, 1), mistake
        assert kept["reason"] in error["message"], mistake
        assert b'"finished"' in kept["body"], mistake
        await control.ingest(body)
        assert len(await dead(control)) == number + 1, f"{mistake}: kept twice"


async def test_an_event_that_is_wrong_or_nobodys_costs_only_itself(control: Control) -> None:
    worker = await control.worker()
    for number, (mistake, made) in enumerate(COSTS_ONLY_ITSELF.items(), 1):
        before, bad, after = [await claimed(control, worker) for _ in range(3)]
        body = batch(worker, end(before), made(bad), end(after))
        assert await control.ingest(body, body) == 2, mistake
        states = [(await control.row(answer.occurrence))["state"] for answer in (before, bad, after)]
        assert states == ["succeeded", "running", "succeeded"], mistake
        assert len(await dead(control)) == number, mistake
    assert control.ingestor.quarantine.counts == {"unreadable": 2 * len(COSTS_ONLY_ITSELF)}


UNSTORABLE = [b"\\ud83d", b"\\ude00 \\ud83d!", b"\\u0000", b"\xff", b"\xed\xa0\xbd", b"\x01", b"\\\\\\ud83d"]


async def test_text_that_nobody_can_store_is_replaced_wherever_it_is(control: Control) -> None:
    worker = await control.worker()
    for text in UNSTORABLE:
        one, other = [await claimed(control, worker) for _ in range(2)]
        log = spliced(record(one, level="info"), "message", b'"Hello ' + text + b'"')
        log = log.replace(b'"level"', b'"fields": {"k": "' + text + b'"}, "level"')
        body = batch(worker, end(other), log, spliced(end(one), "result", b'{"' + text + b'": ["' + text + b'"]}'))
        assert await control.ingest(body) == 1
        assert [(await control.row(answer.occurrence))["state"] for answer in (one, other)] == ["succeeded"] * 2, text
        kept = "select message, fields->>'k' as field from occurrence_log where occurrence_id = $1"
        row = await control.db.pool.fetchrow(kept, one.occurrence)
        assert row is not None, text
        assert row["message"].startswith("Hello "), text
        assert "\ufffd" in row["message"], text
        assert "\ufffd" in row["field"], text
    assert await dead(control) == []


async def test_what_is_whole_stays_as_it_is(control: Control) -> None:
    worker = await control.worker()
    answer = await claimed(control, worker)
    written = (
        b'{"a":"\\ud83d\\ude00 \\\\ud83d \\u00e9 \xc3\xa9","b":123456789012345678901234567890,"c":0.1000000000000000000001}'
    )
    await control.ingest(batch(worker, spliced(end(answer), "result", written)))
    kept = await control.db.pool.fetchval("select result::text from occurrence")
    assert json.loads(kept) == json.loads(written)
    assert "123456789012345678901234567890" in kept
    assert "0.1000000000000000000001" in kept


async def test_a_number_that_only_goes_too_far_is_taken_as_the_furthest(control: Control) -> None:
    worker = await control.worker()
    for field in ("duration", "retry_after", "max_snoozes"):
        for value in (-5, 1e300):
            one, other = [await claimed(control, worker) for _ in range(2)]
            number = int(value) if field == "max_snoozes" else value
            events = end(one, **{field: number}), end(other, **{"outcome": "failed", field: number})
            await control.ingest(batch(worker, *events))
            states = [(await control.row(answer.occurrence))["state"] for answer in (one, other)]
            assert states == ["succeeded", "retrying"], (field, value)
    assert await dead(control) == []


async def test_what_came_before_a_batch_was_cut_off_counts(control: Control) -> None:
    worker = await control.worker()
    one, other = [await claimed(control, worker) for _ in range(2)]
    body = batch(worker, end(one), end(other))
    assert await control.ingest(body[:-60]) == 1
    assert (await control.row(one.occurrence))["state"] == "succeeded"
    assert (await control.row(other.occurrence))["state"] == "failed"


async def test_a_batch_of_a_version_to_come_is_kept_whole_and_ends_nothing(control: Control) -> None:
    worker = await control.worker()
    answer = await claimed(control, worker)
    body = batch(worker, end(answer), v=2)
    assert await control.ingest(body) == 1
    (kept,) = await dead(control)
    assert (kept["kind"], kept["body"], str(kept["worker_id"])) == ("version", body, worker)
    assert (await control.row(answer.occurrence))["state"] == "running"


async def test_it_is_told_in_one_line_whose_event_was_wrong(control: Control, caplog: pytest.LogCaptureFixture) -> None:
    worker = await control.worker()
    answer = await claimed(control, worker)
    with caplog.at_level(logging.WARNING, "leveret_dispatcher"):
        for _ in range(50):
            await control.ingest(batch(worker, end(answer, outcome="success\nforged: line")))
    (line,) = [record.getMessage() for record in caplog.records]
    assert f"worker w ({worker}), occurrence {answer.occurrence}, attempt 1" in line
    assert "\n" not in line


async def test_a_worker_that_says_only_nonsense_fills_no_disk(control: Control) -> None:
    worker, other = await control.worker(), await control.worker()
    for part in range(3):
        await control.ingest(batch(worker, *({"kind": "nonsense", "n": part * 100 + n} for n in range(100))))
    await control.ingest(batch(other, {"kind": "nonsense"}))
    counts = await control.db.pool.fetch("select count(*) as n from dead_event group by worker_id order by 1")
    assert [row["n"] for row in counts] == [1, 200]


@pytest.mark.parametrize("event", [b"{}", b"1", b'"\\ud800"', b'"\xff"'])
async def test_a_message_of_too_many_events_is_kept_unread_and_hinders_no_other(control: Control, event: bytes) -> None:
    worker = await control.worker()
    other = await claimed(control, worker)

    assert await control.ingest(batch(worker, *[event] * 10_001), batch(worker, end(other))) == 2

    assert (await control.row(other.occurrence))["state"] == "succeeded"
    (kept,) = await dead(control)
    assert (kept["kind"], kept["reason"]) == ("batch", "not a batch of events: more than 10000 events")
    assert str(kept["worker_id"]) == worker


async def test_of_those_whose_worker_is_not_known_no_more_are_kept_than_of_one(control: Control) -> None:
    junk = [b"junk %d" % number for number in range(quarantine.MAX_OF_WORKER + 20)]
    await control.ingest(*junk[:150])
    await control.ingest(*junk[150:])

    assert [row["body"] for row in await dead(control)] == junk[: quarantine.MAX_OF_WORKER]


async def test_many_bad_ends_are_settled_together(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = await control.worker()
    bad, good = await claimed(control, worker), await claimed(control, worker)
    settled: list[int] = []

    async def counted(connection: Connection, endings: Sequence[Ending]) -> Settled:
        settled.append(len(endings))
        return await settle(connection, endings)

    monkeypatch.setattr(ingestor, "settle", counted)

    assert await control.ingest(batch(worker, *[without(end(bad), "seq")] * 2_000, end(good))) == 1

    assert settled == [ingestor.BAD_ENDS] * 4
    assert [(await control.row(each.occurrence))["state"] for each in (bad, good)] == ["failed", "succeeded"]


async def test_a_large_message_is_read_beside_the_event_loop(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = await control.worker()
    threads: list[bool] = []

    def noted(body: bytes) -> EventBatch:
        threads.append(threading.current_thread() is threading.main_thread())
        return read_events(body)

    monkeypatch.setattr(ingestor, "read_events", noted)

    await control.ingest(batch(worker, b"[" * 1_000_000), batch(worker))

    assert threads == [False, True]
