"""A command that is sent again because its answer was lost: what changed nothing is in the audit once."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from leveret_core.store.database import Database
from support.api import Api, running_api
from support.control import Control
from support.known_things import known

COMMANDS = [
    ("PUT", "/rate-limits/report.daily", {"count": 5, "per": 60.0}),
    ("PUT", "/rate-limits/report.daily/by-key", {"key": "to", "count": 5, "per": 60.0}),
    ("PUT", "/jobs/daily", {"type": "report.daily", "trigger": {"kind": "manual"}, "priority": 7}),
    ("PATCH", "/jobs/daily", {"priority": 8}),
    ("POST", "/jobs/daily/pause", {"reason": "r"}),
    ("POST", "/jobs/daily/pause", None),
    ("POST", "/jobs/daily/resume", None),
    ("POST", "/workers/{id}/drain", None),
    ("POST", "/backfills/{id}/cancel", {"running": True, "reason": "r"}),
    ("POST", "/occurrences/{id}/cancel", {"reason": "r"}),
    ("POST", "/jobs/daily/trigger", {"idempotency_key": "k"}),
    ("POST", "/jobs/daily/trigger", {"idempotency_key": "k", "delay": 60}),
    ("POST", "/triggers", {"items": [{"job": "daily", "idempotency_key": "k"}]}),
    ("POST", "/imports", {"source": "s", "jobs": [{"name": "b", "type": "t", "trigger": {"kind": "manual"}}]}),
    ("DELETE", "/rate-limits/report.daily", None),
    ("DELETE", "/rate-limits/report.daily/by-key", None),
    ("DELETE", "/jobs/daily", None),
]


@pytest.fixture
async def api(database_url: str) -> AsyncGenerator[Api]:
    async with running_api(database_url) as running:
        yield running


async def audited(db: Database) -> int:
    count: int = await db.pool.fetchval("select count(*) from audit")
    return count


@pytest.mark.parametrize(("method", "path", "body"), COMMANDS, ids=lambda value: value if isinstance(value, str) else "")
async def test_a_command_that_comes_again_is_in_the_audit_once(
    api: Api, method: str, path: str, body: dict[str, object] | None
) -> None:
    if there := known(f"/api/v1{path}"):
        name, make = there
        path = path.replace(f"{{{name}}}", str(await make(api)))
    else:
        await api.job()
    if path.startswith("/occurrences"):
        await _run(api)
    if path.endswith("/resume"):
        await api.ok("POST", "/jobs/daily/pause")
    if method == "DELETE" and "limits" in path:
        await api.ok("PUT", "/rate-limits/report.daily", json={"count": 5})
        await api.ok("PUT", "/rate-limits/report.daily/by-key", json={"count": 5, "key": "customer.id"})
    before = await audited(api.db)

    first = await api.http.request(method, f"/api/v1{path}", json=body)
    assert first.status_code < 300, first.text
    assert await audited(api.db) == before + 1
    again = await api.http.request(method, f"/api/v1{path}", json=body)
    assert again.status_code < 300 or again.status_code in (404, 409), again.text
    assert await audited(api.db) == before + 1


async def test_a_command_that_says_something_else_is_in_the_audit_again(api: Api) -> None:
    await api.job()
    for method, path, body in [
        ("PUT", "/rate-limits/report.daily", {"count": 5, "per": 60.0}),
        ("PUT", "/rate-limits/report.daily", {"count": 5, "per": 61.0}),
        ("PUT", "/rate-limits/report.daily/by-key", {"key": "to", "count": 5, "per": 60.0}),
        ("PUT", "/rate-limits/report.daily/by-key", {"key": "from", "count": 5, "per": 60.0}),
        ("PUT", "/rate-limits/report.daily/by-key", {"key": "from", "count": 6, "per": 60.0}),
        ("POST", "/jobs/daily/pause", {"reason": "r"}),
        ("POST", "/jobs/daily/pause", {"reason": "another"}),
        ("POST", "/jobs/daily/pause", {}),
    ]:
        before = await audited(api.db)
        await api.ok(method, path, json=body)
        assert await audited(api.db) == before + 1, (path, body)


async def _run(api: Api) -> None:
    """A worker runs the occurrence that is there, so that a cancel waits for it."""
    control = Control(api.db)
    await api.db.pool.execute("update occurrence set state = 'pending', scheduled_for = now()")
    await control.claim(await control.worker(), await api.db.pool.fetchval("select max(id) from occurrence"))
