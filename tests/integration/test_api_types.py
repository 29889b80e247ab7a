"""What live workers serve, over REST; and payloads refused at the edge, before anything runs."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import pytest

from leveret import Registry
from leveret_core.hints import Hints
from leveret_core.messages import Declare, Goodbye, HandlerInfo, Hello, Welcome
from leveret_core.settings import Settings
from leveret_dispatcher.claims.claim_desk import ClaimDesk
from support.api import HOURLY, Api, running_api


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with running_api(database_url) as api:
        yield api


def desk_of(api: Api) -> ClaimDesk:
    return ClaimDesk(Settings(database_url=api.db.url), api.db, api.services.hints)


async def joins(api: Api, handlers: Sequence[HandlerInfo]) -> str:
    """A worker says hello to the desk in the same process."""
    worker = str(uuid.uuid4())
    hello = Hello(worker=worker, name="w", host="h", pid=1, sdk="test", concurrency=10, handlers=list(handlers))
    (reply,) = await desk_of(api).answer([hello])
    assert isinstance(reply, Welcome)
    return worker


async def leaves(api: Api, worker: str) -> None:
    await desk_of(api).answer([Goodbye(worker=worker)])


def infos(registry: Registry) -> list[HandlerInfo]:
    return [handler.info() for handler in registry.handlers]


@dataclass
class Address:
    street: str
    number: int


def mails() -> Registry:
    registry = Registry()

    @registry.job("sendemail.*")
    async def send(
        user_id: int,
        subject: Annotated[str, msgspec.Meta(max_length=5)] = "Hello",
        to: Address | None = None,
        copies: list[int] | None = None,
    ) -> None:
        """Send one mail."""

    return registry


async def test_types_are_what_live_workers_announce(api: Api) -> None:
    assert await api.ok("GET", "/types") == {"items": []}
    first = await joins(api, infos(mails()))
    await joins(api, [*infos(mails()), HandlerInfo(pattern="report.#", concurrency=1)])
    items = (await api.ok("GET", "/types"))["items"]
    assert [(item["pattern"], item["workers"], item["queue"]) for item in items] == [
        ("report.#", 1, "jobs.report.all"),
        ("sendemail.*", 2, "jobs.sendemail.wildcard"),
    ]
    assert items[0] | {"queue": ""} == {
        "pattern": "report.#",
        "name": "",
        "doc": "",
        "schema": None,
        "unchecked": [],
        "workers": 1,
        "queue": "",
    }
    assert items[1]["name"].endswith("mails.<locals>.send")
    assert items[1]["doc"] == "Send one mail."
    assert items[1]["schema"]["required"] == ["user_id"]
    await leaves(api, first)
    assert [item["workers"] for item in (await api.ok("GET", "/types"))["items"]] == [1, 1]


async def test_handlers_of_one_pattern_that_differ_are_told_apart(api: Api) -> None:
    for name in ("old.send", "new.send", "new.send"):
        await joins(api, [HandlerInfo(pattern="sendemail.*", concurrency=1, name=name)])
    items = (await api.ok("GET", "/types"))["items"]
    assert [(item["name"], item["workers"]) for item in items] == [("new.send", 2), ("old.send", 1)]


@pytest.mark.parametrize(
    ("payload", "field", "message"),
    [
        ({}, "payload.user_id", "is required"),
        ({"user_id": "7"}, "payload.user_id", "must be of type integer"),
        ({"user_id": 7, "usr": 1}, "payload.usr", "is not a field that the handler takes"),
        ({"user_id": 7, "subject": "much too long"}, "payload.subject", "is too long"),
        ({"user_id": 7, "copies": [1, "2"]}, "payload.copies[1]", "must be of type integer"),
        ({"user_id": 7, "to": {"street": "Elm", "number": "1"}}, "payload.to.number", "must be of type integer"),
        ({"user_id": 7, "to": {"street": "Elm"}}, "payload.to.number", "is required"),
    ],
)
async def test_a_wrong_payload_is_refused_with_its_field(api: Api, payload: dict[str, Any], field: str, message: str) -> None:
    await joins(api, infos(mails()))
    body = {"name": "mail", "type": "sendemail.welcome", "trigger": HOURLY, "payload": payload}
    for method, path in (("POST", "/jobs"), ("PUT", "/jobs/mail")):
        refused = await api.refused(method, path, 422, json=body)
        assert list(refused) == [field]
        assert message in refused[field]
        assert "send)" in refused[field]  # the handler is named
    await api.ok("POST", "/jobs", 201, json=body | {"payload": {"user_id": 7}})
    assert list(await api.refused("PATCH", "/jobs/mail", 422, json={"payload": payload})) == [field]
    assert list(await api.refused("POST", "/jobs/mail/trigger", 422, json={"payload": payload})) == [field]
    refused = await api.refused("POST", "/triggers", 422, json={"items": [{"job": "mail", "payload": payload}]})
    assert list(refused) == [f"items.0.{field}"]


async def test_every_wrong_field_is_told_at_once(api: Api) -> None:
    await joins(api, infos(mails()))
    body = {"name": "mail", "type": "sendemail.x", "trigger": HOURLY, "payload": {"usr": 1, "subject": 3}}
    refused = await api.refused("POST", "/jobs", 422, json=body)
    assert set(refused) == {"payload.user_id", "payload.usr", "payload.subject"}


async def test_a_payload_that_fits_passes_everywhere(api: Api) -> None:
    await joins(api, infos(mails()))
    fits = {"user_id": 7, "to": {"street": "Elm", "number": 1}, "copies": [1, 2]}
    await api.job("mail", type="sendemail.welcome", trigger=HOURLY, payload=fits)
    await api.ok("PUT", "/jobs/mail", json={"type": "sendemail.welcome", "trigger": HOURLY, "payload": fits})
    await api.ok("PATCH", "/jobs/mail", json={"payload": {"user_id": 8}})
    await api.trigger("mail")
    await api.trigger("mail", payload=fits)


async def test_without_a_live_worker_nothing_is_refused(api: Api) -> None:
    worker = await joins(api, infos(mails()))
    await leaves(api, worker)
    await api.job("mail", type="sendemail.welcome", trigger=HOURLY, payload={"anything": 1})
    await api.trigger("mail", payload={"else": 1})
    await joins(api, [HandlerInfo(pattern="other", concurrency=1, schema={"type": "object", "required": ["x"]})])
    await api.trigger("mail", payload={"else": 1})


async def test_of_handlers_that_disagree_one_that_accepts_is_enough(api: Api) -> None:
    def wants(name: str) -> HandlerInfo:
        return HandlerInfo(pattern="a.*", concurrency=1, name=name, schema={"type": "object", "required": [name, "both"]})

    await joins(api, [wants("old")])
    await joins(api, [wants("new")])
    await api.job("one", type="a.b", trigger=HOURLY, payload={"old": 1, "both": 1})
    await api.job("two", type="a.b", trigger=HOURLY, payload={"new": 1, "both": 1})
    # Nobody takes it: the handler that it fits most nearly tells what is wrong.
    body = {"name": "x", "type": "a.b", "trigger": HOURLY, "payload": {"new": 1}}
    assert list(await api.refused("POST", "/jobs", 422, json=body)) == ["payload.both"]
    await joins(api, [HandlerInfo(pattern="#", concurrency=1)])  # takes anything, as far as anybody knows
    await api.job("three", type="a.b", trigger=HOURLY, payload={})


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"$ref": "#/$defs/nowhere"}, {"type": 7}])
async def test_a_schema_that_cannot_be_used_refuses_nothing(api: Api, schema: dict[str, Any]) -> None:
    await joins(api, [HandlerInfo(pattern="a.*", concurrency=1, schema=schema)])
    await api.job("one", type="a.b", trigger=HOURLY, payload={"x": 1})


async def test_a_schema_makes_no_server_fetch_anything(api: Api) -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        body = b'{"required": ["x"]}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as web:
        port = web.sockets[0].getsockname()[1]
        schema = {"type": "object", "$ref": f"http://127.0.0.1:{port}/schema.json"}
        await joins(api, [HandlerInfo(pattern="a.*", concurrency=1, schema=schema)])
        await api.job("one", type="a.b", trigger=HOURLY, payload={"y": 1})
    assert asked == []


async def test_a_hostile_expression_holds_up_nobody(api: Api) -> None:
    properties = {"to": {"type": "string", "pattern": r"^([a-z0-9]+\.?)+@example\.com$"}}
    await joins(api, [HandlerInfo(pattern="a.*", concurrency=1, name="h", schema={"properties": properties})])
    body = {"name": "one", "type": "a.b", "trigger": HOURLY, "payload": {"to": "a" * 40 + "!"}}
    async with asyncio.timeout(10):
        assert list(await api.refused("POST", "/jobs", 422, json=body)) == ["payload.to"]


async def test_what_the_server_leaves_to_handlers_is_told(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    properties = {"to": {"type": "string", "pattern": "^(?=a)b"}, "n": {"type": "integer"}}
    await joins(api, [HandlerInfo(pattern="a.*", concurrency=1, schema={"properties": properties})])
    told = [record.message for record in caplog.records if "schema.properties.to.pattern" in record.message]
    assert len(told) == 1
    assert "worker w (" in told[0]
    assert "handler a.*" in told[0]
    (item,) = (await api.ok("GET", "/types"))["items"]
    assert [problem["field"] for problem in item["unchecked"]] == ["schema.properties.to.pattern"]
    body = {"name": "one", "type": "a.b", "trigger": HOURLY}
    assert list(await api.refused("POST", "/jobs", 422, json=body | {"payload": {"to": "x", "n": "y"}})) == ["payload.n"]
    await api.ok("POST", "/jobs", 201, json=body | {"payload": {"to": "x", "n": 1}})


async def test_checking_a_big_payload_lets_the_loop_turn(api: Api) -> None:
    schema = {"properties": {"rows": {"type": "array", "items": {"type": "string", "maxLength": 5, "pattern": "^[a-z]+$"}}}}
    await joins(api, [HandlerInfo(pattern="a.*", concurrency=1, schema=schema)])
    turns: list[float] = []

    async def turn() -> None:
        while True:
            turns.append(asyncio.get_running_loop().time())
            await asyncio.sleep(0.005)

    turning = asyncio.create_task(turn())
    try:
        await api.job("one", type="a.b", payload={"rows": ["abcde"] * 30_000})
    finally:
        turning.cancel()
    assert max(later - sooner for sooner, later in itertools.pairwise(turns)) < 0.5


async def test_a_job_that_runs_by_hand_may_leave_its_payload_to_those_who_trigger_it(api: Api) -> None:
    await joins(api, infos(mails()))
    await api.job("mail", type="sendemail.welcome")
    assert list(await api.refused("POST", "/jobs/mail/trigger", 422, json={})) == ["payload.user_id"]
    await api.trigger("mail", payload={"user_id": 7})
    # One that is due by itself may not.
    assert list(await api.refused("PATCH", "/jobs/mail", 422, json={"trigger": HOURLY})) == ["payload.user_id"]
    # Nor may one be given a wrong one.
    assert list(await api.refused("PATCH", "/jobs/mail", 422, json={"payload": {"user_id": "x"}})) == ["payload.user_id"]


async def test_a_requeue_with_another_payload_is_checked_and_one_with_its_own_is_not(api: Api) -> None:
    await api.job("mail", type="sendemail.welcome")
    made = await api.trigger("mail", payload={"user_id": "of long ago"})
    await api.ok("POST", f"/occurrences/{made['id']}/cancel", 202)
    await joins(api, infos(mails()))
    path = f"/occurrences/{made['id']}/requeue"
    assert list(await api.refused("POST", path, 422, json={"payload": {"user_id": "x"}})) == ["payload.user_id"]
    await api.ok("POST", path, 202, json={"payload": {"user_id": 7}})
    await api.ok("POST", path, 202)


async def test_a_change_of_the_type_checks_the_payload_there_is(api: Api) -> None:
    await joins(api, infos(mails()))
    await api.job("mail", type="other", trigger=HOURLY, payload={"user_id": "x"})
    assert list(await api.refused("PATCH", "/jobs/mail", 422, json={"type": "sendemail.x"})) == ["payload.user_id"]
    await api.ok("PATCH", "/jobs/mail", json={"priority": 7})  # what has nothing to do with it passes


async def test_jobs_tell_whether_a_worker_serves_them(api: Api) -> None:
    for name, type_ in (
        ("a", "sendemail.one"),
        ("b", "sendemail.one.two"),
        ("c", "report"),
        ("d", "report.x.y"),
        ("e", "reports"),
    ):
        assert (await api.job(name, type=type_))["served"] is False
    worker = await joins(
        api, [*infos(mails()), HandlerInfo(pattern="report.#", concurrency=1), HandlerInfo(pattern="x", concurrency=1)]
    )
    await api.ok("PUT", "/jobs/a", json={"type": "sendemail.one", "trigger": {"kind": "manual"}, "payload": {"user_id": 7}})
    listed = (await api.ok("GET", "/jobs"))["items"]
    assert {job["name"]: job["served"] for job in listed} == {"a": True, "b": False, "c": True, "d": True, "e": False}
    assert (await api.ok("GET", "/jobs/c"))["served"] is True

    async def names(query: str) -> list[str]:
        return sorted(job["name"] for job in (await api.ok("GET", f"/jobs?{query}"))["items"])

    assert await names("served=true") == ["a", "c", "d"]
    assert await names("served=false") == ["b", "e"]
    assert await names("served=false&search=two") == ["b"]
    await leaves(api, worker)
    assert await names("served=true") == []
    assert await names("served=false") == ["a", "b", "c", "d", "e"]


async def test_a_declared_job_says_that_code_is_its_source(api: Api) -> None:
    worker = await joins(api, [])
    declared = {"name": "nightly", "type": "report.nightly", "trigger": {"kind": "cron", "expression": "0 3 * * *"}}
    await ClaimDesk(Settings(database_url=api.db.url), api.db, Hints(None)).answer([Declare(worker=worker, jobs=[declared])])
    job = await api.ok("GET", "/jobs/nightly")
    assert (job["source"], job["version"], job["served"]) == ("code", 1, False)
    assert (await api.job())["source"] == "api"
    edited = await api.ok("PATCH", "/jobs/nightly", json={"priority": 7})
    assert edited["source"] == "code"


async def test_an_occurrence_tells_its_checkpoint(api: Api) -> None:
    job = await api.job()
    made = await api.trigger(job["id"])
    await api.db.pool.execute(
        "update occurrence set checkpoint = $2, snoozed_count = 3 where id = $1", made["id"], '{"row": 7}'
    )
    detail = await api.ok("GET", f"/occurrences/{made['id']}")
    assert (detail["checkpoint"], detail["snoozed_count"]) == ({"row": 7}, 3)
