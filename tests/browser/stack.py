"""All of Leveret in the test's process, on a real Postgres and Redis: API with the built dashboard, control plane, worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import httpx

from leveret.config import WorkerConfig
from leveret.registry import Handler
from leveret.worker import Worker
from leveret_api.app import create_app
from leveret_api.server import serve
from leveret_api.services import Services
from leveret_core.broker.memory import MemoryBroker
from leveret_core.hints import Hints
from leveret_core.redis_clients import lock_client
from leveret_core.settings import Settings
from leveret_core.store.database import Database
from leveret_dispatcher.control_plane import ControlPlane
from support.ports import free_port


@dataclass
class Stack:
    """A running Leveret.

    Arguments:
        url: of the dashboard and the API.
        rest: a client of the REST API; paths begin after `/api/v1`.
        database: the one the API uses.
    """

    url: str
    rest: httpx.AsyncClient
    database: Database
    settings: Settings
    services: Services
    broker: MemoryBroker
    _serving: asyncio.Task[None] | None = None

    async def start_api(self) -> None:
        """Serve at `url`, again after `stop_api`."""
        ready = asyncio.Event()
        host, port = self.settings.host, self.settings.port
        self._serving = asyncio.create_task(serve(create_app(self.services), host, port, ready=lambda _: ready.set()))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({self._serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if self._serving.done():
            waiting.cancel()
            self._serving.result()

    async def stop_api(self) -> None:
        """End the API; everything else goes on."""
        serving, self._serving = self._serving, None
        if serving is not None:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    async def job(self, name: str, type: str = "demo.quick", **fields: Any) -> dict[str, Any]:
        """Create a job over REST; by hand unless a `trigger` is given."""
        body = {"name": name, "type": type, "trigger": {"kind": "manual"}, **fields}
        return await self._post("/jobs", body)

    async def trigger(self, job: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
        """Trigger a job; returns the occurrence."""
        return await self._post(f"/jobs/{job}/trigger", {} if payload is None else {"payload": payload})

    async def occurrence(self, id: int) -> dict[str, Any]:
        """An occurrence as it is now."""
        answer = await self.rest.get(f"/occurrences/{id}")
        assert answer.is_success, answer.text
        return cast("dict[str, Any]", answer.json())

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.rest.post(path, json=body)
        assert answer.is_success, answer.text
        return cast("dict[str, Any]", answer.json())

    @asynccontextmanager
    async def worker(self, handlers: Sequence[Handler], name: str = "worker-1") -> AsyncGenerator[Worker]:
        """A worker that serves these handlers."""
        worker = Worker(handlers, self.broker.worker(), config=WorkerConfig(name=name))
        await worker.start()
        try:
            await asyncio.wait_for(worker.serving.wait(), 10)
            yield worker
        finally:
            await worker.drain(0.5)
            await worker.stop()


@asynccontextmanager
async def running(database_url: str, redis_url: str, port: int | None = None, base_path: str = "") -> AsyncGenerator[Stack]:
    """Leveret without a worker, on a migrated database."""
    settings = Settings(
        database_url=database_url,
        redis_url=redis_url,
        host="127.0.0.1",
        port=port or free_port(),
        base_path=base_path,
        heartbeat=1,
        lease=10,
    )
    async with AsyncExitStack() as stack:
        database = Database(settings.database_url, pool_size=8)
        await database.start()
        stack.push_async_callback(database.stop)
        hints = Hints(None)
        await hints.start()
        stack.push_async_callback(hints.stop)
        redis = lock_client(redis_url)
        stack.push_async_callback(redis.aclose)
        memory = MemoryBroker()
        broker = memory.server()
        await broker.start()
        stack.push_async_callback(broker.stop)
        plane = ControlPlane(settings, database, broker, redis, hints)
        await plane.start()
        stack.push_async_callback(plane.stop)
        services = Services(settings, database, broker, hints, redis)
        url = f"http://{settings.host}:{settings.port}"
        rest = await stack.enter_async_context(httpx.AsyncClient(base_url=f"{url}/api/v1", timeout=10, trust_env=False))
        made = Stack(url, rest, database, settings, services, memory)
        stack.push_async_callback(made.stop_api)
        await made.start_api()
        yield made
