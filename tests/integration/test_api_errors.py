"""Whatever a client sends, the answer is a document it can read, and never a fault of ours."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leveret_api.middleware import MAX_BODY
from support.api import Api, problem, running_api
from support.servers import Server

JSON = {"content-type": "application/json"}


@pytest.fixture
async def api(database_url: str) -> AsyncGenerator[Api]:
    async with running_api(database_url) as running:
        yield running


async def test_an_unknown_address_and_a_wrong_method(api: Api) -> None:
    missing = await api.http.get("/api/v1/nothing")
    assert (missing.status_code, problem(missing)) == (404, {"": "there is nothing at /api/v1/nothing"})
    assert (await api.http.get("/api/v1/jobs/")).status_code == 404
    wrong = await api.http.delete("/api/v1/jobs")
    assert (wrong.status_code, wrong.json()["type"]) == (405, "urn:leveret:method-not-allowed")
    assert wrong.headers["allow"] == "GET, POST"
    assert (await api.http.post("/api/v1/jobs/daily")).headers["allow"] == "DELETE, GET, PATCH, PUT"
    assert problem(wrong)


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"", JSON, 422),
        (b"{", JSON, 400),
        (b'{"a": NaN', JSON, 400),
        (b"\xff\xfe", JSON, 400),
        (b"[" * 100_000, JSON, 400),
        (b'{"a":' * 100_000, JSON, 400),
        (b'{"payload": {"n": ' + b"9" * 5_000 + b"}}", JSON, 422),
        (b"null", JSON, 422),
        (b"[]", JSON, 422),
        (b'"text"', JSON, 422),
        (b'{"name": "a"}', {}, 422),
        (b'{"name": "a"}', {"content-type": "text/plain"}, 422),
        (b"name=a", {"content-type": "application/x-www-form-urlencoded"}, 422),
        (b'{"name": "\\ud800", "\\ud800": 1}', JSON, 422),
        (b'{"payload": {"x": NaN}}', JSON, 422),
        (b'{"payload": {"x": 1e999}}', JSON, 422),
    ],
)
async def test_a_body_that_cannot_be_used(api: Api, content: bytes, headers: dict[str, str], status: int) -> None:
    answer = await api.http.post("/api/v1/jobs", content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert problem(answer)


async def test_a_body_that_is_too_large(api: Api) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * (MAX_BODY // 16)

    for content in (b" " * (MAX_BODY + 1), chunks()):
        answer = await api.http.post("/api/v1/jobs", content=content, headers=JSON)
        assert answer.status_code == 413
        assert problem(answer) == {"": "the body has more than 1048576 bytes"}


async def test_a_page_of_another_site_changes_nothing(api: Api) -> None:
    await api.job()
    for headers in ({"origin": "https://evil.test"}, {"sec-fetch-site": "cross-site"}):
        answer = await api.http.post("/api/v1/jobs/daily/trigger", headers=headers)
        assert answer.status_code == 403
        assert problem(answer)
    assert (await api.ok("GET", "/occurrences"))["items"] == []


async def test_answers_of_every_kind_carry_the_protecting_headers(api: Api) -> None:
    for path in (
        "/",
        "/api/v1/jobs",
        "/api/v1/jobs/x",
        "/nothing.js",
        "/docs",
        "/plain.css",
        "/metrics",
        "/openapi.json",
        "/socket.io/",
    ):
        headers = (await api.http.get(path)).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path
        assert headers["x-content-type-options"] == "nosniff", path


async def test_a_fault_of_ours_tells_nothing_of_its_inside(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("password=secret")

    monkeypatch.setattr("leveret_core.store.reads.workers.list_workers", broken)
    transport = httpx.ASGITransport(api.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://leveret.test") as http:
        answer = await http.get("/api/v1/workers")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert problem(answer)
    assert "content-security-policy" in answer.headers


async def test_while_postgres_is_away_requests_are_told_to_come_again(private_postgres: Server) -> None:
    from leveret_core.store.migrate import migrate

    await migrate(private_postgres.url)
    async with running_api(private_postgres.url) as api:
        await api.job()
        private_postgres.kill()
        for method, path in [
            ("GET", "/jobs"),
            ("POST", "/jobs/daily/trigger"),
            ("GET", "/overview"),
            ("DELETE", "/jobs/daily"),
        ]:
            answer = await api.http.request(method, f"/api/v1{path}")
            assert answer.status_code == 503, (method, path, answer.text)
            assert int(answer.headers["retry-after"]) > 0
            assert problem(answer) == {"": "Postgres does not answer; try again shortly"}
        ready = await api.http.get("/readyz")
        assert (ready.status_code, ready.json()["status"], ready.json()["services"]["postgres"]) == (503, "unavailable", "down")
        metrics = await api.http.get("/metrics")
        assert metrics.status_code == 200
        assert 'leveret_service_up{service="postgres"} 0.0' in metrics.text
        assert (await api.http.get("/livez")).status_code == 200
        private_postgres.start()
        assert (await api.ok("GET", "/jobs/daily"))["name"] == "daily"


# The document


async def test_the_openapi_document_describes_errors_as_they_are(api: Api) -> None:
    document = (await api.http.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    assert "ProblemDocument" in schemas
    assert "HTTPValidationError" not in schemas
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and "_" not in name for name in names)
    for operation in operations:
        for status, answer in operation["responses"].items():
            if status >= "400" and operation["operationId"] != "readyz":
                assert answer["content"] == {
                    "application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}
                }
    text = json.dumps(document)
    for reference in set(text.split('"$ref": "')[1:]):
        assert reference.split('"')[0].removeprefix("#/components/schemas/") in schemas


async def test_the_reference_is_a_page_without_scripts(api: Api) -> None:
    page = await api.http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "<script" not in page.text
    assert "style=" not in page.text
    for path in ("/api/v1/jobs/{ref}/trigger", "/api/v1/overview"):
        assert path in page.text


async def test_the_dashboard_is_served_beside_the_api(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<title>dashboard</title>")
    async with running_api(database_url, static=tmp_path) as api:
        assert (await api.http.get("/occurrences/5")).text == "<title>dashboard</title>"
        assert (await api.http.get("/api/v1/occurrences/5")).status_code == 404


# Anything


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(["cron", "0 6 * * *", "report.daily"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
triggers = st.fixed_dictionaries(
    {"kind": st.sampled_from(["cron", "interval", "once", "manual"]) | json_values},
    optional={
        name: json_values | value
        for name, value in {
            "expression": st.sampled_from(["0 6 * * *", "@daily", "* * * * * *"]),
            "timezone": st.sampled_from(["Europe/Berlin", "UTC"]),
            "every": st.integers(1, 10**6),
            "at": st.datetimes().map(str),
            "start_at": st.datetimes().map(str),
            "end_at": st.just("9999-12-31T23:59:59Z"),
            "jitter": st.floats(0, 10),
        }.items()
    },
)
fields: dict[str, st.SearchStrategy[Any]] = {
    "name": json_values | st.sampled_from(["daily", "weekly"]),
    "type": json_values | st.just("report.daily"),
    "trigger": triggers | json_values,
    "payload": st.dictionaries(st.text(st.characters(), max_size=5), json_values, max_size=3) | json_values,
    "reason": json_values | st.text(),
    "idempotency_key": json_values | st.text(max_size=10),
    "after": json_values | st.datetimes().map(str),
}
others = ["description", "tags", "concurrency", "max_concurrent", "max_waiting", "catch_up", "catch_up_window", "timeout"]
others += ["retry", "max_runs", "version", "count", "unknown"]
fields |= dict.fromkeys(others, json_values)
bodies = st.fixed_dictionaries({}, optional=fields) | json_values
requests = st.sampled_from(
    [
        ("POST", "/jobs"),
        ("PUT", "/jobs/daily"),
        ("PATCH", "/jobs/daily"),
        ("POST", "/jobs/daily/trigger"),
        ("POST", "/jobs/daily/pause"),
        ("POST", "/jobs/daily/resume"),
        ("POST", "/schedules/preview"),
        ("POST", "/occurrences/1/cancel"),
        ("POST", "/occurrences/1/requeue"),
        ("DELETE", "/jobs/daily"),
    ]
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
queries = st.dictionaries(
    st.sampled_from(["type", "tag", "paused", "search", "limit", "cursor", "job", "state", "worker", "after", "count"]),
    texts | st.integers().map(str) | st.sampled_from(["running", "daily", "1"]),
    max_size=4,
)
PATHS = ["/jobs", "/jobs/{}", "/jobs/{}/next", "/occurrences", "/occurrences/{}", "/occurrences/{}/logs", "/{}"]
relaxed = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def checked(answer: httpx.Response) -> None:
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert problem(answer)


@relaxed
@given(call=requests, body=bodies)
async def test_no_body_breaks_anything(api: Api, call: tuple[str, str], body: object) -> None:
    content = json.dumps(body).encode()
    checked(await api.http.request(call[0], f"/api/v1{call[1]}", content=content, headers=JSON))


@relaxed
@given(path=st.sampled_from(PATHS), part=texts, query=queries)
async def test_no_address_or_query_breaks_anything(api: Api, path: str, part: str, query: dict[str, str]) -> None:
    where = "/api/v1" + path.format("".join(f"%{byte:02x}" for byte in part.encode()))
    checked(await api.http.get(where, params=query))
