"""`leveret worker --processes`: several processes under a supervisor, on a real RabbitMQ."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from leveret_core.broker.rabbitmq_server import RabbitServerBroker
from leveret_core.messages import Goodbye, Hello
from support.eventually import eventually
from support.processes import LeveretProcess, StartLeveret
from support.scripted import Servers, consumers_of

HANDLERS = """
import os, time
from leveret import JobContext, job

@job("quick")
async def quick(): ...

@job("wait")
def wait(ctx: JobContext, seconds: float = 60, until: str = "no such file"):
    ctx.log.info("waiting in %d", os.getpid())
    end = time.monotonic() + seconds
    while not ctx.cancelled and time.monotonic() < end and not os.path.exists(until):
        time.sleep(0.02)

@job("block")
async def block():
    time.sleep(60)
"""


@pytest.fixture
async def servers(amqp_url: str) -> AsyncIterator[Servers]:
    broker = RabbitServerBroker(amqp_url)
    servers = Servers(broker, lease=30, heartbeat=1)
    await servers.start()
    yield servers
    await broker.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app_jobs.py").write_text(HANDLERS)
    (tmp_path / "app_broken.py").write_text("import no_such_library\n")
    return tmp_path


@pytest.fixture
def env(amqp_url: str, tmp_path: Path) -> dict[str, str]:
    return {"LEVERET_AMQP_URL": amqp_url, "LEVERET_SPOOL_DIR": str(tmp_path / "spool")}


async def ended(process: LeveretProcess) -> int:
    return await asyncio.to_thread(process.wait, 30)


def workers(servers: Servers) -> dict[str, int]:
    """Name and process id of each worker, as the last hello told it."""
    return {hello.name: hello.pid for hello in servers.of(Hello)}


async def serving(servers: Servers, count: int) -> dict[str, int]:
    await eventually(lambda: len(servers.of(Hello)) >= count, timeout=30)
    return workers(servers)


async def test_each_process_is_a_worker_with_a_name_of_its_own_and_sigterm_drains_them_all(
    servers: Servers, start_leveret: StartLeveret, folder: Path, env: dict[str, str]
) -> None:
    process = start_leveret("worker", "app_jobs", "--processes", "2", "--name", "mail", "--only", "wait", env=env, cwd=folder)
    pids = await serving(servers, 2)
    assert sorted(pids) == ["mail-1", "mail-2"]
    assert process.pid not in pids.values()
    assert {info.pattern for hello in servers.of(Hello) for info in hello.handlers} == {"wait"}
    for _ in range(4):
        await servers.publish_for("wait", {"seconds": 1.5})
    await eventually(lambda: len(servers.logs) >= 2, timeout=20)
    process.terminate()
    assert await ended(process) == 0
    assert set(servers.outcomes()) == {"succeeded"}
    assert len(servers.of(Goodbye)) == 2
    assert not any(psutil.pid_exists(pid) for pid in pids.values())


async def test_a_second_signal_ends_them_all_at_once(
    servers: Servers, start_leveret: StartLeveret, folder: Path, env: dict[str, str]
) -> None:
    process = start_leveret("worker", "app_jobs", env=env | {"LEVERET_PROCESSES": "2"}, cwd=folder)
    pids = await serving(servers, 2)
    await servers.publish_for("wait")
    await eventually(lambda: len(servers.logs) == 1, timeout=20)
    busy = int(servers.logs[0].message.split()[-1])
    process.interrupt()  # as a terminal does it: to all in the group of the supervisor, which passes it on once
    await eventually(lambda: len(servers.of(Goodbye)) == 1)
    await asyncio.sleep(1)
    assert psutil.pid_exists(busy), "one signal is no second one"
    process.terminate()
    assert await ended(process) == 130
    assert servers.finished == []
    assert not any(psutil.pid_exists(pid) for pid in pids.values())


async def test_a_worker_that_is_killed_comes_back_under_its_name(
    servers: Servers, start_leveret: StartLeveret, folder: Path, env: dict[str, str]
) -> None:
    process = start_leveret("worker", "app_jobs", "--processes", "2", "--name", "w", env=env, cwd=folder)
    before = await serving(servers, 2)
    os.kill(before["w-2"], signal.SIGKILL)
    after = await serving(servers, 3)
    assert (after["w-1"], after["w-2"] != before["w-2"]) == (before["w-1"], True)
    assert "was killed by SIGKILL" in process.output()
    process.terminate()
    assert await ended(process) == 0


async def test_no_worker_outlives_a_supervisor_that_is_killed_and_what_they_ran_ends_or_is_handed_back(
    servers: Servers, start_leveret: StartLeveret, folder: Path, env: dict[str, str]
) -> None:
    process = start_leveret("worker", "app_jobs", "--processes", "2", "--grace", "1", env=env, cwd=folder)
    pids = await serving(servers, 2)
    await servers.publish_for("wait")
    await eventually(lambda: len(servers.logs) == 1, timeout=20)
    os.kill(process.pid, signal.SIGKILL)
    await eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids.values()), timeout=20)
    assert servers.outcomes() == ["released"]
    assert "the supervisor is gone" in process.output()


async def test_an_error_while_importing_is_said_once_and_starts_no_more(
    start_leveret: StartLeveret, folder: Path, env: dict[str, str]
) -> None:
    process = start_leveret("worker", "app_broken", "--processes", "4", env=env, cwd=folder)
    assert await ended(process) == 1
    assert process.output().count("No module named 'no_such_library'") == 1
    nowhere = start_leveret("worker", "nowhere", "--processes", "4", env=env, cwd=folder)
    assert await ended(nowhere) == 2
    assert nowhere.output().count("there is no module 'nowhere'") == 1
    assert "no other was started" in nowhere.output()
    wrong = start_leveret("worker", "app_jobs", "--max-memory", "much", env=env, cwd=folder)
    assert await ended(wrong) == 2
    assert "'much' is no size" in wrong.output()


async def test_a_worker_that_has_run_enough_is_replaced_and_its_long_run_ends_in_peace(
    servers: Servers, start_leveret: StartLeveret, folder: Path, env: dict[str, str], amqp_url: str
) -> None:
    async def only_the_new_one_takes() -> None:
        assert await consumers_of(amqp_url, "quick") == 1

    process = start_leveret(
        "worker", "app_jobs", "--max-occurrences", "20", "--name", "w", "--grace", "0.5", env=env, cwd=folder
    )
    before = await serving(servers, 1)
    enough = folder / "enough"
    long = await servers.publish_for("wait", {"until": str(enough)})
    for _ in range(20):
        await servers.publish_for("quick")
    after = await serving(servers, 2)
    assert after["w-1"] != before["w-1"]
    await eventually(lambda: "works" in process.output(), timeout=20)
    # Until then the old process may claim one more, which it would hand back.
    await eventually(only_the_new_one_takes, timeout=20, interval=0.1)
    retired = time.monotonic()
    await servers.publish_for("quick")
    await eventually(lambda: len(servers.finished) == 21, timeout=20)
    await eventually(lambda: time.monotonic() > retired + 1)
    assert psutil.pid_exists(before["w-1"]), "the long run goes on, past the grace"
    enough.touch()
    await eventually(lambda: len(servers.finished) == 22, timeout=20)
    assert servers.finished[-1].occurrence == long[0]
    assert set(servers.outcomes()) == {"succeeded"}
    await eventually(lambda: len(servers.of(Goodbye)) == 1, timeout=20)
    process.terminate()
    assert await ended(process) == 0


async def test_sigterm_gives_a_worker_that_was_replaced_the_grace_and_no_more(
    servers: Servers, start_leveret: StartLeveret, folder: Path, env: dict[str, str]
) -> None:
    process = start_leveret(
        "worker", "app_jobs", "--max-occurrences", "1", "--name", "w", "--grace", "0.5", env=env, cwd=folder
    )
    await serving(servers, 1)
    await servers.publish_for("wait")
    await eventually(lambda: len(servers.logs) == 1, timeout=20)
    await servers.publish_for("quick")
    await eventually(lambda: "draining" in process.output(), timeout=30)
    process.terminate()
    assert await ended(process) == 0
    assert sorted(servers.outcomes()) == ["released", "succeeded"]
