"""The command line against a server in its own process, on real services."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from support.command_line import Done, command, run_leveret
from support.eventually import eventually
from support.given import Located
from support.http import http_client
from support.ports import free_port
from support.processes import LeveretProcess

StartLeveret = Callable[..., LeveretProcess]

HANDLERS = """
import time
from leveret import JobContext, job

@job("greet.*")
def greet(ctx: JobContext, name: str = "you") -> str:
    ctx.log.info("hello %s", name)
    return f"hello {name}"

@job("wait.*")
def wait(ctx: JobContext, seconds: float = 60) -> None:
    for tick in range(int(seconds * 20)):
        if tick % 20 == 0:
            ctx.log.info("tick %d", tick // 20)
        if ctx.cancelled:
            return
        time.sleep(0.05)
"""


class System:
    """`leveret all` with two handlers, and the command line that talks to it."""

    def __init__(self, process: LeveretProcess, url: str) -> None:
        self.process = process
        self.url = url

    async def run(self, *args: str, code: int = 0, stdin: str = "") -> Done:
        env = {"LEVERET_URL": self.url}
        # As a process only where it has to be one, which costs half a second each.
        done = await (
            run_leveret(*args, env=env, stdin=stdin) if stdin else asyncio.to_thread(partial(command, *args, env=env))
        )
        assert done.code == code, done.err
        return done

    async def json(self, *args: str) -> Any:
        return (await self.run(*args, "--json")).json()

    async def ended(self, occurrence: int) -> dict[str, Any]:
        async def final() -> dict[str, Any]:
            async with http_client() as client:
                found: dict[str, Any] = (await client.get(f"{self.url}/api/v1/occurrences/{occurrence}")).json()
            assert found["finished_at"], found["state"]
            return found

        return await eventually(final, timeout=20)


async def _started(start: StartLeveret, folder: Path, database_url: str, redis_url: str, amqp_url: str) -> System:
    (folder / "their_jobs.py").write_text(HANDLERS)
    port = free_port()
    env = {"LEVERET_DATABASE_URL": database_url, "LEVERET_REDIS_URL": redis_url, "LEVERET_AMQP_URL": amqp_url}
    process = start("all", "their_jobs", "--port", str(port), env=env, cwd=folder)

    async def serving() -> None:
        assert process.returncode is None, process.output()
        assert "serves greet.*, wait.*" in process.output()

    await eventually(serving, timeout=30, interval=0.1)
    return System(process, f"http://127.0.0.1:{port}")


@pytest.fixture(scope="module")
async def system(
    postgres_server: Located, redis_server: Located, rabbit_server: Located, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    """One for all tests but those that end it: each uses jobs of names of its own."""
    name = f"leveret_cli_{secrets.token_hex(4)}"
    await _execute(postgres_server.url, f"create database {name}")
    processes: list[LeveretProcess] = []

    def start(*args: str, **more: Any) -> LeveretProcess:
        processes.append(LeveretProcess(*args, **more))
        return processes[-1]

    url = urlunsplit(urlsplit(postgres_server.url)._replace(path=f"/{name}"))
    # Another lock than the system that the last test starts beside this one.
    redis_url = urlunsplit(urlsplit(redis_server.url)._replace(path="/1"))
    try:
        yield await _started(start, tmp_path_factory.mktemp("cli"), url, redis_url, rabbit_server.url)
    finally:
        for process in processes:
            process.close()
        await _execute(postgres_server.url, f"drop database {name} with (force)")


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def test_a_job_is_made_run_followed_and_deleted_from_the_command_line(system: System) -> None:
    job = await system.json("jobs", "create", "hello", "--type", "greet.loud", "--payload", '{"name": "Ann"}', "--tag", "a")
    assert (job["name"], job["trigger"], job["tags"]) == ("hello", {"kind": "manual"}, ["a"])

    occurrence = await system.json("jobs", "trigger", "hello", "--key", "once")
    again = await system.json("jobs", "trigger", "hello", "--key", "once")
    assert again["id"] == occurrence["id"]
    assert (await system.ended(occurrence["id"]))["result"] == "hello Ann"

    (listed,) = await system.json("occurrences", "list", "--job", "hello", "--state", "succeeded")
    assert listed["id"] == occurrence["id"]
    (record,) = (await system.run("occurrences", "logs", str(occurrence["id"]))).out.splitlines()
    assert record.endswith("hello Ann")
    shown = await system.run("occurrences", "show", str(occurrence["id"]))
    assert '"hello Ann"' in shown.out
    (worker,) = await system.json("workers", "list")
    assert [handler["pattern"] for handler in worker["handlers"]] == ["greet.*", "wait.*"]

    await system.run("jobs", "delete", "hello")
    assert "no job named hello" in (await system.run("jobs", "show", "hello", code=1)).err


async def test_schedules_are_made_shown_paused_and_resumed(system: System) -> None:
    await system.run("jobs", "create", "tick", "--type", "greet.x", "--every", "3600", "--max-attempts", "7")
    await system.run("jobs", "create", "dawn", "--type", "greet.x", "--cron", "0 6 * * *", "--tz", "Europe/Berlin")
    await system.run("jobs", "create", "party", "--type", "greet.x", "--at", "2099-12-31T23:00", "--tz", "Europe/Berlin")

    assert (await system.json("jobs", "show", "tick"))["retry"]["max_attempts"] == 7
    shown = await system.json("jobs", "show", "dawn")
    assert len(shown["next"]) == 5
    assert "T06:00:00" in shown["next"][0]["local"]
    assert (await system.json("jobs", "show", "party"))["next_fire_at"] == "2099-12-31T22:00:00Z"

    assert (await system.json("jobs", "pause", "tick", "--reason", "too loud"))["pause_reason"] == "too loud"
    assert [job["name"] for job in await system.json("jobs", "list", "--paused")] == ["tick"]
    assert (await system.json("jobs", "resume", "tick"))["paused"] is False
    assert "every hour" in (await system.run("jobs", "list", "--search", "tick")).out


async def test_a_run_is_planned_for_later_by_delay_or_by_time_and_cancelled(system: System) -> None:
    await system.run("jobs", "create", "later", "--type", "greet.later")
    made = await system.json("jobs", "trigger", "later", "--delay", "1h30m", "--priority", "9")
    assert (made["state"], made["priority"]) == ("scheduled", 9)
    said = (await system.run("jobs", "trigger", "later", "--at", "2030-01-01T08:00+02:00")).out
    assert "is scheduled for 2030-01-01 06:00:00Z" in said
    listed = await system.json("occurrences", "list", "--job", "later", "--state", "scheduled")
    assert len(listed) == 2
    for each in listed:
        await system.run("occurrences", "cancel", str(each["id"]))
    assert "--delay: must be a duration" in (await system.run("jobs", "trigger", "later", "--delay", "soon", code=2)).err
    both = await system.run("jobs", "trigger", "later", "--delay", "9", "--at", "2030-01-01", code=2)
    assert "give --delay or --at, not both" in both.err


async def test_a_short_delay_runs_without_anybody_looking(system: System) -> None:
    await system.run("jobs", "create", "soon", "--type", "greet.soon")
    made = await system.json("jobs", "trigger", "soon", "--delay", "0.3")
    assert made["state"] == "scheduled"
    ended = await system.ended(made["id"])
    assert ended["result"] == "hello you"
    assert ended["started_at"] >= ended["scheduled_for"]


async def test_limits_are_set_listed_and_lifted(system: System) -> None:
    assert "at most 100 start within 1 min 0 s" in (await system.run("limits", "set", "greet.cli", "100/minute")).out
    made = await system.json("limits", "set", "greet.cli", "5/10m", "--by", "customer.id")
    assert made == {"type": "greet.cli", "key": "customer.id", "count": 5, "per": 600}
    assert "customer.id" in (await system.run("limits", "list")).out
    for more in ((), ("--by-key",)):
        await system.run("limits", "lift", "greet.cli", *more)
        assert "has no rate limit" in (await system.run("limits", "lift", "greet.cli", *more, code=1)).err
    for rate in ("100", "x/minute", "5/fortnight"):
        assert "RATE: must be like 100/minute" in (await system.run("limits", "set", "greet.cli", rate, code=2)).err


async def test_following_a_log_ends_with_the_occurrence_and_cancel_ends_that(system: System) -> None:
    await system.run("jobs", "create", "long", "--type", "wait.x")
    occurrence = str((await system.json("jobs", "trigger", "long"))["id"])

    async def running() -> None:
        assert await system.json("occurrences", "list", "--job", "long", "--state", "running")

    await eventually(running, timeout=20)
    cancelled = await system.run("occurrences", "cancel", occurrence, "--reason", "enough")
    assert f"occurrence {occurrence} is cancel" in cancelled.out

    lines = (await system.run("occurrences", "logs", occurrence, "--follow", "--json")).out.splitlines()
    assert json.loads(lines[0])["message"] == "tick 0"
    assert (await system.ended(int(occurrence)))["state"] == "cancelled"
    assert "too late" in (await system.run("occurrences", "cancel", occurrence, code=1)).err


async def test_what_the_server_refuses_is_said_by_field(system: System) -> None:
    done = await system.run("jobs", "create", "bad", "--type", "greet.x", "--every", "0.001", code=2)

    assert done.err.startswith("leveret: trigger.every: ")
    assert "already" in (await _twice(system)).err


async def _twice(system: System) -> Done:
    await system.run("jobs", "create", "one", "--type", "greet.x")
    return await system.run("jobs", "create", "one", "--type", "greet.x", code=1)


async def test_a_crontab_imported_again_changes_what_has_changed_in_it(system: System) -> None:
    crontab = "# Copies the database\n15 3 * * 1-5 /opt/backup.sh --to s3\n@hourly echo tick\n"

    async def imported(text: str, *args: str, code: int = 0) -> tuple[list[str], Done]:
        more = ("--tz", "Europe/Berlin", "--source", "db1", "--json", *args)
        done = await system.run("jobs", "import", "crontab", "-", *more, stdin=text, code=code)
        return [each["result"] for each in done.json()], done

    results, first = await imported(crontab)
    assert results == ["created", "created"]
    assert (await imported(crontab))[0] == ["unchanged", "unchanged"]
    moved = crontab.replace("15 3", "45 4")
    assert (await imported(moved, "--dry-run"))[0] == ["updated", "unchanged"]
    assert (await imported(moved))[0] == ["updated", "unchanged"]

    job = await system.json("jobs", "show", first.json()[0]["name"])
    assert job["description"] == "Copies the database"
    assert job["trigger"]["expression"] == "45 4 * * 1-5"

    shorter = moved.rpartition("@hourly")[0]
    results, gone = await imported(shorter, code=3)
    assert results == ["unchanged", "gone"]
    assert "the job runs on (--prune deletes it)" in gone.err
    assert (await imported(shorter + "61 * * * * x\n", "--prune", code=1))[0] == ["unchanged", "gone"], "nothing is sure"
    assert (await imported(shorter, "--prune"))[0] == ["unchanged", "deleted"]


async def test_applying_a_file_reports_a_refused_job_and_makes_the_others(system: System, tmp_path: Path) -> None:
    good = {"name": "good", "type": "greet.x", "trigger": {"kind": "manual"}}
    file = tmp_path / "jobs.json"
    bad = {**good, "name": "bad", "trigger": {"kind": "cron", "expression": "61 * * * *"}}
    unspeakable = [{**good, "name": "nan", "payload": {"x": float("nan")}}, {**good, "name": "half\ud800"}]
    file.write_text(json.dumps([bad, *unspeakable, good]))

    done = await system.run("jobs", "apply", str(file), "--json", code=1)

    assert [each["result"] for each in done.json()] == ["refused", "refused", "refused", "created"]
    assert "bad: trigger.expression: " in done.err
    assert "nan: it cannot be sent as JSON: " in done.err


async def test_sigterm_drains_resigns_and_leaves_with_0(
    start_leveret: StartLeveret, empty_database_url: str, redis_url: str, amqp_url: str, tmp_path: Path
) -> None:
    system = await _started(start_leveret, tmp_path, empty_database_url, redis_url, amqp_url)
    await system.run("jobs", "create", "short", "--type", "wait.x", "--payload", '{"seconds": 2}')
    await system.run("jobs", "trigger", "short")

    async def running() -> None:
        assert await system.json("occurrences", "list", "--state", "running")

    await eventually(running, timeout=20)
    system.process.terminate()

    assert await _waited(system.process) == 0
    output = system.process.output()
    assert "draining: 1 running" in output
    assert output.index("said goodbye") < output.index("gave up epoch"), "the worker first, then the dispatcher"
    assert "Traceback" not in output


async def _waited(process: LeveretProcess) -> int:
    return await asyncio.to_thread(process.wait, 30)
