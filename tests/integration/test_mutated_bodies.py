"""Bodies of REST requests that are wrong in one place: they are refused in order, and requests after them are served."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.api import Api, problem, running_api
from support.asking import OPERATIONS, Odd, ask
from support.good_requests import DEFINITION, GOOD
from support.mutations import ODD, mutated

EXHAUSTIVE = bool(os.environ.get("LEVERET_EXHAUSTIVE"))
CHANGING = [name for name, (method, _, _) in OPERATIONS.items() if method != "GET" and GOOD[name].body is not None]
unhurried = settings(
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
THERE = ("created", "updated", "unchanged")


@pytest.fixture(scope="module")
async def api(shared_database_url: str) -> AsyncGenerator[Api]:
    async with running_api(shared_database_url) as running:
        yield running


@pytest.mark.parametrize("operation", CHANGING)
async def test_a_request_that_is_wrong_is_refused_and_the_next_one_served(
    api: Api, operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = GOOD[operation].body
    assert good is not None
    body, loop = json.dumps(good).encode(), asyncio.get_running_loop()

    async def check(wrong: bytes) -> None:
        answer = await ask(api, operation, Odd("*", body=wrong))
        shown = f"{wrong[:600]!r} → {answer.status_code} {answer.text[:500]}"
        assert answer.status_code < 500, shown
        if answer.status_code >= 400:
            assert all(problem(answer).values()), shown
        after = await ask(api, operation, Odd("*", body=body))
        # An occurrence that waits for its time has not ended.
        assert after.status_code == 409 if operation == "requeueOccurrence" else after.status_code < 300, after.text
        assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [], shown

    @settings(unhurried, max_examples=150 if EXHAUSTIVE else 25)
    @given(mutated(good))
    def explore(wrong: bytes) -> None:
        asyncio.run_coroutine_threadsafe(check(wrong), loop).result(30)

    await asyncio.to_thread(explore)


async def test_an_entry_of_an_import_that_is_wrong_costs_only_itself(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    good = [json.dumps(DEFINITION | {"name": name, "key": name}).encode() for name in ("before", "between", "after")]

    async def check(first: bytes, second: bytes) -> None:
        entries = b",".join((good[0], first, good[1], second, good[2]))
        body = b'{"source":"s","jobs":[%s],"prune":true}' % entries
        answer = await ask(api, "importJobs", Odd("*", body=body))
        shown = f"{first[:600]!r} {second[:600]!r} → {answer.status_code} {answer.text[:1500]}"
        assert answer.status_code == 200, shown
        items = answer.json()["items"]
        assert [each["entry"] for each in items[:5]] == [0, 1, 2, 3, 4], shown
        assert {each["entry"] for each in items[5:]} <= {None}, shown
        assert [each["result"] in THERE for each in items[:5:2]] == [True] * 3, shown
        assert all(each["problem"] for each in items if each["result"] == "refused"), shown
        for each, name in zip(items[:5:2], ("before", "between", "after"), strict=True):
            job = await api.ok("GET", f"/jobs/{each['name']}")
            assert (job["import_source"], each["name"].startswith(name)) == ("s", True), shown
        assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [], shown

    odd = st.one_of(mutated(DEFINITION | {"name": "odd", "key": "odd"}).filter(_is_json), ODD.map(json.dumps).map(str.encode))

    @settings(unhurried, max_examples=500 if EXHAUSTIVE else 40)
    @given(odd, odd)
    def explore(first: bytes, second: bytes) -> None:
        asyncio.run_coroutine_threadsafe(check(first, second), loop).result(30)

    await asyncio.to_thread(explore)


def _is_json(body: bytes) -> bool:
    """Whether it can be one entry of several: else nothing in the body can be told apart."""
    try:
        json.loads(body, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return False
    return True


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)
