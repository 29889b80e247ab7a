"""`leveret jobs backfill`, `leveret backfills` and `leveret dead-letters`, against a server with a real Postgres."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from leveret_api.app import create_app
from leveret_api.server import serve
from leveret_api.services import Services
from leveret_core.hints import Hints
from leveret_core.messages import JobError
from leveret_core.settings import Settings
from leveret_core.store.database import Database
from support.api import Listening
from support.command_line import Done, command
from support.control import Control, finished

DOCS = Path(__file__).parents[2] / "docs"
RANGE = ("--from", "2026-02-01T00:00", "--to", "2026-02-01T04:00")


@dataclass
class System:
    """A server whose control plane the test drives."""

    url: str
    control: Control

    async def run(self, *args: str, code: int = 0) -> Done:
        done = await asyncio.to_thread(command, *args, env={"LEVERET_URL": self.url})
        assert done.code == code, done.err
        return done

    async def json(self, *args: str) -> Any:
        return (await self.run(*args, "--json")).json()

    async def fail(self, job: str, count: int, message: str = "no such user") -> list[int]:
        """Dead letters of a job."""
        made: list[int] = []
        worker = await self.control.worker()
        for _ in range(count):
            occurrence = (await self.json("jobs", "trigger", job, "--payload", '{"a": 1, "b": 2}'))["id"]
            error = JobError(type="ValueError", message=message, traceback="")
            answer = await self.control.claim(worker, occurrence)
            await self.control.report(worker, finished(answer, "failed", error=error, retry=False))
            made.append(occurrence)
        return made


@pytest.fixture
async def system(database_url: str) -> AsyncGenerator[System]:
    database = Database(database_url)
    await database.start()
    services = Services(Settings(database_url=database_url), database, Listening(), Hints(None), redis=None)
    ready: asyncio.Queue[str] = asyncio.Queue()
    serving = asyncio.create_task(serve(create_app(services), "127.0.0.1", 0, ready=ready.put_nowait))
    try:
        yield System(await asyncio.wait_for(ready.get(), 10), Control(database))
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await database.stop()


async def test_a_backfill_is_started_watched_shown_and_cancelled(system: System) -> None:
    await system.run("jobs", "create", "hourly", "--type", "report.x", "--cron", "0 * * * *")
    watching = asyncio.create_task(system.run("jobs", "backfill", "hourly", *RANGE, "--max-concurrent", "2", "--watch"))
    backfiller = system.control.backfiller(await system.control.term())
    worker = await system.control.worker()
    while not watching.done():
        await backfiller.run_once()
        for row in await system.control.db.pool.fetch("select id from occurrence where state = 'pending'"):
            await system.control.report(worker, finished(await system.control.claim(worker, row["id"])))
        await asyncio.sleep(0.05)
    done = await watching
    assert done.out == "backfill 1 of hourly: 5 fire times\n"
    assert "5/5 fire times; 5 succeeded" in done.err
    assert "backfill 1 is completed" in done.err

    second = await system.json("jobs", "backfill", "hourly", *RANGE, "--concurrency", "allow", "--payload", '{"a": 1}')
    assert (second["concurrency"], second["payload"], second["total"]) == ("allow", {"a": 1}, 5)
    listed = await system.json("backfills", "list", "--job", "hourly")
    assert [(each["id"], each["state"]) for each in listed] == [(2, "running"), (1, "completed")]
    assert "5/5" in (await system.run("backfills", "list", "--state", "completed")).out
    assert "5/5, 0 had run before" in (await system.run("backfills", "show", "1")).out
    assert (await system.json("backfills", "show", "1"))["counts"] == {"succeeded": 5}
    assert "backfill 2 is cancelled" in (await system.run("backfills", "cancel", "2", "--running", "--reason", "enough")).out
    # Watching what did not come to a good end tells so by its exit code.
    assert "enough" in (await system.run("backfills", "show", "2", "--watch", code=1)).out
    assert "no backfill 9" in (await system.run("backfills", "show", "9", code=1)).err


async def test_what_cannot_be_backfilled_is_said_by_field(system: System) -> None:
    await system.run("jobs", "create", "hand", "--type", "report.x")
    await system.run("jobs", "create", "hourly", "--type", "report.x", "--cron", "0 * * * *")
    assert "manual trigger" in (await system.run("jobs", "backfill", "hand", *RANGE, code=2)).err
    done = await system.run("jobs", "backfill", "hourly", "--from", "soon", "--to", "2026-02-01", code=2)
    assert done.err.startswith("leveret: start_at: 'soon' is not a time")
    assert "--payload: is not JSON" in (await system.run("jobs", "backfill", "hourly", *RANGE, "--payload", "x", code=2)).err


async def test_dead_letters_are_listed_requeued_and_discarded(system: System) -> None:
    for name in ("one", "two"):
        await system.run("jobs", "create", name, "--type", "report.x", "--concurrency", "allow")
    first = await system.fail("one", 3, message="db01 refused\nand more")
    second = await system.fail("two", 2)
    shown = (await system.run("dead-letters", "list", "--job", "one")).out
    assert "ValueError: db01 refused" in shown
    assert "and more" not in shown
    assert [each["id"] for each in await system.json("dead-letters", "list", "--search", "such user")] == second[::-1]

    done = await system.run("dead-letters", "requeue", "--job", "one", "--limit", "2", "--dry-run")
    assert done.out.split() == [str(id_) for id_ in first[:2]]
    assert done.err == "2 would be requeued\n"
    assert "2 requeued, 1 remain" in (await system.run("dead-letters", "requeue", "--job", "one", "--limit", "2")).out
    done = await system.run("dead-letters", "requeue", str(first[2]), "--payload-patch", '{"b": null, "c": 3}')
    assert done.out == "1 requeued, 0 remain\n"
    payload = await system.control.db.pool.fetchval("select payload::text from occurrence where requeue_of = $1", first[2])
    assert payload == '{"a": 1, "c": 3}'

    told = await system.json("dead-letters", "discard", "--all", "--reason", "known")
    assert (told["discarded"], told["remaining"], told["ids"]) == (2, 0, second)
    assert "no dead letters" in (await system.run("dead-letters", "list")).err


async def test_all_are_dealt_with_in_as_many_requests_as_it_takes(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leveret.cli.commands.dead_letters.AT_ONCE", 2)
    await system.run("jobs", "create", "one", "--type", "report.x", "--concurrency", "allow")
    await system.fail("one", 5)
    assert (await system.run("dead-letters", "requeue", "--all")).out == "5 requeued, 0 remain\n"


async def test_letters_that_stay_are_told_with_the_reason(system: System) -> None:
    await system.run("jobs", "create", "one", "--type", "report.x")
    letters = await system.fail("one", 3)
    done = await system.run("dead-letters", "requeue", "--type", "report.x")
    assert done.out == "1 requeued, 2 remain\n"
    assert f"occurrence {letters[1]} stays: its job takes no more just now" in done.err


@pytest.mark.parametrize("args", [(), ("--all", "--job", "one"), ("1", "--all"), ("1", "--search", "x")])
async def test_which_letters_has_to_be_said_in_one_way(system: System, args: tuple[str, ...]) -> None:
    for verb in ("requeue", "discard"):
        assert "say which" in (await system.run("dead-letters", verb, *args, code=2)).err


@pytest.mark.parametrize("page", ["backfill.md", "dead-letters.md"])
async def test_every_example_of_the_page_runs_in_order(system: System, page: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl (apt-get install curl)")
    await system.run("jobs", "create", "digest", "--type", "sendemail.digest", "--concurrency", "allow")
    await system.fail("digest", 3, "ConnectionRefused by db01 refused")
    told = ""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for example in re.findall(r"```bash\n(.*?)```", (DOCS / page).read_text(), re.DOTALL):
        shell = await asyncio.create_subprocess_exec(
            "bash",
            "-euo",
            "pipefail",
            "-c",
            example,
            env={"PATH": path, "LEVERET_URL": system.url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await asyncio.wait_for(shell.communicate(), 60)
        assert shell.returncode == 0, f"{example}\n{error.decode()}"
        told += out.decode()
    assert "urn:leveret:" not in told, told
    expected = {
        "backfill.md": (
            "backfill 1 of daily-report: 13 fire times",
            '"total":13',
            '"max_concurrent":4',
            "backfill 1 is cancelled",
        ),
        "dead-letters.md": ("ConnectionRefused by db01 refused", "3 requeued, 0 remain", '"requeued":0', "0 discarded"),
    }[page]
    for words in expected:
        assert words in told
