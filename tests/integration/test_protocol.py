"""A worker in another language: docs/protocol.md is enough to write one, and its examples are what servers read."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from leveret_core import messages, topology
from leveret_core.patterns import queue_name
from support import foreign_worker
from support.eventually import eventually
from support.ports import free_port
from support.processes import StartLeveret

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()


class Api:
    """REST calls to one server."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def get(self, path: str) -> Any:
        return (await self._client.get(f"/api/v1{path}")).raise_for_status().json()

    async def post(self, path: str, body: object) -> Any:
        return (await self._client.post(f"/api/v1{path}", json=body)).raise_for_status().json()

    async def state(self, occurrence: int) -> str:
        state: str = (await self.get(f"/occurrences/{occurrence}"))["state"]
        return state


@pytest.fixture
async def api(start_leveret: StartLeveret, database_url: str, redis_url: str, amqp_url: str) -> AsyncIterator[Api]:
    port = free_port()
    env = {"LEVERET_DATABASE_URL": database_url, "LEVERET_REDIS_URL": redis_url, "LEVERET_AMQP_URL": amqp_url}
    start_leveret("api", "--port", str(port), env={**env, "LEVERET_HEARTBEAT": "1", "LEVERET_LEASE": "10"})
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:

        async def ready() -> None:
            try:
                answer = await client.get("/readyz")
            except httpx.TransportError as error:
                raise AssertionError(str(error)) from error
            assert set(answer.json()["services"].values()) == {"ok"}, answer.text

        await eventually(ready, timeout=30, interval=0.1)
        yield Api(client)


async def test_a_worker_written_from_the_page_declares_claims_runs_logs_snoozes_and_is_cancelled(
    api: Api, amqp_url: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, foreign_worker.__file__, amqp_url, "foreign.*", "jobs.foreign.wildcard"), stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"serving\n"
        await api.post("/jobs", {"name": "a", "type": "foreign.echo", "trigger": {"kind": "manual"}})

        done = (await api.post("/jobs/a/trigger", {"payload": {"echo": {"n": 1}}}))["id"]
        await eventually(lambda: _is(api, done, "succeeded"))
        occurrence = await api.get(f"/occurrences/{done}")
        assert (occurrence["result"], occurrence["worker_name"], occurrence["attempt"]) == ({"n": 1}, "foreign", 1)
        assert occurrence["progress"] == {"fraction": 0.5, "message": "half way"}
        (log,) = (await api.get(f"/occurrences/{done}/logs"))["items"]
        assert (log["level"], log["message"], log["fields"]) == ("info", "begun", {"by": "foreign"})

        nightly = await api.get("/jobs/foreign-nightly")
        assert (nightly["source"], nightly["served"], nightly["trigger"]["expression"]) == ("code", True, "0 3 * * *")
        later = (await api.post("/jobs/a/trigger", {"payload": {"snooze": True}}))["id"]
        await eventually(lambda: _is(api, later, "succeeded"))
        snoozed = await api.get(f"/occurrences/{later}")
        assert [attempt["state"] for attempt in snoozed["attempts"]] == ["snoozed", "succeeded"]
        assert snoozed["result"][0] == {"step": 1}
        assert datetime.fromisoformat(snoozed["result"][1]) == datetime.fromisoformat(occurrence["scheduled_for"])

        slow = (await api.post("/jobs/a/trigger", {"payload": {"sleep": 60}}))["id"]
        await eventually(lambda: _is(api, slow, "running"))
        await api.post(f"/occurrences/{slow}/cancel", {})
        await eventually(lambda: _is(api, slow, "cancelled"))

        (worker,) = (await api.get("/workers"))["items"]
        assert (worker["name"], worker["state"], worker["sdk"]) == ("foreign", "alive", "foreign/1")
        process.send_signal(signal.SIGTERM)
        assert json.loads(await asyncio.wait_for(process.stdout.readline(), 20)) == {"kind": "bye", "released": 0, "v": 1}
        assert await asyncio.wait_for(process.wait(), 20) == 0
        (worker,) = (await api.get("/workers"))["items"]
        assert worker["state"] == "stopped"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _is(api: Api, occurrence: int, state: str) -> None:
    assert await api.state(occurrence) == state


def test_the_foreign_worker_knows_nothing_of_leveret() -> None:
    source = Path(foreign_worker.__file__).read_text()
    assert not re.search(r"^\s*(import|from) leveret", source, re.MULTILINE)


def test_the_pages_arguments_and_names_are_those_of_the_servers() -> None:
    assert topology.durable_queue_arguments() == foreign_worker.JOBS_ARGUMENTS
    assert topology.control_queue_arguments() == foreign_worker.CONTROL_ARGUMENTS
    for arguments in (foreign_worker.JOBS_ARGUMENTS, foreign_worker.CONTROL_ARGUMENTS):
        for name, value in arguments.items():
            assert f"`{name}: {value}`" in PAGE
    for expression in topology.WORKER_PERMISSIONS:
        assert f"`{expression}`" in PAGE
    for pattern, queue in re.findall(r"`([^` ]+)` → `(jobs\.[^` ]+)`", PAGE.replace("→\n", "→ ")):
        assert queue_name(pattern) == queue
    assert queue_name("report.all") == "jobs.report.all_"


def test_every_example_of_the_page_is_read_as_the_message_it_names() -> None:
    examples = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    examples += [json.loads(text) for text in re.findall(r"`(\{.*?\})`", PAGE) if '"kind"' in text]
    decoders: dict[str, Any] = {
        **dict.fromkeys(("hello", "declare", "claim", "heartbeat", "goodbye"), messages.decode_request),
        **dict.fromkeys(("welcome", "declared", "claimed", "alive", "unknown", "bye", "refused"), messages.decode_reply),
        **dict.fromkeys(("cancel", "drain"), messages.decode_control),
    }
    seen: set[str] = set()
    for example in examples:
        body = json.dumps(example).encode()
        kind = example.get("kind")
        if kind is not None:
            decoded = decoders[kind](body)
            assert type(decoded).__name__.lower() == kind
            seen.add(kind)
        elif "events" in example:
            seen |= {type(event).__name__.lower() for event in messages.decode_events(body).events}
        else:
            assert messages.decode_dispatch(body).occurrence == 1001
            seen.add("dispatch message")
    assert seen == {*decoders, "log", "progress", "checkpoint", "finished", "dispatch message"}


def test_the_page_names_every_field_of_every_message() -> None:
    structs = [
        *(messages.DispatchMessage, messages.HandlerInfo, messages.Hello, messages.Claim, messages.Heartbeat, messages.Goodbye),
        *(messages.Welcome, messages.Answer, messages.Claimed, messages.Alive, messages.Unknown, messages.Bye),
        *(messages.Declare, messages.Declared, messages.DeclaredJob, messages.Checkpoint),
        *(messages.Refused, messages.JobError, messages.Progress, messages.Log, messages.Finished, messages.Events),
        *(messages.Cancel, messages.Drain),
    ]
    missing = {
        f"{struct.__name__}.{name}"
        for struct in structs
        for name in struct.__struct_fields__
        if f'"{name}"' not in PAGE and f"`{name}`" not in PAGE
    }
    assert missing == set()
