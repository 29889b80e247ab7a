"""Something for every kind of path parameter to name."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable

from support.api import HOURLY, Api
from support.control import Control


async def _job(api: Api) -> str:
    await api.http.put("/api/v1/jobs/daily", json={"type": "report.daily", "trigger": HOURLY})
    return "daily"


async def _occurrence(api: Api) -> int:
    id_: int = (await api.trigger(await _job(api), delay=3600))["id"]
    return id_


async def _backfill(api: Api) -> int:
    for each in (await api.ok("GET", "/backfills?state=running"))["items"]:
        await api.ok("POST", f"/backfills/{each['id']}/cancel", 202)
    hours = {"start_at": "2026-02-01T00:00:00Z", "end_at": "2026-02-01T04:00:00Z"}
    id_: int = (await api.ok("POST", f"/jobs/{await _job(api)}/backfills", 202, json=hours))["id"]
    return id_


async def _dead_event(api: Api) -> int:
    await Control(api.db).ingest(f"no batch: {uuid.uuid4()}".encode())
    id_: int = await api.db.pool.fetchval("select max(id) from dead_event")
    return id_


async def _worker(api: Api) -> str:
    return await Control(api.db).worker()


async def _type(api: Api) -> str:
    await api.ok("PUT", "/rate-limits/report.daily", json={"count": 5})
    await api.ok("PUT", "/rate-limits/report.daily/by-key", json={"count": 5, "key": "customer.id"})
    return "report.daily"


KNOWN: dict[str, Callable[[Api], Awaitable[str | int]]] = {
    "/api/v1/jobs/{ref}": _job,
    "/api/v1/occurrences/{id}": _occurrence,
    "/api/v1/backfills/{id}": _backfill,
    "/api/v1/dead-events/{id}": _dead_event,
    "/api/v1/workers/{id}": _worker,
    "/api/v1/rate-limits/{type}": _type,
}


def known(path: str) -> tuple[str, Callable[[Api], Awaitable[str | int]]] | None:
    """The path parameter of `path`, and what makes a thing for it to name; None for a path without one."""
    found = re.match(r"[^{]*\{(\w+)\}", path)
    return None if found is None else (found[1], KNOWN[found[0]])
