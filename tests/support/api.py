"""The API in this process, on a real database, asked over ASGI; and what it told others meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp

from leveret_api.app import create_app
from leveret_api.server import serve
from leveret_api.services import Services
from leveret_core.hints import Hint, Hints
from leveret_core.messages import Control as Word
from leveret_core.settings import Settings
from leveret_core.store.database import Database
from leveret_dispatcher.ends.ingestor import Ingestor
from leveret_dispatcher.ends.replay import Replay
from support.control import Exchange

HOURLY = {"kind": "cron", "expression": "0 * * * *"}


@dataclass
class Listening(Exchange):
    """A broker that keeps the words to workers."""

    words: list[Word] = field(default_factory=list[Word])

    async def tell_workers(self, word: object) -> None:
        assert isinstance(word, Word)
        self.words.append(word)


class Api:
    """The app, a client of it, and what it sent out."""

    def __init__(self, app: ASGIApp, services: Services, http: httpx.AsyncClient, broker: Listening) -> None:
        self.app = app
        self.services = services
        self.db = services.database
        self.http = http
        self.broker = broker
        self.hints: list[Hint] = []
        services.hints.subscribe(self.hints.append)

    async def ok(self, method: str, path: str, status: int = 200, **kwargs: Any) -> Any:
        """The JSON of the answer, whose status has to be `status`; `path` is below `/api/v1`."""
        answer = await self.http.request(method, f"/api/v1{path}", **kwargs)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def refused(self, method: str, path: str, status: int, **kwargs: Any) -> dict[str, str]:
        """The fields at fault of a problem document, with what is wrong; under an empty field, its detail if it has none."""
        answer = await self.http.request(method, f"/api/v1{path}", **kwargs)
        assert answer.status_code == status, answer.text
        return problem(answer)

    async def job(self, name: str = "daily", **fields: Any) -> dict[str, Any]:
        """A new job, by hand unless told otherwise."""
        body = {"name": name, "type": "report.daily", "trigger": {"kind": "manual"}} | fields
        made: dict[str, Any] = await self.ok("POST", "/jobs", 201, json=body)
        return made

    async def trigger(self, job: str | int, **body: Any) -> dict[str, Any]:
        """A new occurrence."""
        made: dict[str, Any] = await self.ok("POST", f"/jobs/{job}/trigger", 202, json=body)
        return made


def problem(answer: httpx.Response) -> dict[str, str]:
    """The fields at fault, with what is wrong; `{"": detail}` when no field is."""
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body.keys() == {"type", "title", "status", "detail", "errors"}
    assert body["status"] == answer.status_code
    assert body["type"].startswith("urn:leveret:")
    return {error["field"]: error["message"] for error in body["errors"]} or {"": body["detail"]}


@asynccontextmanager
async def running_api(database_url: str, *, static: Path | None = None, **settings: Any) -> AsyncGenerator[Api]:
    """The API on a migrated database."""
    database = Database(database_url, pool_size=10)
    await database.start()
    broker = Listening()
    settings.setdefault("allowed_hosts", "leveret.test,127.0.0.1")
    chosen = Settings(database_url=database_url, **settings)
    hints = Hints(None)
    services = Services(chosen, database, broker, hints, redis=None, replay=Replay(Ingestor(chosen, database, hints)))
    app = create_app(services, static=static or Path("/nowhere"))
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://leveret.test") as http:
            yield Api(app, services, http, broker)
    finally:
        await database.stop()


@asynccontextmanager
async def listening(app: ASGIApp) -> AsyncGenerator[str]:
    """The URL of `app`, on a port of its own."""
    ready: asyncio.Queue[str] = asyncio.Queue()
    serving = asyncio.create_task(serve(app, "127.0.0.1", 0, ready=ready.put_nowait))
    try:
        yield await asyncio.wait_for(ready.get(), 10)
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
