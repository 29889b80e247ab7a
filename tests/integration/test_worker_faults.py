"""Workers that die, and queues that are lost, in a whole system: what was due runs, and what has ended is not run again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import aio_pika
import pytest

from chaos.cluster import Cluster
from leveret_core.patterns import queue_name
from support.eventually import eventually
from support.liveness import assert_everything_owned
from support.processes import LeveretProcess, StartLeveret
from support.proxy import Proxy

HANDLERS = """
import asyncio, os, signal
from pathlib import Path
from leveret import JobContext, job

def note(what, ctx):
    with open("witness", "a") as file:
        print(what, ctx.occurrence, ctx.attempt, file=file)

@job("fault.hold")
async def hold(ctx: JobContext):
    note("begun", ctx)
    while not Path("let-go").exists():
        await asyncio.sleep(0.02)
    note("ended", ctx)
    return "kept"

@job("fault.quick", concurrency=5)
async def quick(ctx: JobContext):
    note("quick", ctx)

@job("fault.killer")
async def killer(ctx: JobContext):
    note("killed", ctx)
    os.kill(os.getpid(), signal.SIGKILL)
"""


class System(Cluster):
    """A cluster whose workers run these handlers."""

    def __init__(self, start: StartLeveret, database_url: str, redis_url: str, amqp_url: str, folder: Path) -> None:
        super().__init__(start, database_url, redis_url, amqp_url, folder)
        self.folder = folder
        (folder / "fault_jobs.py").write_text(HANDLERS)
        self.env |= {"LEVERET_RING_TIMEOUT": "1", "LEVERET_SPOOL_DIR": str(folder / "spool")}

    async def serve(self, *args: str, **env: str) -> LeveretProcess:
        """A worker process, when the servers know it."""
        before = {worker["id"] for worker in await self.workers()}
        process = self._start("worker", "fault_jobs", *args, env=self.env | env, cwd=self.folder)

        async def known() -> None:
            assert process.returncode is None, process.output()
            assert {worker["id"] for worker in await self.workers()} - before

        await eventually(known, timeout=30, interval=0.1)
        return process

    async def trigger(self, what: str) -> int:
        """One occurrence of a job of type `fault.WHAT`, made if need be."""
        if not any(job["name"] == what for job in (await self.get("/jobs"))["items"]):
            await self.job(what, type=f"fault.{what}", concurrency="allow")
        return int((await self.post(f"/jobs/{what}/trigger"))["id"])

    async def reach(self, occurrence: int, state: str, timeout: float = 30) -> dict[str, object]:
        """The occurrence, once it is in `state`."""

        async def now() -> dict[str, object]:
            found: dict[str, object] = await self.get(f"/occurrences/{occurrence}")
            assert found["state"] == state
            return found

        return await eventually(now, timeout=timeout, interval=0.1)

    def noted(self, what: str) -> list[tuple[int, int]]:
        """Occurrence and attempt of every handler that wrote `what`."""
        witness = self.folder / "witness"
        lines = [line.split() for line in witness.read_text().splitlines()] if witness.exists() else []
        return [(int(occurrence), int(attempt)) for said, occurrence, attempt in lines if said == what]


@pytest.fixture
async def system(
    start_leveret: StartLeveret, database_url: str, redis_url: str, amqp_url: str, tmp_path: Path
) -> AsyncGenerator[System]:
    made = System(start_leveret, database_url, redis_url, amqp_url, tmp_path)
    yield made
    await assert_everything_owned(database_url)


async def test_dispatch_messages_that_are_purged_or_deleted_with_their_queue_are_published_again(
    system: System, amqp_url: str
) -> None:
    await system.api()
    worker = await system.serve("--only", "fault.quick")
    worker.terminate()
    assert await asyncio.to_thread(worker.wait, 20) == 0
    queue = queue_name("fault.quick")
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()

        async def waiting() -> int:
            return (await channel.declare_queue(queue, passive=True)).declaration_result.message_count or 0

        purged = [await system.trigger("quick") for _ in range(3)]
        await eventually(waiting, interval=0.1)
        await (await channel.get_queue(queue)).purge()
        await system.serve("--only", "fault.quick")
        for occurrence in purged:
            await system.reach(occurrence, "succeeded")
        # Deleted under the worker's feet, with whatever is in it.
        await channel.queue_delete(queue)
        deleted = [await system.trigger("quick") for _ in range(3)]
        for occurrence in deleted:
            await system.reach(occurrence, "succeeded")
    assert sorted(system.noted("quick")) == [(occurrence, 1) for occurrence in sorted(purged + deleted)]


async def test_an_end_that_a_killed_worker_left_on_disk_is_told_by_the_next_one_and_nothing_runs_again(
    system: System, amqp_url: str
) -> None:
    await system.api(LEVERET_LEASE="12")
    async with Proxy(amqp_url) as proxy:
        env = {"LEVERET_AMQP_URL": proxy.url}
        worker = await system.serve("--only", "fault.hold", **env)
        occurrence = await system.trigger("hold")
        await eventually(lambda: system.noted("begun") == [(occurrence, 1)], timeout=20)
        proxy.refuse()
        proxy.reset()
        (system.folder / "let-go").touch()
        await eventually(
            lambda: any(file.stat().st_size > 100 for file in (system.folder / "spool").rglob("*.spool")), timeout=20
        )
        worker.kill()
        await proxy.heal()
        await system.serve("--only", "fault.hold", **env)
        ended = await system.reach(occurrence, "succeeded")
    assert (ended["result"], ended["attempt"], ended["lost_count"]) == ("kept", 1, 0)
    assert system.noted("ended") == [(occurrence, 1)]
    assert list((system.folder / "spool").rglob("*.spool")) == []


async def test_a_worker_killed_before_its_end_was_told_loses_the_attempt_and_no_more(system: System, amqp_url: str) -> None:
    await system.api(LEVERET_LEASE="2", LEVERET_HEARTBEAT="0.5")
    async with Proxy(amqp_url) as proxy:
        env = {"LEVERET_AMQP_URL": proxy.url, "LEVERET_SPOOL_SIZE": "0"}
        worker = await system.serve("--only", "fault.hold", **env)
        occurrence = await system.trigger("hold")
        await eventually(lambda: system.noted("begun") == [(occurrence, 1)], timeout=20)
        proxy.refuse()
        proxy.reset()
        (system.folder / "let-go").touch()
        await eventually(lambda: system.noted("ended") == [(occurrence, 1)])
        worker.kill()
        await system.serve("--only", "fault.hold")
        ended = await system.reach(occurrence, "succeeded")
    assert (ended["attempt"], ended["lost_count"]) == (2, 1)
    states = {item["state"] for item in (await system.get("/workers"))["items"]}
    assert states == {"lost", "alive"}


async def test_a_job_that_kills_its_workers_fails_while_a_supervisor_keeps_others_served(system: System) -> None:
    await system.api(LEVERET_LEASE="2", LEVERET_HEARTBEAT="0.5")
    await system.serve("--processes", "2")
    retry = {"max_attempts": 5, "delay": 0.1, "max_lost": 2}
    await system.job("killer", type="fault.killer", retry=retry)
    killer = await system.trigger("killer")
    ended = await system.reach(killer, "failed", timeout=40)
    others = [await system.trigger("quick") for _ in range(5)]
    for occurrence in others:
        await system.reach(occurrence, "succeeded", timeout=20)
    assert ended["lost_count"] == 2
    assert system.noted("killed") == [(killer, 1), (killer, 2)]


RECONCILED = {"LEVERET_UNNAMED_GRACE": "1", "LEVERET_HEARTBEAT": "0.5", "LEVERET_LEASE": "60"}
"""Runs that their worker does not name are lost soon, and no lease ends meanwhile."""


async def test_runs_whose_ends_were_purged_from_the_queue_are_run_again(system: System, amqp_url: str) -> None:
    api = await system.api(**RECONCILED)
    await system.serve("--only", "fault.hold")
    await system.job("hold", type="fault.hold", concurrency="skip")
    occurrence = await system.trigger("hold")
    await eventually(lambda: system.noted("begun") == [(occurrence, 1)], timeout=20)
    api.process.kill()
    system.replicas.remove(api)
    (system.folder / "let-go").touch()
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()

        async def waiting() -> int:
            return (await channel.declare_queue("leveret.events", passive=True)).declaration_result.message_count or 0

        await eventually(waiting, timeout=20, interval=0.1)
        await (await channel.get_queue("leveret.events")).purge()
    await system.api(**RECONCILED)
    ended = await system.reach(occurrence, "succeeded", timeout=40)
    assert (ended["attempt"], ended["lost_count"]) == (2, 1)
    await system.reach(await system.trigger("hold"), "succeeded")
