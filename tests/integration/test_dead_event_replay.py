"""Dead events handed to the ingestor again, over REST and by the console, on a real database."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from leveret_core.messages import Answer, event_batch
from leveret_core.store.commands.occurrences import trigger_job
from leveret_dispatcher.ends import ingestor, quarantine
from leveret_dispatcher.ends.ingestor import Ingestor
from support.api import Api, listening, running_api
from support.command_line import command
from support.control import Control


@pytest.fixture
async def api(database_url: str) -> AsyncGenerator[Api]:
    async with running_api(database_url) as running:
        yield running


@pytest.fixture
async def control(api: Api) -> AsyncGenerator[Control]:
    made = Control(api.db)
    yield made
    assert await made.violations() == []


class Run:
    """An occurrence that a worker runs, and the events of it."""

    def __init__(self, control: Control, worker: str, answer: Answer) -> None:
        self.control = control
        self.worker = worker
        self.id = answer.occurrence
        self.token = answer.token

    @classmethod
    async def begun(cls, control: Control) -> Run:
        name = uuid.uuid4().hex
        job, worker = (
            await control.job(f"j{name}", retry={"max_attempts": 1, "delay": 0, "max_lost": 1}),
            await control.worker(),
        )
        occurrence = (await trigger_job(control.db, job, actor="test")).occurrence_id
        return cls(control, worker, await control.claim(worker, occurrence))

    def event(self, kind: str, seq: int, **fields: Any) -> dict[str, Any]:
        return {"kind": kind, "occurrence": self.id, "attempt": 1, "token": self.token, "seq": seq, **fields}

    def record(self, seq: int, message: str = "hello") -> dict[str, Any]:
        return self.event("log", seq, at="2026-11-22T06:00:00Z", level="info", message=message)

    def end(self, seq: int = 1) -> dict[str, Any]:
        return self.event("finished", seq, outcome="succeeded", duration=0.1, result={"ok": True})

    async def send(self, *events: dict[str, Any], version: int = 1) -> list[int]:
        """The ids of the dead events that they became, in order."""
        before = await self.control.db.pool.fetchval("select coalesce(max(id), 0) from dead_event")
        body = json.dumps({"v": version, "worker": self.worker, "events": events}).encode()
        assert await self.control.ingest(body) == 1
        rows = await self.control.db.pool.fetch("select id from dead_event where id > $1 order by id", before)
        return [row["id"] for row in rows]

    async def state(self) -> str:
        state: str = (await self.control.row(self.id))["state"]
        return state

    async def logged(self) -> list[int]:
        rows = await self.control.db.pool.fetch("select seq from occurrence_log where occurrence_id = $1 order by seq", self.id)
        return [row["seq"] for row in rows]


async def replayed(api: Api, id_: int) -> tuple[str, int, int, int, str | None]:
    done = await api.ok("POST", f"/dead-events/{id_}/replay")
    return done["result"], done["applied"], done["stale"], done["refused"], done["reason"]


async def kept(api: Api) -> list[int]:
    return [each["id"] for each in (await api.ok("GET", "/dead-events"))["items"]]


async def test_a_message_of_a_version_that_is_read_by_now_is_applied_whole_and_noted_in_the_audit(
    api: Api, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await Run.begun(control)
    (dead,) = await run.send(run.record(1), run.record(2), run.end(), version=2)
    assert (await replayed(api, dead))[:4] == ("refused", 0, 0, 1)
    assert (await kept(api), await run.state(), await run.logged()) == ([dead], "running", [])

    # The server is upgraded, and reads the one before, too: both go through the same reader.
    monkeypatch.setattr(event_batch, "ACCEPTED_VERSIONS", frozenset({1, 2}))
    api.hints.clear()
    assert await replayed(api, dead) == ("applied", 3, 0, 0, None)
    assert (await kept(api), await run.state(), await run.logged()) == ([], "succeeded", [1, 2])
    assert {(hint.topic, hint.ids) for hint in api.hints} >= {("occurrences", (run.id,)), ("logs", (run.id,))}
    (line,) = await api.db.pool.fetch("select action, detail from audit where action like '%event'")
    detail = json.loads(line["detail"])
    assert (line["action"], detail["dead_event"], detail["kind"]) == ("replay_event", dead, "version")
    await api.refused("POST", f"/dead-events/{dead}/replay", 404)


async def test_each_kind_of_event_is_applied_by_itself_when_the_limit_is_raised(
    api: Api, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await Run.begun(control)
    monkeypatch.setattr(ingestor, "MAX_CHECKPOINT", 1)
    (dead,) = await run.send(run.event("checkpoint", 1, data={"page": 3}))
    assert await replayed(api, dead) == ("refused", 0, 0, 1, "the checkpoint has 11 bytes; at most 1 are kept")
    assert await kept(api) == [dead]
    monkeypatch.undo()

    assert await replayed(api, dead) == ("applied", 1, 0, 0, None)
    assert (await kept(api), json.loads((await control.row(run.id))["checkpoint"])) == ([], {"page": 3})

    # A record is told by its number, progress by its own: what is there already changes nothing.
    for event in (run.record(7), run.event("progress", 5, fraction=0.5, message="half")):
        body = json.dumps(event).encode()
        again = quarantine.DeadEvent("refused", "once", body, uuid.UUID(run.worker), run.id, 1)
        await control.ingestor.quarantine.keep([again])
        (dead,) = await kept(api)
        assert await replayed(api, dead) == ("applied", 1, 0, 0, None)
        await control.ingestor.quarantine.keep([again])
        (dead,) = await kept(api)
        assert await replayed(api, dead) == ("stale", 0, 1, 0, None)
        assert await kept(api) == [dead]
        await api.ok("DELETE", f"/dead-events/{dead}", 204)
    assert await run.logged() == [7]


async def test_an_end_whose_attempt_was_ended_as_failed_is_stale_and_stays(api: Api, control: Control) -> None:
    run = await Run.begun(control)
    control.ingestor = Ingestor(control.settings.model_copy(update={"result_limit": 1}), control.db, control.hints)
    (dead,) = await run.send(run.end())
    assert await run.state() == "failed"
    before = await control.row(run.id)
    assert await replayed(api, dead) == ("stale", 0, 1, 0, None)
    assert (await kept(api), await control.row(run.id)) == ([dead], before)
    assert await api.db.pool.fetchval("select count(*) from audit where action like '%event'") == 0


async def test_a_token_that_is_guessed_opens_nothing(api: Api, control: Control) -> None:
    run = await Run.begun(control)
    forged = json.dumps(run.end() | {"token": str(uuid.uuid4())}).encode()
    await control.ingestor.quarantine.keep([quarantine.DeadEvent("refused", "r", forged, uuid.UUID(run.worker), run.id, 1)])
    (dead,) = await kept(api)
    assert await replayed(api, dead) == ("stale", 0, 1, 0, None)
    assert await run.state() == "running"


async def test_what_is_wrong_still_is_refused_with_the_reason_and_stays_as_it_is(api: Api, control: Control) -> None:
    run = await Run.begun(control)
    (dead,) = await run.send(run.record(1) | {"level": "loud"})
    before = await api.ok("GET", f"/dead-events/{dead}")
    result, *counts, reason = await replayed(api, dead)
    assert (result, counts) == ("refused", [0, 0, 1])
    assert "$.level" in (reason or "")
    assert await api.ok("GET", f"/dead-events/{dead}") == before
    assert await kept(api) == [dead]

    await control.ingest(b"\xff no batch")
    whole = (await kept(api))[0]
    assert (await replayed(api, whole))[0] == "refused"
    await control.ingest(b"x" * (quarantine.MAX_BODY + 1))
    cut = (await kept(api))[0]
    assert await replayed(api, cut) == (
        *("refused", 0, 0, 1),
        f"only the first {quarantine.MAX_BODY} of its {quarantine.MAX_BODY + 1} bytes were kept",
    )
    assert await kept(api) == [cut, whole, dead]
    await api.refused("POST", "/dead-events/999999999/replay", 404)
    await api.refused("POST", "/dead-events/x/replay", 422)


async def test_of_a_message_the_good_events_are_applied_and_the_wrong_ones_become_dead_events_of_their_own(
    api: Api, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, other = await Run.begun(control), await Run.begun(control)
    (dead,) = await run.send(run.record(1), run.record(2) | {"level": "loud"}, other.end() | {"duration": "x"}, version=2)
    monkeypatch.setattr(event_batch, "ACCEPTED_VERSIONS", frozenset({1, 2}))
    result, *counts, reason = await replayed(api, dead)
    assert (result, counts) == ("applied", [1, 0, 2])
    assert "$.level" in (reason or "")
    left = (await api.ok("GET", "/dead-events"))["items"]
    assert {(each["kind"], each["occurrence_id"]) for each in left} == {("unreadable", run.id), ("unreadable", other.id)}
    # As when it comes: an end that cannot be read ends its attempt.
    assert (await run.state(), await other.state()) == ("running", "failed")


async def test_two_who_replay_the_same_apply_it_once(api: Api, control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await Run.begun(control)
    (dead,) = await run.send(run.record(1), version=2)
    monkeypatch.setattr(event_batch, "ACCEPTED_VERSIONS", frozenset({1, 2}))
    answers = await asyncio.gather(*(api.http.post(f"/api/v1/dead-events/{dead}/replay") for _ in range(5)))
    told = [answer.json()["result"] for answer in answers if answer.status_code == 200]
    assert {answer.status_code for answer in answers} <= {200, 404}
    assert (told.count("applied"), set(told) <= {"applied", "stale"}) == (1, True)
    assert (await run.logged(), await kept(api)) == ([1], [])
    assert await api.db.pool.fetchval("select count(*) from audit where action = 'replay_event'") == 1


async def test_what_is_discarded_is_in_the_audit(api: Api, control: Control) -> None:
    run = await Run.begun(control)
    (dead,) = await run.send(run.record(1) | {"level": "loud"})
    await api.ok("DELETE", f"/dead-events/{dead}", 204)
    (line,) = await api.db.pool.fetch("select actor, action, detail from audit where action like '%event'")
    detail = json.loads(line["detail"])
    assert (line["action"], detail["dead_event"], detail["worker"]) == ("discard_event", dead, run.worker)
    assert (detail["occurrence"], detail["attempt"]) == (run.id, 1)


async def test_the_console_replays_some_and_tells_what_became_of_each(
    api: Api, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await Run.begun(control)
    (first,) = await run.send(run.record(1), version=2)
    (wrong,) = await run.send(run.record(2) | {"level": "loud"})
    monkeypatch.setattr(event_batch, "ACCEPTED_VERSIONS", frozenset({1, 2}))
    async with listening(api.app) as url:
        env = {"LEVERET_URL": url}
        done = await asyncio.to_thread(command, "dead-events", "replay", str(first), str(wrong), "--json", env=env)
        assert done.code == 1
        told = done.json()
        assert [(each["id"], each["result"]) for each in told] == [(first, "applied"), (wrong, "refused")]
        shown = await asyncio.to_thread(command, "dead-events", "replay", str(wrong), env=env)
        assert (shown.code, "refused" in shown.out, "$.level" in shown.out) == (1, True, True)
        missing = await asyncio.to_thread(command, "dead-events", "replay", str(first), env=env)
        assert (missing.code, f"there is no dead event {first}" in missing.err) == (1, True)
    assert await run.logged() == [1]
