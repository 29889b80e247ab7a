"""The Python client against the API on a real Postgres, and its documentation against a whole system."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from leveret.client import Client, TriggerItem
from leveret.errors import ConfigurationError, InvalidInput, NotFound
from leveret.sync_client import SyncClient
from leveret_api.server import serve
from leveret_core.messages import JobError
from support.api import Api, running_api
from support.control import Control, finished
from support.eventually import eventually
from support.ports import free_port
from support.processes import StartLeveret

DOCS = Path(__file__).parents[2] / "docs/client.md"
MANUAL = {"kind": "manual"}

HANDLERS = """
from leveret import job

@job("sendemail.*")
async def send_email(to: str) -> dict[str, str]:
    return {"sent_to": to}
"""


@dataclass
class Mail:
    to: str


@pytest.fixture
async def api(database_url: str) -> AsyncGenerator[Api]:
    async with running_api(database_url) as running:
        yield running


@pytest.fixture
async def client(api: Api) -> AsyncGenerator[Client]:
    async with Client("http://leveret.test", transport=httpx.ASGITransport(api.app)) as client:
        yield client


async def test_a_job_is_put_triggered_and_read(client: Client) -> None:
    put = await client.put_job("mail", type="sendemail.x", trigger=MANUAL, payload={"to": "all"}, tags=["a"])
    assert (put.name, put.version, put.payload, put.tags, put.paused) == ("mail", 1, {"to": "all"}, ["a"], False)
    assert await client.put_job("mail", type="sendemail.x", trigger=MANUAL, payload={"to": "all"}, tags=["a"]) == put
    assert await client.job(put.id) == await client.job("mail") == put

    made = await client.trigger("mail", Mail("ann"), idempotency_key="once", priority=7)
    assert (made.job_name, made.state, made.final) == ("mail", "pending", False)
    assert (await client.trigger(put.id, Mail("ann"), idempotency_key="once")).id == made.id
    read = await client.occurrence(made.id)
    assert (read.payload, read.result, read.error) == ({"to": "ann"}, None, None)


async def test_many_are_triggered_in_their_order_and_once_for_a_key(client: Client) -> None:
    await client.put_job("mail", type="sendemail.x", trigger=MANUAL, concurrency="allow")
    people = [{"to": str(number)} for number in range(25)]
    items: list[TriggerItem] = [
        {"job": "mail", "payload": person, "idempotency_key": person["to"], "delay": timedelta(hours=1)} for person in people
    ]

    made = await client.trigger_many(items)
    again = await client.trigger_many(iter(items))

    assert [(await client.occurrence(each.id)).payload for each in made] == people
    assert {each.state for each in made} == {"scheduled"}
    assert [each.id for each in again] == [each.id for each in made]
    assert await client.trigger_many([]) == []


async def test_more_than_a_thousand_go_in_several_requests_which_are_all_or_nothing_each(client: Client) -> None:
    made = await client.put_job("mail", type="sendemail.x", trigger=MANUAL, concurrency="allow")
    items: list[TriggerItem] = [{"job": made.id, "payload": {"n": number}} for number in range(1100)]
    items[1050]["payload"] = ["not an object"]
    with pytest.raises(InvalidInput) as wrong:
        await client.trigger_many(items)
    assert [problem.field for problem in wrong.value.problems] == ["items.1050.payload"]
    found = await client.trigger_many(items[:1050])
    assert len({each.id for each in found}) == 1050
    with pytest.raises(InvalidInput) as wrong:
        await client.trigger_many([items[0], {"job": "mail", "at": datetime(2030, 1, 1)}])  # noqa: DTZ001
    assert [problem.field for problem in wrong.value.problems] == ["items.1.at"]


async def test_a_run_for_later_is_planned_by_delay_or_by_time(client: Client) -> None:
    await client.put_job("mail", type="sendemail.x", trigger=MANUAL)
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    for made in (
        await client.trigger("mail", {"to": "ann"}, delay=3600),
        await client.trigger("mail", {"to": "ann"}, delay=timedelta(hours=1)),
        await client.trigger("mail", {"to": "ann"}, at=in_an_hour),
    ):
        assert (made.state, made.final) == ("scheduled", False)
        assert abs(made.scheduled_for - in_an_hour) < timedelta(seconds=10)


async def test_programs_without_an_event_loop_use_the_same_from_any_thread(api: Api) -> None:
    ready: asyncio.Queue[str] = asyncio.Queue()
    serving = asyncio.create_task(serve(api.app, "127.0.0.1", 0, ready=ready.put_nowait))
    url = await asyncio.wait_for(ready.get(), 10)

    def program() -> tuple[list[int], int]:
        with SyncClient(url) as client:
            client.put_job("mail", type="sendemail.x", trigger=MANUAL, concurrency="allow")
            first = client.trigger("mail", {"to": "ann"}, idempotency_key="k")
            with ThreadPoolExecutor(4) as threads:
                asked = [threads.submit(client.trigger, "mail", idempotency_key="k") for _ in range(8)]
                keyed = [each.result().id for each in asked]
            with pytest.raises(NotFound):
                client.job("nothing")
            with pytest.raises(TimeoutError):
                client.wait(first.id, timeout=0.05)
            many = client.trigger_many([{"job": "mail"}, {"job": "mail", "delay": 9}])
            return [first.id, *keyed], len(many)

    ids, many = await asyncio.to_thread(program)
    assert len(set(ids)) == 1
    assert many == 2
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_waiting_ends_with_the_occurrence_or_its_own_time(api: Api, client: Client) -> None:
    await client.put_job("mail", type="sendemail.x", trigger=MANUAL, retry={"max_attempts": 1})
    made = await client.trigger("mail")
    with pytest.raises(TimeoutError):
        await client.wait(made.id, timeout=0.2)

    waiting = asyncio.create_task(client.wait(made.id, timeout=20))
    control = Control(api.db)
    worker = await control.worker()
    claimed = await control.claim(worker, made.id)
    error = JobError(type="ValueError", message="no such mailbox")
    await control.report(worker, finished(claimed, "failed", error=error))

    ended = await waiting
    assert (ended.state, ended.final, ended.succeeded, ended.error) == ("failed", True, False, error)


async def test_refusals_are_errors_that_name_what_is_wrong(client: Client) -> None:
    with pytest.raises(NotFound, match="no job named nothing"):
        await client.trigger("nothing")
    with pytest.raises(NotFound, match="no occurrence 4711"):
        await client.occurrence(4711)
    with pytest.raises(InvalidInput) as wrong:
        await client.put_job("mail", typ="sendemail.x", trigger={"kind": "cron", "expression": "61 * * * *"})
    assert {problem.field for problem in wrong.value.problems} >= {"type", "typ", "trigger.expression"}


async def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="must start with http"):
        Client("localhost:8080")


async def test_the_example_of_its_page_runs(start_leveret: StartLeveret, tmp_path: Path) -> None:
    (tmp_path / "their_jobs.py").write_text(HANDLERS)
    (example,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    (tmp_path / "example.py").write_text(example)
    port = free_port()
    process = start_leveret("dev", "their_jobs", "--port", str(port), "--no-browser", cwd=tmp_path)

    def up() -> None:
        assert process.returncode is None, process.output()
        assert f"Dashboard: http://127.0.0.1:{port}" in process.output()

    await eventually(up, timeout=90, interval=0.1)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "example.py"],
        cwd=tmp_path,
        env={"LEVERET_URL": f"http://127.0.0.1:{port}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == ["succeeded {'sent_to': 'ann@example.com'}", "[True, True, True]"], done.stderr
