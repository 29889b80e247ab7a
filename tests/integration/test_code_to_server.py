"""From a decorator to a run: real processes on real servers, from the code of a worker to what REST tells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.eventually import eventually
from support.ports import free_port
from support.processes import StartLeveret

APP = """
from collections.abc import AsyncIterator
from dataclasses import dataclass
from leveret import JobContext, Skip, Snooze, job, lifespan

@dataclass
class Resources:
    name: str

@lifespan
async def resources() -> AsyncIterator[Resources]:
    print("lifespan begins", flush=True)
    yield Resources("shared")
    print("lifespan ends", flush=True)

@job("tick", every=0.5, concurrency="allow", payload={"n": 7}, last_success=True)
async def tick(n: int, ctx: JobContext) -> list[object]:
    \"\"\"Count.\"\"\"
    return [n, ctx.state[Resources].name, ctx.last_success_at is not None]

@job("import")
def import_rows(ctx: JobContext) -> int:
    done = ctx.checkpoint or {"row": 0}
    ctx.save_checkpoint({"row": done["row"] + 1})
    if done["row"] < 2:
        raise ValueError("the connection broke")
    return done["row"]

@job("choose")
async def choose(what: str, ctx: JobContext) -> None:
    if what == "skip":
        raise Skip("nothing new")
    if ctx.attempt == 1:
        raise Snooze("not yet", after=0.2)
"""

WRONG = """
import sys
sys.modules["cronsim"] = None  # as on a machine that has only the worker's parts
from leveret import job

@job("report.daily", cron="0 61 * * *")
def report() -> None: ...
"""

FAILING = """
from collections.abc import AsyncIterator
from leveret import job, lifespan

@lifespan
async def database() -> AsyncIterator[None]:
    raise ConnectionError("no database at db:5432")
    yield

@job("a")
def a() -> None: ...
"""


class Server:
    """A server process, asked over REST."""

    def __init__(self, client: httpx.AsyncClient, amqp_url: str) -> None:
        self._client = client
        self.env = {"LEVERET_AMQP_URL": amqp_url}

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        answer = await self._client.request(method, f"/api/v1{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()

    async def ends(self, occurrence: int, state: str) -> dict[str, Any]:
        """The occurrence, when it is in this state."""

        async def look() -> dict[str, Any]:
            found: dict[str, Any] = await self.ask("GET", f"/occurrences/{occurrence}")
            assert found["state"] == state, found
            return found

        return await eventually(look, timeout=20)


@pytest.fixture
async def server(start_leveret: StartLeveret, database_url: str, redis_url: str, amqp_url: str) -> AsyncIterator[Server]:
    port = free_port()
    env = {"LEVERET_DATABASE_URL": database_url, "LEVERET_REDIS_URL": redis_url, "LEVERET_AMQP_URL": amqp_url}
    start_leveret("api", "--port", str(port), env=env)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:

        async def ready() -> None:
            try:
                answer = await client.get("/readyz")
            except httpx.TransportError as error:
                raise AssertionError(str(error)) from error
            assert answer.json()["status"] == "ok", answer.text

        await eventually(ready, timeout=30, interval=0.1)
        yield Server(client, amqp_url)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, source in (("app", APP), ("wrong", WRONG), ("failing", FAILING)):
        (tmp_path / f"{name}.py").write_text(source)
    return tmp_path


async def test_a_schedule_in_code_runs_with_what_its_lifespan_made(
    server: Server, start_leveret: StartLeveret, folder: Path
) -> None:
    worker = start_leveret("worker", "app", env=server.env, cwd=folder)

    async def has_run_again() -> list[dict[str, Any]]:
        found = (await server.ask("GET", "/occurrences?job=tick&state=succeeded"))["items"]
        runs = [await server.ask("GET", f"/occurrences/{each['id']}") for each in reversed(found)]
        assert [run["result"][2] for run in runs][-1:] == [True]  # one before it had ended
        return runs

    async def declared() -> dict[str, Any]:
        found: list[dict[str, Any]] = (await server.ask("GET", "/jobs"))["items"]
        assert len(found) == 1
        return found[0]

    job = await eventually(declared, timeout=20)
    assert (job["name"], job["source"], job["served"], job["description"]) == ("tick", "code", True, "Count.")
    assert job["trigger"]["every"] == 0.5
    runs = await eventually(has_run_again, timeout=20)
    assert runs[0]["result"] == [7, "shared", False]
    assert all(run["result"][:2] == [7, "shared"] for run in runs)
    assert {each["pattern"] for each in (await server.ask("GET", "/types"))["items"]} == {"tick", "import", "choose"}

    worker.terminate()
    assert await asyncio.to_thread(worker.wait, 20) == 0
    printed = worker.output()
    assert printed.index("lifespan begins") < printed.index("draining") < printed.index("lifespan ends")
    assert (await server.ask("GET", "/jobs/tick"))["served"] is False


async def test_a_handler_goes_on_from_its_checkpoint_skips_and_snoozes(
    server: Server, start_leveret: StartLeveret, folder: Path
) -> None:
    start_leveret("worker", "app", env=server.env, cwd=folder)
    retry = {"max_attempts": 3, "delay": 0}
    await server.ask("POST", "/jobs", {"name": "rows", "type": "import", "trigger": {"kind": "manual"}, "retry": retry})
    await server.ask(
        "POST", "/jobs", {"name": "one", "type": "choose", "trigger": {"kind": "manual"}, "retry": {"max_attempts": 1}}
    )
    rows = (await server.ask("POST", "/jobs/rows/trigger"))["id"]
    skipped = (await server.ask("POST", "/jobs/one/trigger", {"payload": {"what": "skip"}}))["id"]
    done = await server.ends(rows, "succeeded")
    assert (done["attempt"], done["result"], done["checkpoint"]) == (3, 2, {"row": 3})
    assert (await server.ends(skipped, "skipped"))["reason"] == "nothing new"
    snoozed = (await server.ask("POST", "/jobs/one/trigger", {"payload": {"what": "snooze"}}))["id"]
    found = await server.ends(snoozed, "succeeded")
    assert [attempt["state"] for attempt in found["attempts"]] == ["snoozed", "succeeded"]
    assert found["snoozed_count"] == 1


async def test_a_wrong_schedule_that_only_servers_can_judge_is_told_where_one_looks_and_the_worker_serves(
    server: Server, start_leveret: StartLeveret, folder: Path
) -> None:
    worker = start_leveret("worker", "wrong", env=server.env, cwd=folder)
    wrong = "job report.daily: trigger.expression: hour: 61 is above 23"

    async def told() -> None:
        assert f"the servers refuse a job that the code declares: {wrong}" in worker.output()
        (alive,) = (await server.ask("GET", "/workers"))["items"]
        found = await server.ask("GET", f"/workers/{alive['id']}")
        assert [(each["kind"], each["reason"]) for each in found["refusals"]] == [("declare", wrong)]

    await eventually(told, timeout=30)
    assert (await server.ask("GET", "/jobs"))["items"] == []


async def test_a_lifespan_that_does_not_start_ends_the_worker_with_the_reason_and_its_traceback(
    server: Server, start_leveret: StartLeveret, folder: Path
) -> None:
    worker = start_leveret("worker", "failing", env=server.env, cwd=folder)
    assert await asyncio.to_thread(worker.wait, 30) == 1
    last = worker.output().splitlines()[-1]
    assert last == "leveret: the lifespan failing.database did not start: ConnectionError: no database at db:5432"
    assert 'raise ConnectionError("no database at db:5432")' in worker.output()
    assert (await server.ask("GET", "/workers"))["items"] == []
