"""What workers sent and nobody could apply, seen over REST, in metrics and by the console, and pruned with the rest."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import AsyncGenerator

import pytest

from leveret_api.app import create_app
from leveret_api.server import serve
from leveret_api.services import Services
from leveret_core.hints import Hints
from leveret_core.settings import Settings
from leveret_core.store.commands import trigger_job
from leveret_dispatcher.pruner import Pruner
from support.api import Api, Listening, running_api
from support.command_line import command
from support.control import Control


@pytest.fixture
async def api(database_url: str) -> AsyncGenerator[Api]:
    async with running_api(database_url) as running:
        yield running


@pytest.fixture
def control(api: Api) -> Control:
    made = Control(api.db)
    api.services.set_aside = lambda: made.ingestor.set_aside.counts
    return made


def nonsense(worker: str, occurrence: int, *notes: str) -> bytes:
    events = ",".join(f'{{"kind":"finish","occurrence":{occurrence},"attempt":1,"note":"{note}"}}' for note in notes)
    return f'{{"worker":"{worker}","events":[{events}]}}'.encode()


async def test_they_are_listed_newest_first_of_a_worker_or_a_run_and_discarded(api: Api, control: Control) -> None:
    worker, other = await control.worker(), await control.worker()
    await control.ingest(nonsense(worker, 7, "a", "b", "c"), nonsense(other, 8, "d"), b"\xff no batch")
    everything = (await api.ok("GET", "/dead-events"))["items"]
    assert [each["id"] for each in everything] == sorted((each["id"] for each in everything), reverse=True)
    assert sorted(each["kind"] for each in everything) == ["batch", *["unreadable"] * 4]
    first = await api.ok("GET", f"/dead-events?worker={worker}&limit=2")
    rest = await api.ok("GET", f"/dead-events?worker={worker}&limit=2&cursor={first['next_cursor']}")
    found = [*first["items"], *rest["items"]]
    assert [(each["worker_name"], each["occurrence_id"], each["attempt"]) for each in found] == [("w", 7, 1)] * 3
    assert rest["next_cursor"] is None
    (of_run,) = (await api.ok("GET", "/dead-events?occurrence=8"))["items"]
    read = await api.ok("GET", f"/dead-events/{of_run['id']}")
    assert '"note":"d"' in read["text"]
    assert base64.b64decode(read["base64"]).decode() == read["text"]
    (whole,) = [each for each in everything if each["kind"] == "batch"]
    bytes_of = await api.ok("GET", f"/dead-events/{whole['id']}")
    assert (bytes_of["text"], base64.b64decode(bytes_of["base64"])) == (None, b"\xff no batch")
    await api.ok("DELETE", f"/dead-events/{of_run['id']}", 204)
    await api.refused("GET", f"/dead-events/{of_run['id']}", 404)
    await api.refused("DELETE", f"/dead-events/{of_run['id']}", 404)
    await api.refused("GET", "/dead-events?worker=me", 422)


async def test_metrics_tell_how_many_there_are_and_of_what_kind(api: Api, control: Control) -> None:
    worker = await control.worker()
    await control.ingest(nonsense(worker, 7, "a", "b"), b"no batch")
    text = (await api.http.get("/metrics")).text
    assert "leveret_dead_events 3.0" in text
    assert 'leveret_dead_events_total{reason_kind="unreadable"} 2.0' in text
    assert 'leveret_dead_events_total{reason_kind="batch"} 1.0' in text


async def test_the_console_lists_shows_and_discards_them(api: Api, control: Control) -> None:
    await control.ingest(nonsense(await control.worker(), 7, "a"))
    ready: asyncio.Queue[str] = asyncio.Queue()
    services = Services(Settings(database_url=api.db.url), api.db, Listening(), Hints(None), redis=None)
    serving = asyncio.create_task(serve(create_app(services), "127.0.0.1", 0, ready=ready.put_nowait))
    env = {"LEVERET_URL": await asyncio.wait_for(ready.get(), 10)}
    try:
        listed = await asyncio.to_thread(command, "dead-events", "list", env=env)
        assert "unreadable" in listed.out
        (row,) = await api.db.pool.fetch("select id from dead_event")
        shown = await asyncio.to_thread(command, "dead-events", "show", str(row["id"]), env=env)
        assert '"note":"a"' in shown.out
        done = await asyncio.to_thread(command, "dead-events", "discard", str(row["id"]), env=env)
        assert done.code == 0, done.err
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    assert await api.db.pool.fetchval("select count(*) from dead_event") == 0


async def test_dead_events_and_the_audit_past_their_time_are_pruned(api: Api, control: Control) -> None:
    job = await control.job()
    await trigger_job(control.db, job, actor="then")
    await control.ingest(nonsense(str(uuid.uuid4()), 7, "then"))
    await api.db.pool.execute("update dead_event set at = now() - interval '31 days'")
    await api.db.pool.execute("insert into audit (actor, action, at) values ('then', 'pause', now() - interval '366 days')")
    await api.db.pool.execute("insert into audit (actor, action, at) values ('since', 'pause', now() - interval '364 days')")
    await api.db.pool.execute("update audit set at = now() - interval '366 days' where actor = 'then'")
    await control.ingest(nonsense(str(uuid.uuid4()), 8, "since"))
    await Pruner(await control.term(), 30, 365).run_once()
    assert [row["occurrence_id"] for row in await api.db.pool.fetch("select occurrence_id from dead_event")] == [8]
    assert {row["actor"] for row in await api.db.pool.fetch("select actor from audit")} == {"since"}
