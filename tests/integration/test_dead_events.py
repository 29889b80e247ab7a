"""What workers sent and nobody could apply, seen over REST, in metrics and by the console, and pruned with the rest."""

from __future__ import annotations

import asyncio
import base64
import re
import uuid
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from leveret_core.messages import Unreadable
from leveret_core.store.commands.occurrences import trigger_job
from leveret_dispatcher.upkeep import pruner
from leveret_dispatcher.upkeep.pruner import Pruner
from support.api import Api, listening, running_api
from support.command_line import Done, command
from support.control import Control

NO_SERVERS = {"LEVERET_REDIS_URL": "redis://127.0.0.1:9/0", "LEVERET_AMQP_URL": "amqp://guest:guest@127.0.0.1:9/"}


@pytest.fixture
async def api(database_url: str) -> AsyncGenerator[Api]:
    async with running_api(database_url) as running:
        yield running


@pytest.fixture
def control(api: Api) -> Control:
    made = Control(api.db)
    api.services.quarantined = lambda: made.ingestor.quarantine.counts
    return made


async def console(url: str, *args: str, code: int = 0) -> Done:
    done = await asyncio.to_thread(command, *args, env={"LEVERET_URL": url})
    assert done.code == code, done.err
    return done


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
    async with listening(api.app) as url:
        listed = await console(url, "dead-events", "list")
        assert "unreadable" in listed.out
        (row,) = await api.db.pool.fetch("select id from dead_event")
        shown = await console(url, "dead-events", "show", str(row["id"]))
        assert '"note":"a"' in shown.out
        await console(url, "dead-events", "discard", str(row["id"]))
    assert await api.db.pool.fetchval("select count(*) from dead_event") == 0


async def test_the_console_shows_a_worker_with_what_it_got_wrong(api: Api, control: Control) -> None:
    worker, refused = await control.worker(), str(uuid.uuid4())
    async with listening(api.app) as url:
        clean = await console(url, "workers", "show", worker)
        assert clean.out.splitlines()[:2] == [f"w ({worker}) is alive, 0/10 running", "on h:1, test; serves #"]
        assert "nothing it sent was refused" in clean.out + clean.err
        await control.ingest(nonsense(worker, 7, "a", "b"), nonsense(str(uuid.uuid4()), 8, "of another"))
        control.desk.refused(Unreadable(kind="heartbeat", worker=worker, reason="Expected `int` >= 0 - at `$.running`"))
        control.desk.refused(Unreadable(kind="hello", worker=refused, name="new", reason="Expected `int` >= 1 - at `$.pid`"))
        await control.desk.refusals.keep()
        shown = await console(url, "workers", "show", worker[:8])
        lines = [line for line in shown.out.splitlines() if re.search(r" \d+ +(event|heartbeat) ", line)]
        assert sorted(line.split()[-1] for line in lines) == ["`$.kind`", "`$.running`"]
        told = (await console(url, "workers", "show", worker.upper(), "--json")).json()
        assert {(each["kind"], each["count"]) for each in told["refusals"]} == {("event", 2), ("heartbeat", 1)}
        # It is in no list, but by its whole id its author learns why.
        unheard = await console(url, "workers", "show", refused, code=1)
        assert "its hello was refused: Expected `int` >= 1" in unheard.err
        assert "there is no worker" in (await console(url, "workers", "show", "zz", code=1)).err


async def test_the_doctor_tells_how_many_came_in_the_last_day(api: Api, control: Control) -> None:
    async def told() -> dict[str, Any]:
        done = await asyncio.to_thread(command, "doctor", "--json", env={"LEVERET_DATABASE_URL": api.db.url, **NO_SERVERS})
        line: dict[str, Any]
        (line,) = [check for check in done.json()["checks"] if (check["service"], check["name"]) == ("postgres", "events")]
        return line

    assert (await told())["status"] == "ok"
    await control.ingest(nonsense(await control.worker(), 7, "a", "b", "long ago"), b"no batch")
    await api.db.pool.execute(
        "update dead_event set at = now() - interval '25 hours' where id = (select min(id) from dead_event)"
    )
    warned = await told()
    assert (warned["status"], warned["detail"]) == ("warn", "workers sent 3 in the last day that could not be applied")
    assert "leveret dead-events list" in warned["advice"]
    await api.db.pool.execute("update dead_event set at = now() - interval '25 hours'")
    assert (await told())["status"] == "ok"


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


async def test_what_is_past_its_time_is_pruned_in_batches_until_none_is_left(
    api: Api, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruner, "BATCH", 2)
    await api.db.pool.execute(
        "insert into audit (actor, action, at) select 'then', 'pause', now() - interval '366 days' from generate_series(1, 5)"
    )
    await Pruner(await control.term(), 30, 365).run_once()
    assert await api.db.pool.fetchval("select count(*) from audit where actor = 'then'") == 0
