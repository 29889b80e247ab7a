"""A worker is told from afar to end: over REST and from the command line, on real services."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from leveret_core.errors import BrokerUnavailable
from leveret_core.messages import Alive, Drain, Heartbeat
from support.api import Api, running_api
from support.command_line import Done, command, run_leveret
from support.control import Control
from support.eventually import eventually
from support.ports import free_port
from support.processes import StartLeveret

HANDLERS = """
import asyncio
from pathlib import Path
from leveret import job

@job("hold.*", concurrency=2)
async def hold() -> str:
    while not Path("let-go").exists():
        await asyncio.sleep(0.05)
    return "to its end"
"""


@pytest.fixture
async def api(database_url: str) -> AsyncGenerator[Api]:
    async with running_api(database_url) as running:
        yield running


@pytest.fixture
def control(api: Api) -> Control:
    return Control(api.db)


async def audited(api: Api) -> list[tuple[str, str, Any]]:
    rows = await api.db.pool.fetch("select actor, action, detail from audit where action = 'drain' order by id")
    return [(row["actor"], row["action"], json.loads(row["detail"])) for row in rows]


async def test_a_worker_is_told_and_the_audit_tells_who_asked(api: Api, control: Control) -> None:
    worker = await control.worker()

    told = await api.ok("POST", f"/workers/{worker}/drain", 202)

    assert (told["id"], told["state"]) == (worker, "draining")
    assert api.broker.words == [Drain(worker=worker)]
    assert await audited(api) == [("api", "drain", {"worker": worker, "name": "w"})]


async def test_a_worker_that_is_gone_or_unknown_is_not_told(api: Api, control: Control) -> None:
    unknown = str(uuid.uuid4())
    assert unknown in (await api.refused("POST", f"/workers/{unknown}/drain", 404))[""]
    assert "id" in await api.refused("POST", "/workers/seven/drain", 422)
    gone = await control.worker()
    await api.db.pool.execute("update worker set state = 'lost', stopped_at = now()")

    assert "lost" in (await api.refused("POST", f"/workers/{gone}/drain", 409))[""]

    assert (api.broker.words, await audited(api)) == ([], [])


async def test_a_word_that_nobody_heard_is_told_by_heartbeats_until_the_worker_drains(
    api: Api, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, other = await control.worker(), await control.worker()

    async def away(word: object) -> None:
        raise BrokerUnavailable("no connection")

    monkeypatch.setattr(api.broker, "tell_workers", away)
    assert await beat(control, worker) is False

    told = await api.ok("POST", f"/workers/{worker}/drain", 202)

    assert told["state"] == "draining"
    assert len(await audited(api)) == 1
    for _ in range(2):
        assert await beat(control, worker) is True, "an answer may be lost, too"
    assert await beat(control, worker, draining=True) is False, "it knows"
    assert await beat(control, other) is False
    states = {item["id"]: item["state"] for item in (await api.ok("GET", "/workers"))["items"]}
    assert states == {worker: "draining", other: "alive"}


async def beat(control: Control, worker: str, *, draining: bool = False) -> bool:
    """Whether the answer to a heartbeat tells the worker to drain."""
    (reply,) = await control.desk.answer([Heartbeat(worker=worker, running=1, draining=draining, holding=None)])
    assert isinstance(reply, Alive)
    return reply.drain


async def test_a_worker_drained_from_the_command_line_finishes_what_it_runs_and_ends(
    start_leveret: StartLeveret, tmp_path: Path, database_url: str, redis_url: str, amqp_url: str
) -> None:
    (tmp_path / "held.py").write_text(HANDLERS)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = {"LEVERET_DATABASE_URL": database_url, "LEVERET_REDIS_URL": redis_url, "LEVERET_AMQP_URL": amqp_url}
    start_leveret("api", "--port", str(port), env=env)
    worker, other = (
        start_leveret("worker", "held", "--name", name, env={"LEVERET_AMQP_URL": amqp_url}, cwd=tmp_path)
        for name in ("first", "second")
    )

    async def leveret(*args: str) -> Done:
        return await asyncio.to_thread(command, *args, env={"LEVERET_URL": url})

    async with httpx.AsyncClient(base_url=f"{url}/api/v1") as http:

        async def workers() -> dict[str, dict[str, Any]]:
            try:
                items = (await http.get("/workers")).json()["items"]
            except httpx.TransportError as error:
                raise AssertionError(str(error)) from error
            return {item["name"]: item for item in items}

        async def both() -> dict[str, dict[str, Any]]:
            found = await workers()
            assert len(found) == 2
            return found

        async def seen(occurrence: int, state: str) -> dict[str, Any]:
            async def now() -> dict[str, Any]:
                found: dict[str, Any] = (await http.get(f"/occurrences/{occurrence}")).json()
                assert found["state"] == state
                return found

            return await eventually(now, timeout=20, interval=0.1)

        ids = {name: item["id"] for name, item in (await eventually(both, timeout=40, interval=0.2)).items()}
        job = {"name": "hold", "type": "hold.on", "trigger": {"kind": "manual"}, "concurrency": "allow"}
        (await http.post("/jobs", json=job)).raise_for_status()
        begun = (await http.post("/jobs/hold/trigger")).json()["id"]
        running = await seen(begun, "running")
        drained, stays = (worker, other) if running["worker_id"] == ids["first"] else (other, worker)
        name = running["worker_name"]

        done = await run_leveret("workers", "drain", ids[name][:13], env={"LEVERET_URL": url})

        assert (done.code, done.err) == (0, "")
        assert f"told worker {name} ({ids[name]}) to drain" in done.out

        async def draining() -> None:
            assert (await workers())[name]["state"] == "draining"

        await eventually(draining, timeout=20, interval=0.1)
        # The server says so at once; the worker has to hear of it.
        await eventually(lambda: "draining: 1 running" in drained.output(), timeout=20)
        later = (await http.post("/jobs/hold/trigger")).json()["id"]
        assert (await seen(later, "running"))["worker_name"] != name, "a draining worker takes nothing more"
        assert drained.returncode is None
        (tmp_path / "let-go").touch()

        assert await asyncio.to_thread(drained.wait, 20) == 0
        ended = await seen(begun, "succeeded")
        assert (ended["result"], ended["attempt"], ended["worker_name"]) == ("to its end", 1, name)
        assert (await workers())[name]["state"] == "stopped"
        assert stays.returncode is None

        again = await leveret("workers", "drain", ids[name])
        assert (again.code, "is gone: it is stopped" in again.err) == (1, True), again.err
        nobody = await leveret("workers", "drain", "zzz")
        assert (nobody.code, "no worker whose id begins with zzz" in nobody.err) == (1, True), nobody.err
        empty = await leveret("workers", "drain", "")
        assert (empty.code, "may not be empty" in empty.err) == (2, True), empty.err
