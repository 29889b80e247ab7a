"""A good request of every operation, made odd in one place: the answer names that place, and is never a fault of ours.

What the requests are made of is read from the OpenAPI document: a new operation, parameter or field without a value in
`support.good_requests` fails here.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from support.api import Api, problem, running_api
from support.asking import DOCUMENT, OPERATIONS, Odd, ask
from support.good_requests import DEFINITION, GOOD
from support.known_things import known

NUL, HALF = "a\x00b", "a\ud800b"
LONG = "x" * 20_000
DEEP = "[" * 500 + "]" * 500
VERY_DEEP = "[" * 100_000 + "]" * 100_000
# As JSON, so that there is also what no `json.dumps` writes.
VALUES = [
    *(json.dumps(text) for text in (NUL, HALF, LONG, "")),
    *("-1", str(2**63), str(10**400), "9" * 5_000, "1e999", "1.5", "NaN", "null", "true", "[]", "{}", '[{"a": 1}]', DEEP),
]
SEGMENTS = ["%00", "a%00b", "%ff", "%ed%a0%80", "a%2Fb", "-1", "0", str(2**63), str(10**400), "x" * 4_000, "%20"]
TEXTS = [
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"",
    b"-1",
    b"0",
    str(2**63).encode(),
    b"9" * 5_000,
    b"x" * 4_000,
    b"{",
    b"null",
    b",",
]
HEADERS = [
    *("Idempotency-Key", "If-Match", "Last-Event-ID", "Accept", "Accept-Encoding", "Content-Type", "Content-Length"),
    *("Expect", "Origin", "Sec-Fetch-Site", "X-Forwarded-Host", "X-Forwarded-For", "Range", "If-None-Match", "Cookie"),
]


@pytest.fixture(scope="module")
async def api(shared_database_url: str) -> AsyncGenerator[Api]:
    async with running_api(shared_database_url) as running:
        yield running


@pytest.fixture
async def fresh(database_url: str) -> AsyncGenerator[Api]:
    async with running_api(database_url) as running:
        yield running


@pytest.mark.parametrize("operation", OPERATIONS)
def test_everything_that_an_operation_takes_is_made_odd(operation: str) -> None:
    good, (_, _, described) = GOOD[operation], OPERATIONS[operation]
    taken = {
        kind: {each["name"] for each in described.get("parameters", ()) if each["in"] == kind} for kind in ("query", "header")
    }
    assert taken["query"] - good.query.keys() <= {"cursor"}
    assert taken["header"] == good.headers.keys()
    schemas = DOCUMENT["components"]["schemas"]
    fields = set(_fields(described.get("requestBody", {}), schemas))
    # Of two that exclude each other one is there.
    assert fields - (good.body or {}).keys() <= {"ids", "filter", "payload", "at", "delay", "version"}


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_what_is_odd_is_told_and_breaks_nothing(api: Api, operation: str) -> None:
    for odd in _made_odd(operation):
        answer = await ask(api, operation, odd)
        shown = f"{odd!r:.300} → {answer.status_code} {answer.text[:500]}"
        assert answer.status_code < 500, shown
        if answer.status_code < 400:
            continue
        told = problem(answer)
        if answer.status_code == 422 and odd.where != "*":
            # The address of PUT is the name of the job.
            names = (odd.where, "name") if (operation, odd.where) == ("putJob", "ref") else (odd.where,)
            assert any(name.startswith(names) for name in told), shown
            assert odd.where == "" or all(told), shown


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_good_request_succeeds(api: Api, operation: str) -> None:
    """Else the others would test nothing but refusals."""
    good = GOOD[operation]
    body = None if good.body is None else json.dumps(good.body).encode()
    await api.http.put("/api/v1/jobs/daily", json={"type": "report.daily", "trigger": {"kind": "manual"}})
    answer = await ask(api, operation, Odd("*", body=body))
    nothing_there = {"requeueOccurrence": 409, "drainWorker": 202}
    assert answer.status_code in (200, 201, 202, 204, nothing_there.get(operation)), answer.text


async def test_an_odd_entry_of_an_import_costs_only_itself(fresh: Api) -> None:
    entries = [(name, value) for number, name in enumerate(DEFINITION) for value in some(VALUES, number, 3)]
    for number, (name, value) in enumerate(entries):
        good = [json.dumps(DEFINITION | {"name": f"{side}-{number}"}) for side in ("before", "after")]
        odd = json.dumps(DEFINITION | {"name": "odd", name: "@@"}).replace('"@@"', value)
        body = f'{{"source": "s{number}", "jobs": [{good[0]}, {odd}, {good[1]}]}}'.encode()
        answer = await ask(fresh, "importJobs", Odd("*", body=body))
        assert answer.status_code == 200, (name, value[:50], answer.text[:500])
        before, found, after = answer.json()["items"]
        assert [each["entry"] for each in (before, found, after)] == [0, 1, 2]
        assert (before["result"], after["result"]) == ("created", "created"), (name, value[:50])
        if found["result"] == "refused":
            assert (found["name"], name in found["problem"]) == ("odd", True), (name, value[:50], found)


async def test_an_odd_item_of_many_triggers_is_named_and_none_of_them_runs(api: Api) -> None:
    await api.http.put("/api/v1/jobs/daily", json={"type": "report.daily", "trigger": {"kind": "manual"}})
    before = await api.db.pool.fetchval("select count(*) from occurrence")
    good = json.dumps({"job": "daily"})
    for name in ("job", "payload", "idempotency_key", "priority"):
        for value in (json.dumps(NUL), json.dumps(HALF), str(2**63), "[[]]", "1e999"):
            body = f'{{"items": [{good}, {{"job": "daily", "{name}": {value}}}, {good}]}}'.replace(
                '"job": "daily", "job"', '"job"'
            )
            answer = await ask(api, "triggerJobs", Odd("*", body=body.encode()))
            assert answer.status_code in (404, 422), (name, value, answer.text)
            if answer.status_code == 422:
                assert all(field.startswith(f"items.1.{name}") for field in problem(answer)), (name, value, answer.text)
    assert await api.db.pool.fetchval("select count(*) from occurrence") == before


def some(values: list[Any], number: int, of: int) -> list[Any]:
    """One in `of` of the values, other ones for the next number; all when there is time."""
    return values if os.environ.get("LEVERET_EXHAUSTIVE") else values[number % of :: of]


def _made_odd(operation: str) -> Iterator[Odd]:
    good, (_, path, described) = GOOD[operation], OPERATIONS[operation]
    body = None if good.body is None else json.dumps(good.body).encode()
    if there := known(path):
        yield from (Odd(there[0], segment, body=body) for segment in SEGMENTS)
    for name in good.query:
        yield from (Odd(name, query={name: text}, body=body) for text in TEXTS)
    if path.startswith("/api/"):
        yield from (Odd("cursor", query={"cursor": text}, body=body) for text in TEXTS if "cursor" in str(described))
        yield Odd("nothing", query={"nothing": "1"}, body=body)
    for number, name in enumerate([*good.headers, *HEADERS]):
        yield from (Odd("*", headers={name: text}, body=body) for text in some(TEXTS, number, 6))
    if good.body is None:
        return
    for number, way in enumerate(_ways(good.body)):
        where = str(way[0])
        yield from (Odd(where, body=_with(good.body, way, value)) for value in some(VALUES, number, 5))
        yield Odd(where, body=_doubled(good.body, way)) if isinstance(way[-1], str) else Odd("*", body=body)
    for whole in ("", "{", "null", "[]", '"a"', "1", "NaN", DEEP, VERY_DEEP, '{"a":' * 50_000):
        yield Odd("", body=whole.encode())
    yield from (Odd("*", body=whole) for whole in (b"\xff\xfe", b"\x00", b'{"\xed\xa0\x80": 1}', b'{"\\ud800": 1}'))


def _ways(value: Any) -> Iterator[tuple[str | int, ...]]:
    """The paths to all that is in a body."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield (step,)
        yield from ((step, *way) for way in _ways(inner))


def _with(body: dict[str, Any], way: tuple[str | int, ...], value: str) -> bytes:
    changed: Any = copy.deepcopy(body)
    holder = changed
    for step in way[:-1]:
        holder = holder[step]
    holder[way[-1]] = "@@"
    return json.dumps(changed).replace('"@@"', value).encode()


def _doubled(body: dict[str, Any], way: tuple[str | int, ...]) -> bytes:
    return _with(body, way, f'"@1", "{way[-1]}": "@2"')


def _fields(value: Any, schemas: dict[str, Any]) -> Iterator[str]:
    """The fields of the schema of a body."""
    schema = value.get("content", {}).get("application/json", {}).get("schema", {})
    for choice in (schema, *schema.get("anyOf", ())):
        if "$ref" in choice:
            yield from schemas[choice["$ref"].rsplit("/", 1)[1]]["properties"]
