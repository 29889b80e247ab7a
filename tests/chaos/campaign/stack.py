"""The servers, replicas and workers of a campaign."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from chaos.campaign.parts import Part
from chaos.cluster import QUICK, servers_environment
from leveret_core.store.migrate import migrate
from support.eventually import eventually
from support.http import http_client
from support.ports import free_port
from support.postgres import PostgresProcess
from support.rabbitmq import RabbitProcess
from support.redis import RedisProcess

REPLICAS = 3
WORKERS = 4
TTL = 4.0
LEASE = 8.0
TIMES = QUICK | {
    "LEVERET_LOCK_TTL": str(TTL),
    "LEVERET_LOCK_RENEW": "1.3",
    "LEVERET_LOCK_MARGIN": "0.8",
    "LEVERET_LEASE": str(LEASE),
    "LEVERET_HEARTBEAT": "1.5",
    "LEVERET_POLL_INTERVAL": "2",
    "LEVERET_TIMEOUT_GRACE": "4",
    "LEVERET_LOG_FORMAT": "json",
}


class Stack:
    """Everything a fault can break.

    Arguments:
        folder: for the witness file and what the processes printed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.witness = folder / "witness.jsonl"
        # Room for the replicas' pools and little more, so that a fault can take it all.
        self.postgres = PostgresProcess(settings={"max_connections": "120"})
        self.redis = RedisProcess()
        self.rabbit = RabbitProcess()
        self.database_url = self.postgres.url.removesuffix("postgres") + "leveret"
        env = TIMES | servers_environment(self.database_url, self.redis.url, self.rabbit.url, self.witness)
        self.replicas = [self._replica(n, env) for n in range(1, REPLICAS + 1)]
        self.workers = [
            Part(
                f"worker {n}",
                ("worker", "handlers", "--spool-dir", str(folder / "spool")),
                env | {"LEVERET_WORKER_NAME": f"worker-{n}"},
            )
            for n in range(1, WORKERS + 1)
        ]
        self.statuses: Counter[int] = Counter()
        self._http = http_client(timeout=5)

    @staticmethod
    def _replica(n: int, env: dict[str, str]) -> Part:
        port = free_port()
        return Part(f"replica {n}", ("api", "--port", str(port)), env, f"http://127.0.0.1:{port}")

    @property
    def parts(self) -> list[Part]:
        """Replicas and workers."""
        return [*self.replicas, *self.workers]

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Start it all, and keep starting what ends; kill it all at the end and keep what it printed."""
        babysitting: asyncio.Task[None] | None = None
        try:
            servers = (self.postgres, self.redis, self.rabbit)
            await asyncio.gather(*(asyncio.to_thread(server.start) for server in servers))
            await self._make_database()
            for part in self.parts:
                part.start()
            babysitting = asyncio.create_task(self._babysit())
            await eventually(self.all_ready, timeout=60, interval=0.2)
            yield
        finally:
            if babysitting is not None:
                babysitting.cancel()
                await asyncio.gather(babysitting, return_exceptions=True)
            await self._http.aclose()
            await asyncio.to_thread(self._end)

    async def _make_database(self) -> None:
        connection = await asyncpg.connect(self.postgres.url)
        try:
            await connection.execute("create database leveret")
        finally:
            await connection.close()
        await migrate(self.database_url)

    async def _babysit(self) -> None:
        while True:
            for part in self.parts:
                part.look()
                if part.process is None and not part.held_down:
                    part.start()
            await asyncio.sleep(0.5)

    def _end(self) -> None:
        for part in self.parts:
            part.look()
            part.kill()
            for n, process in enumerate(part.processes):
                (self.folder / f"{part.name.replace(' ', '-')}.{n}.log").write_text(process.output())
                process.close()
        for server in (self.postgres, self.redis, self.rabbit):
            if server.log.exists():
                (self.folder / f"{server.name}.log").write_bytes(server.log.read_bytes())
            server.remove()

    # What a client does

    async def all_ready(self) -> None:
        """Every replica says so itself."""
        answers = await asyncio.gather(*(self._readiness(replica) for replica in self.replicas))
        wrong = {r.name: answer for r, answer in zip(self.replicas, answers, strict=True) if answer != "ok"}
        assert not wrong, wrong

    async def _readiness(self, replica: Part) -> str:
        try:
            answer = await self._http.get(f"{replica.url}/readyz")
        except httpx.HTTPError as error:
            return type(error).__name__
        return "ok" if answer.status_code == 200 and answer.json().get("status") == "ok" else answer.text

    async def leader(self) -> Part | None:
        """The replica that says it holds the term; None when none does."""
        pages = await asyncio.gather(*(self._metrics(replica) for replica in self.replicas))
        leading = [r for r, page in zip(self.replicas, pages, strict=True) if "leveret_dispatcher_is_leader 1" in page]
        return leading[0] if leading else None

    async def _metrics(self, replica: Part) -> str:
        try:
            return (await self._http.get(f"{replica.url}/metrics", timeout=2)).text
        except httpx.HTTPError:
            return ""

    async def post(self, path: str, body: object, replica: Part, *, method: str = "POST") -> Any:
        """JSON of the answer; None when there was none, or none that says it was done. Statuses are counted."""
        try:
            answer = await self._http.request(method, f"{replica.url}/api/v1{path}", json=body)
        except httpx.HTTPError:
            self.statuses[0] += 1
            return None
        self.statuses[answer.status_code] += 1
        if answer.status_code < 500:
            assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.is_success else None

    # What only a test may do

    @asynccontextmanager
    async def sql(self) -> AsyncGenerator[asyncpg.Connection[asyncpg.Record]]:
        """A connection that takes no part in any fault."""
        connection = await asyncpg.connect(
            self.database_url, timeout=5, command_timeout=60, server_settings={"application_name": "campaign"}
        )
        try:
            yield connection
        finally:
            with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError):
                await connection.close(timeout=5)

    async def ctl(self, *args: str) -> str:
        """What `rabbitmqctl ARGS` prints."""
        return await asyncio.to_thread(self.rabbit.ctl, *args)

    async def depths(self) -> dict[str, tuple[int, int]]:
        """Queue → messages in it and consumers of it."""
        lines = (await self.ctl("list_queues", "name", "messages", "consumers")).splitlines()
        rows = [line.split("\t") for line in lines if line.count("\t") == 2]
        return {name: (int(messages), int(consumers)) for name, messages, consumers in rows if messages.isdigit()}
