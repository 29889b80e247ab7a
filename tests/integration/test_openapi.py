"""The API does what its OpenAPI document says: requests made from it, good and bad, and what the answers hold."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator
from typing import Any, TypeAlias

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from support.api import Api, problem, running_api
from support.known_things import known
from support.openapi import document

Case: TypeAlias = "schemathesis.Case[Any]"

EXHAUSTIVE = bool(os.environ.get("LEVERET_EXHAUSTIVE"))
DOCUMENT = document()
SCHEMA = schemathesis.openapi.from_dict(
    DOCUMENT, config=schemathesis.Config.from_dict({"phases": {"coverage": {"enabled": EXHAUSTIVE}}})
)
METHODS = {"get", "put", "post", "delete", "options", "patch", "trace", "head"}
BEYOND = re.compile(
    r"(.*\.)?(trigger(\..*)?|after|until|at|start_at|end_at|since|cursor|payload(\..*)?|payload_patch(\..*)?|type"
    r"|concurrency_key|key|tags\.\d+|idempotency_key|source|name|retry\.max_delay|job)"
)
"""Fields of which the server asks more than JSON Schema can say, such as that there is such a time zone."""


@pytest.fixture(scope="module")
async def api(shared_database_url: str) -> AsyncGenerator[Api]:
    async with running_api(shared_database_url) as running:
        yield running


@pytest.fixture(scope="module")
async def loop(api: Api) -> asyncio.AbstractEventLoop:
    """The event loop on which the API runs, for tests that hypothesis calls."""
    return asyncio.get_running_loop()


async def sent(api: Api, case: Case) -> httpx.Response:
    """The answer to the request of `case`, byte by byte as `requests` would send it."""
    asked = requests.Request(**case.as_transport_kwargs(base_url="http://leveret.test")).prepare()
    headers = [(name.encode("latin-1"), _bytes(value)) for name, value in asked.headers.items()]
    body = asked.body if isinstance(asked.body, str | bytes) else None
    assert body is asked.body
    return await api.http.request(asked.method or "", asked.url or "", content=body, headers=headers)


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1")


async def check(api: Api, case: Case, *, good: bool) -> None:
    """Send `case`: the answer is one that the document has, and what is `good` is not refused but for what it cannot say."""
    answer = await sent(api, case)
    case.validate_response(answer, excluded_checks=[positive_data_acceptance])
    if answer.status_code >= 400 and answer.headers["content-type"] != "application/json":
        told = problem(answer)
        if good:
            assert answer.status_code in (404, 409, 412, 422, 503), told
            if answer.status_code == 422:
                assert [field for field in told if not BEYOND.fullmatch(field)] == [], told


@SCHEMA.parametrize()  # pyright: ignore[reportUntypedFunctionDecorator]  (schemathesis leaves it untyped)
@settings(
    max_examples=100 if EXHAUSTIVE else 3,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=tuple(HealthCheck),  # pyright: ignore[reportArgumentType]  (its metaclass hides the type)
)
def test_an_operation_does_what_the_document_says(api: Api, loop: asyncio.AbstractEventLoop, case: Case) -> None:
    async def asked() -> None:
        good = case.meta is not None and case.meta.generation.mode.is_positive
        await check(api, case, good=good)
        if good and (there := known(case.path)):
            name, make = there
            case.path_parameters |= {name: await make(api)}
            await check(api, case, good=True)

    # Not a coroutine of pytest's: schemathesis and hypothesis between them run one on whatever loop there is just then.
    loop.run_until_complete(asked())


@pytest.mark.parametrize("path", DOCUMENT["paths"])
async def test_what_an_address_does_not_do_is_refused_and_what_it_does_is_told(api: Api, path: str) -> None:
    there = known(path)
    filled = path if there is None else path.replace(f"{{{there[0]}}}", "1")
    for method in METHODS - DOCUMENT["paths"][path].keys():
        answer = await api.http.request(method, filled)
        assert answer.status_code == 405, (method, path)
        assert set(answer.headers["allow"].lower().split(", ")) == DOCUMENT["paths"][path].keys()
        assert method == "head" or problem(answer)
