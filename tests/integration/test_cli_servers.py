"""How server processes start, wait, refuse and end; `leveret migrate`; `leveret doctor`."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest

from support.command_line import run_leveret
from support.eventually import eventually
from support.given import GivenServer, Located
from support.http import http_client
from support.ports import free_port
from support.processes import LeveretProcess
from support.proxy import Proxy
from support.rabbitmq import RabbitServer
from support.servers import Server

StartLeveret = Callable[..., LeveretProcess]

NOBODY = {
    "LEVERET_DATABASE_URL": "postgresql://leveret@127.0.0.1:9/leveret",
    "LEVERET_REDIS_URL": "redis://127.0.0.1:9/0",
    "LEVERET_AMQP_URL": "amqp://guest:guest@127.0.0.1:9/",
}


async def ready(url: str) -> dict[str, Any]:
    """What `/readyz` says, as soon as something answers."""

    async def answer() -> dict[str, Any]:
        async with http_client() as client:
            try:
                found: dict[str, Any] = (await client.get(f"{url}/readyz")).json()
            except httpx.TransportError as error:
                raise AssertionError(str(error)) from error
        return found

    return await eventually(answer, timeout=30, interval=0.1)


async def exit_code(process: LeveretProcess) -> int:
    return await asyncio.to_thread(process.wait, 30)


def replaced(url: str, **parts: str) -> str:
    return urlunsplit(urlsplit(url)._replace(**parts))


# Starting


async def test_a_server_without_redis_and_rabbitmq_starts_and_says_what_is_missing(
    start_leveret: StartLeveret, empty_database_url: str
) -> None:
    port = free_port()
    env = {**NOBODY, "LEVERET_DATABASE_URL": empty_database_url}
    process = start_leveret("api", "--port", str(port), env=env, cold=True)

    health = await ready(f"http://127.0.0.1:{port}")

    assert health["services"] == {"postgres": "ok", "redis": "down", "rabbitmq": "down"}
    assert "RabbitMQ is not there yet" in process.output()
    done = await run_leveret("jobs", "list", env={"LEVERET_URL": f"http://127.0.0.1:{port}"})
    assert (done.code, done.err) == (0, "no jobs; `leveret jobs create` makes one\n")
    connection = await asyncpg.connect(empty_database_url)
    dead = await connection.fetchval("insert into dead_event (kind, reason, body) values ('batch', 'r', '{}') returning id")
    await connection.close()
    told = await run_leveret("dead-events", "replay", str(dead), env={"LEVERET_URL": f"http://127.0.0.1:{port}"})
    assert (told.code, "missing required field `worker`" in told.out) == (1, True), "its own ingestor reads it"
    process.terminate()
    assert await exit_code(process) == 0


async def test_a_server_waits_for_postgres_and_starts_when_that_does(
    start_leveret: StartLeveret, private_postgres: Server
) -> None:
    await asyncio.to_thread(private_postgres.stop)
    port = free_port()
    process = start_leveret("api", "--port", str(port), env={**NOBODY, "LEVERET_DATABASE_URL": private_postgres.url})

    def waiting() -> None:
        assert "waiting for Postgres" in process.output()

    await eventually(waiting, timeout=20)
    await asyncio.to_thread(private_postgres.start)

    assert (await ready(f"http://127.0.0.1:{port}"))["services"]["postgres"] == "ok"


async def test_a_server_that_waited_in_vain_ends_with_1_and_names_the_setting() -> None:
    done = await run_leveret("dispatcher", "--wait", "1.5", env=NOBODY)

    assert done.code == 1
    assert "waiting for Postgres" in done.err
    assert "LEVERET_DATABASE_URL" in done.err.splitlines()[-1]
    assert "Traceback" not in done.err


async def test_a_server_that_waits_can_be_told_to_end(start_leveret: StartLeveret) -> None:
    process = start_leveret("api", env=NOBODY)

    def waiting() -> None:
        assert "waiting for Postgres" in process.output()

    await eventually(waiting, timeout=20)
    process.terminate()

    assert await exit_code(process) == 0


async def test_a_database_that_is_not_there_is_not_waited_for(postgres_server: Located) -> None:
    done = await run_leveret("api", env={**NOBODY, "LEVERET_DATABASE_URL": replaced(postgres_server.url, path="/nowhere")})

    assert done.code == 2
    assert "nowhere" in done.err
    assert "waiting" not in done.err


async def test_a_taken_port_is_named(empty_database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = await run_leveret("api", "--port", port, env={**NOBODY, "LEVERET_DATABASE_URL": empty_database_url})

    assert done.code == 2
    assert f"port {port} on 127.0.0.1 is taken" in done.err


async def test_a_database_without_tables_is_refused_when_the_server_may_not_make_them(empty_database_url: str) -> None:
    done = await run_leveret("dispatcher", "--no-migrate", env={**NOBODY, "LEVERET_DATABASE_URL": empty_database_url})

    assert done.code == 2
    assert "run `leveret migrate`" in done.err


async def test_a_dispatcher_alone_holds_the_term_and_resigns_at_its_end(
    start_leveret: StartLeveret, database_url: str, redis_url: str, amqp_url: str
) -> None:
    env = {"LEVERET_DATABASE_URL": database_url, "LEVERET_REDIS_URL": redis_url, "LEVERET_AMQP_URL": amqp_url}
    process = start_leveret("dispatcher", env={**env, "LEVERET_LOG_FORMAT": "json"}, cold=True)

    def leading() -> None:
        assert "holding epoch 1" in process.output()

    await eventually(leading, timeout=20)
    process.terminate()

    assert await exit_code(process) == 0
    messages = [json.loads(line)["message"] for line in process.output().splitlines()]
    assert any("gave up epoch 1" in message for message in messages)


# leveret worker


async def test_a_worker_waits_for_a_broker_that_is_being_restarted(
    start_leveret: Callable[..., LeveretProcess], amqp_url: str
) -> None:
    async with Proxy(amqp_url) as broker:
        broker.refuse()
        process = start_leveret("worker", "examples.app", env={"LEVERET_AMQP_URL": broker.url})

        def says(words: str) -> Callable[[], None]:
            def said() -> None:
                assert words in process.output()

            return said

        await eventually(says("waiting for the broker, for 60 s more: RabbitMQ at 127.0.0.1:"), timeout=20)
        await broker.heal()
        await eventually(says("broker connection worker control established"), timeout=20)
        process.terminate()
        assert await exit_code(process) == 0


async def test_a_worker_that_waits_ends_when_it_is_told_to(start_leveret: Callable[..., LeveretProcess]) -> None:
    process = start_leveret("worker", "examples.app", env={"LEVERET_AMQP_URL": f"amqp://127.0.0.1:{free_port()}/"}, cold=True)

    def waiting() -> None:
        assert "waiting for the broker" in process.output()

    await eventually(waiting, timeout=20)
    process.terminate()

    assert await exit_code(process) == 0


async def test_a_worker_ends_where_the_broker_does_not_come_or_refuses_it(amqp_url: str) -> None:
    nowhere = {"LEVERET_AMQP_URL": f"amqp://127.0.0.1:{free_port()}/"}
    away = await run_leveret("worker", "examples.app", "--wait", "0", env=nowhere)
    assert away.code == 1
    assert "cannot be reached" in away.err

    unknown = urlsplit(amqp_url)._replace(netloc=f"nobody:wrong@{urlsplit(amqp_url).netloc.rpartition('@')[2]}")
    refused = await run_leveret("worker", "examples.app", env={"LEVERET_AMQP_URL": urlunsplit(unknown)})
    assert refused.code == 2
    assert "refused the user 'nobody'" in refused.err
    assert "waiting" not in refused.err


# leveret migrate


async def test_many_migrate_at_once_and_each_migration_is_applied_by_one(empty_database_url: str) -> None:
    env = {"LEVERET_DATABASE_URL": empty_database_url}
    before = await run_leveret("migrate", "--check", "--json", env=env)
    assert before.code == 1

    done = await asyncio.gather(*(run_leveret("migrate", "--json", env=env) for _ in range(4)))

    assert [each.code for each in done] == [0] * 4
    applied = [name for each in done for name in each.json()["applied"]]
    assert sorted(applied) == before.json()["pending"]
    after = await run_leveret("migrate", "--check", env=env)
    assert (after.code, after.out) == (0, "up to date\n")


async def test_a_database_of_a_newer_version_is_left_alone(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("insert into leveret_migration (name) values ('9999_future')")
    await connection.close()

    done = await run_leveret("migrate", env={"LEVERET_DATABASE_URL": database_url})

    assert done.code == 2
    assert "9999_future" in done.err
    assert "upgrade the program" in done.err


# leveret doctor


def by_name(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"{check['service']} {check['name']}": check for check in report["checks"]}


async def test_the_doctor_is_content_with_good_servers(database_url: str, redis_url: str, amqp_url: str) -> None:
    env = {"LEVERET_DATABASE_URL": database_url, "LEVERET_REDIS_URL": redis_url, "LEVERET_AMQP_URL": amqp_url}

    done = await run_leveret("doctor", "--json", env=env)

    assert done.code == 0, done.out
    report = done.json()
    assert report["ok"] is True
    checks = by_name(report)
    assert {name for name, check in checks.items() if check["status"] == "fail"} == set()
    for name in ("postgres version", "postgres migrations", "postgres clock", "redis latency", "rabbitmq version"):
        assert checks[name]["status"] == "ok", checks[name]
        assert checks[name]["advice"] is None
    assert "took a message" in checks["rabbitmq queues"]["detail"]


async def test_the_doctor_names_every_dead_service_and_what_to_do() -> None:
    done = await run_leveret("doctor", env=NOBODY)

    assert done.code == 1
    lines = done.out.splitlines()
    for service, setting in (("postgres", "DATABASE"), ("redis", "REDIS"), ("rabbitmq", "AMQP")):
        (at,) = (number for number, line in enumerate(lines) if line.startswith(f"fail {service}"))
        assert f"LEVERET_{setting}_URL" in lines[at + 1]
    assert done.err == ""


async def test_the_doctor_sees_what_may_hurt(empty_database_url: str, redis_url: str, amqp_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url)
    name = urlsplit(empty_database_url).path.removeprefix("/")
    await connection.execute(f'alter database "{name}" set synchronous_commit = off')
    await connection.close()
    env = {
        "LEVERET_DATABASE_URL": empty_database_url,
        "LEVERET_REDIS_URL": redis_url,
        "LEVERET_AMQP_URL": amqp_url,
        "LEVERET_HOST": "0.0.0.0",
        "LEVERET_POOL_SIZE": "60",
    }

    done = await run_leveret("doctor", "--json", env=env)

    assert done.code == 0, "nothing fails"
    checks = by_name(done.json())
    for warned in ("settings host", "postgres durability", "postgres migrations", "postgres connections"):
        assert checks[warned]["status"] == "warn", checks[warned]
        assert checks[warned]["advice"]


async def test_the_doctor_tells_a_refused_login_from_a_dead_broker(rabbit_server: Located) -> None:
    parts = urlsplit(rabbit_server.url)
    wrong = parts._replace(netloc=f"nobody:wrong@{parts.hostname}:{parts.port}")

    done = await run_leveret("doctor", "--json", env={**NOBODY, "LEVERET_AMQP_URL": urlunsplit(wrong)})

    check = by_name(done.json())["rabbitmq connection"]
    assert check["status"] == "fail"
    assert "refused the user 'nobody'" in check["detail"]
    assert "wrong" not in done.out, "no password is shown"


async def test_the_doctor_names_the_permission_that_a_server_lacks(
    rabbit_server: RabbitServer | GivenServer, amqp_url: str
) -> None:
    if isinstance(rabbit_server, GivenServer):
        pytest.skip("TEST_AMQP_URL names a broker whose users tests do not change")
    name, vhost = f"server-{secrets.token_hex(4)}", amqp_url.rpartition("/")[2]
    await asyncio.to_thread(rabbit_server.ctl, "add_user", name, "pass")
    permissions = (r"^leveret\..*", r"^leveret\..*", r"^leveret\..*")
    await asyncio.to_thread(rabbit_server.ctl, "set_permissions", "-p", vhost, name, *permissions)
    parts = urlsplit(amqp_url)
    lacking = parts._replace(netloc=f"{name}:pass@{parts.hostname}:{parts.port}")

    done = await run_leveret("doctor", "--json", env={**NOBODY, "LEVERET_AMQP_URL": urlunsplit(lacking)})

    check = by_name(done.json())["rabbitmq queues"]
    assert check["status"] == "fail"
    assert "amq.default" in check["detail"]
    assert "write `amq.default`" in check["advice"]
    assert "Traceback" not in done.err


async def test_the_doctor_sees_that_redis_may_drop_the_lock(private_redis: Server) -> None:
    from redis.asyncio import Redis

    async with Redis.from_url(private_redis.url) as redis:
        await redis.config_set("maxmemory", "50mb")
        await redis.config_set("maxmemory-policy", "allkeys-lru")

    done = await run_leveret("doctor", "--json", env={**NOBODY, "LEVERET_REDIS_URL": private_redis.url})

    check = by_name(done.json())["redis eviction"]
    assert check["status"] == "warn"
    assert "allkeys-lru" in check["detail"]
    assert "noeviction" in check["advice"]
