"""Replicas and workers as processes, started from the command line like a user's, and what their handlers witnessed."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from support.eventually import eventually
from support.http import http_client
from support.ports import free_port
from support.processes import LeveretProcess

StartLeveret = Callable[..., LeveretProcess]
"""The fixture `start_leveret`."""

QUICK = {
    "LEVERET_LOCK_TTL": "3",
    "LEVERET_LOCK_RENEW": "1",
    "LEVERET_LOCK_MARGIN": "0.5",
    "LEVERET_LOCK_RETRY": "0.3",
    "LEVERET_LEASE": "6",
    "LEVERET_HEARTBEAT": "1",
    "LEVERET_POLL_INTERVAL": "1",
    "LEVERET_RING_TIMEOUT": "5",
}
"""Shorter times than the defaults, in the same proportions, so that a test need not wait for minutes."""


def servers_environment(database_url: str, redis_url: str, amqp_url: str, witness: Path) -> dict[str, str]:
    """What replicas and workers of these servers need, and where their handlers write down what they did."""
    return {
        "LEVERET_DATABASE_URL": database_url,
        "LEVERET_REDIS_URL": redis_url,
        "LEVERET_AMQP_URL": amqp_url,
        "PYTHONPATH": str(Path(__file__).parent),
        "WITNESS": str(witness),
    }


@dataclass
class Replica:
    """An API replica and its address."""

    process: LeveretProcess
    url: str


class Cluster:
    """Everything a test of the whole needs."""

    def __init__(self, start: StartLeveret, database_url: str, redis_url: str, amqp_url: str, folder: Path) -> None:
        self._start = start
        self.database_url = database_url
        self.witness = folder / "witness.jsonl"
        self.env = QUICK | servers_environment(database_url, redis_url, amqp_url, self.witness)
        self.replicas: list[Replica] = []

    async def api(self, **env: str) -> Replica:
        """One more replica, when it answers; `env` are variables of its own."""
        port = free_port()
        replica = Replica(self._start("api", "--port", str(port), env=self.env | env), f"http://127.0.0.1:{port}")
        self.replicas.append(replica)

        async def ready() -> None:
            async with http_client() as client:
                try:
                    assert (await client.get(f"{replica.url}/readyz")).status_code == 200
                except httpx.TransportError as error:
                    raise AssertionError(f"{replica.process} does not answer: {error}") from error

        await eventually(ready, timeout=30, interval=0.1)
        return replica

    async def worker(self, *args: str, **env: str) -> LeveretProcess:
        """One more worker process, when the servers know it; `env` are variables of its own."""
        before = len(await self.workers())
        process = self._start("worker", "handlers", *args, env=self.env | env)

        async def known() -> None:
            assert process.returncode is None, process.output()
            assert len(await self.workers()) > before

        await eventually(known, timeout=30, interval=0.1)
        return process

    async def workers(self) -> list[dict[str, Any]]:
        body = await self.get("/workers")
        return [worker for worker in body["items"] if worker["stopped_at"] is None]

    async def get(self, path: str, **params: Any) -> Any:
        """JSON of a page, from any replica that lives."""
        return await self._request("GET", path, params=params)

    async def post(self, path: str, body: object | None = None) -> Any:
        """JSON of the answer to a POST, from any replica that lives."""
        return await self._request("POST", path, json=body)

    async def _request(self, method: str, path: str, **more: Any) -> Any:
        living = [replica for replica in self.replicas if replica.process.returncode is None]
        async with http_client() as client:
            answer = await client.request(method, f"{living[0].url}/api/v1{path}", **more)
        assert answer.is_success, f"{answer.status_code}: {answer.text}"
        return answer.json()

    async def job(self, name: str, **fields: Any) -> dict[str, Any]:
        """A job of these handlers; `seconds` in the payload says how long it sleeps."""
        body = {"name": name, "type": "chaos.run", "trigger": {"kind": "manual"}} | fields
        made: dict[str, Any] = await self.post("/jobs", body)
        return made

    async def leader(self) -> Replica:
        """The replica that holds the term, by its metrics."""

        async def find() -> Replica:
            async with http_client() as client:
                for replica in self.replicas:
                    if replica.process.returncode is not None:
                        continue
                    try:
                        text = (await client.get(f"{replica.url}/metrics")).text
                    except httpx.TransportError:
                        # It has just started, or is being killed.
                        continue
                    if "leveret_dispatcher_is_leader 1" in text:
                        return replica
            raise AssertionError("no replica holds the term")

        return await eventually(find, timeout=20, interval=0.1)

    async def sql(self, statement: str, *args: object) -> list[asyncpg.Record]:
        """Rows straight from the authority."""
        connection = await asyncpg.connect(self.database_url)
        try:
            return await connection.fetch(statement, *args)
        finally:
            await connection.close()

    def witnessed(self) -> list[dict[str, Any]]:
        """What the handlers wrote down, in order."""
        if not self.witness.exists():
            return []
        return [json.loads(line) for line in self.witness.read_text().splitlines()]

    def runs(self) -> Counter[int]:
        """Occurrence → how many times a handler began to run it."""
        return Counter(line["occurrence"] for line in self.witnessed() if line["what"] == "start")

    async def quiet(self, timeout: float = 30) -> None:
        """Wait until nothing is live any more."""
        live = "select id, state from occurrence where finished_at is null"

        async def nothing_live() -> None:
            rows = [tuple(row.values()) for row in await self.sql(live)]
            assert rows == []

        await eventually(nothing_live, timeout=timeout, interval=0.2)

    async def stop_schedules(self) -> None:
        """Pause every job, so that the history can be counted."""
        for job in (await self.get("/jobs", limit=500))["items"]:
            await self.post(f"/jobs/{job['id']}/pause", {"reason": "the test has seen enough"})

    async def gaps(self) -> list[str]:
        """Ticks of one-second jobs that have no row, and rows that are `missed`: there should be none."""
        found: list[str] = []
        missed = await self.sql("select job_name, scheduled_for from occurrence where state = 'missed'")
        found += [f"{row['job_name']} missed {row['scheduled_for']}" for row in missed]
        rows = await self.sql(
            """select job_name, scheduled_for,
                      lead(scheduled_for) over (partition by job_id order by scheduled_for) as following
               from occurrence where origin = 'schedule'"""
        )
        for row in rows:
            if row["following"] is not None and (row["following"] - row["scheduled_for"]).total_seconds() != 1:
                found.append(f"{row['job_name']}: nothing between {row['scheduled_for']} and {row['following']}")
        return found


async def freeze_frame(seconds: float) -> None:
    """Let the world go on for a while: the length of an outage, not a wait for something to happen."""
    await asyncio.sleep(seconds)
