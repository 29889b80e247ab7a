"""Asks operations of the API: their good requests, made odd in one place or not."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

import httpx

from support.api import Api
from support.good_requests import GOOD
from support.known_things import known
from support.openapi import document

DOCUMENT = document()
OPERATIONS = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}


@dataclass
class Odd:
    """A request, and the first step of what may be named as its fault; empty for the whole."""

    where: str
    segment: str | None = None
    query: dict[str, str | bytes] = field(default_factory=dict[str, "str | bytes"])
    headers: dict[str, str | bytes] = field(default_factory=dict[str, "str | bytes"])
    body: bytes | None = None


async def ask(api: Api, operation: str, odd: Odd) -> httpx.Response:
    """The answer to an operation's good request with what is odd about this one; things that it needs are there."""
    good, (method, path, _) = GOOD[operation], OPERATIONS[operation]
    if there := known(path):
        name, make = there
        path = path.replace(f"{{{name}}}", str(await make(api)) if odd.segment is None else odd.segment)
    if operation == "createJob":
        await api.http.delete("/api/v1/jobs/another")
    if operation == "startBackfill":
        for each in (await api.ok("GET", "/backfills?state=running"))["items"]:
            await api.ok("POST", f"/backfills/{each['id']}/cancel", 202)
    query = "&".join(f"{name}={quote(value)}" for name, value in ({**good.query, **odd.query}).items())
    headers: dict[bytes, bytes] = {} if odd.body is None else {b"content-type": b"application/json"}
    for name, text in {**good.headers, **odd.headers}.items():
        headers[name.lower().encode()] = text if isinstance(text, bytes) else text.encode()
    url = f"http://leveret.test{path}{'?' if query else ''}{query}"
    request = httpx.Request(method, url, headers=list(headers.items()), content=odd.body)
    return await api.http.send(request)
