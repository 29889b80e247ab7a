"""The servers that tests stand on: if these fail, distrust the others."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import aio_pika
import asyncpg
import psutil
import pytest
from redis.asyncio import Redis

from support.available import new_rabbit
from support.eventually import eventually
from support.postgres import PostgresProcess
from support.rabbitmq import RabbitProcess, RabbitServer
from support.redis import RedisProcess
from support.servers import NotAvailable, ServerProcess
from support.trees import alive, family, wait_gone

Talk = Callable[[str], Awaitable[None]]


async def write_to_postgres(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    await connection.execute("create table word as select 'kept' as word")
    await connection.close()


async def read_from_postgres(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    assert await connection.fetchval("select word from word") == "kept"
    await connection.close()


async def write_to_redis(url: str) -> None:
    async with Redis.from_url(url) as redis:
        await redis.set("word", "kept")


async def read_from_redis(url: str) -> None:
    async with Redis.from_url(url) as redis:
        assert await redis.get("word") == b"kept"


async def write_to_rabbit(url: str) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        await channel.declare_queue("word", durable=True, arguments={"x-queue-type": "quorum"})
        message = aio_pika.Message(b"kept", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, "word")


async def read_from_rabbit(url: str) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue("word")

        async def first_message() -> bytes:
            message = await queue.get(no_ack=True, fail=False)
            assert message is not None
            return message.body

        # The queue elects its leader anew after a restart.
        assert await eventually(first_message) == b"kept"


SERVERS: list[tuple[type[ServerProcess], Talk, Talk]] = [
    (PostgresProcess, write_to_postgres, read_from_postgres),
    (RedisProcess, write_to_redis, read_from_redis),
    (RabbitProcess, write_to_rabbit, read_from_rabbit),
]
EACH = pytest.mark.parametrize(("kind", "write", "read"), SERVERS, ids=[kind.name for kind, _, _ in SERVERS])


def new(kind: type[ServerProcess]) -> ServerProcess:
    try:
        return kind()
    except NotAvailable as error:
        pytest.skip(str(error))


@EACH
async def test_a_server_keeps_its_data_and_address_when_killed_or_restarted(
    kind: type[ServerProcess], write: Talk, read: Talk
) -> None:
    server = new(kind)
    try:
        server.start()
        url = server.url
        await write(url)
        server.kill()
        with pytest.raises((OSError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", server.port)
        server.start()
        assert server.url == url
        await read(url)
        if kind is RabbitProcess:
            await write(url)  # reading took it away
        server.restart()
        await read(url)
    finally:
        server.remove()


@EACH
def test_a_stopped_or_removed_server_leaves_no_process_and_no_file(kind: type[ServerProcess], write: Talk, read: Talk) -> None:
    server = new(kind)
    try:
        server.start()
        started = server.processes()
        assert started
        server.stop()
        assert processes_of(server) == []
        server.start()
        started += server.processes()
    finally:
        server.remove()
    assert [process for process in started if alive(process)] == []
    assert processes_of(server) == []
    assert not server.folder.exists()


@EACH
async def test_a_frozen_server_keeps_silent_and_answers_once_thawed(kind: type[ServerProcess], write: Talk, read: Talk) -> None:
    server = new(kind)
    try:
        server.start()
        await write(server.url)
        server.freeze()
        reading = asyncio.ensure_future(read(server.url))
        done, _ = await asyncio.wait([reading], timeout=0.3)
        assert not done
        server.thaw()
        await reading
    finally:
        server.remove()


@EACH
def test_servers_of_a_killed_test_run_are_killed_too(kind: type[ServerProcess], write: Talk, read: Talk) -> None:
    new(kind).remove()
    script = f"""
from {kind.__module__} import {kind.__name__}
server = {kind.__name__}()
server.start()
print(server.folder, *(process.pid for process in server.processes()), flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout is not None
        folder, *pids = run.stdout.readline().split()
        processes = [process for pid in pids for process in family(int(pid))]
        assert processes
        run.kill()
    wait_gone(processes)
    asyncio.run(eventually(lambda: not Path(folder).exists()))


async def test_two_brokers_run_side_by_side_and_answer_their_own_commands(
    private_rabbit: RabbitServer,
) -> None:
    other = new_rabbit()
    try:
        other.start()
        assert "quorum" not in other.ctl("list_queues", "name", "type")
        await write_to_rabbit(private_rabbit.url)
        assert "word\tquorum" in private_rabbit.ctl("list_queues", "name", "type")
        assert "word" not in other.ctl("list_queues", "name", "type")
    finally:
        other.remove()


async def test_each_test_gets_a_virtual_host_of_its_own(amqp_url: str) -> None:
    await write_to_rabbit(amqp_url)


async def test_what_another_test_declared_is_not_seen(amqp_url: str) -> None:
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
            await channel.get_queue("word")


async def test_a_database_url_leads_to_a_migrated_database(database_url: str) -> None:
    connection = await asyncpg.connect(database_url, timeout=10)
    assert await connection.fetchval("select count(*) from leveret_migration") > 0
    await connection.close()


async def test_an_empty_database_url_leads_to_an_empty_database(empty_database_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url, timeout=10)
    tables = "select count(*) from information_schema.tables where table_schema = 'public'"
    assert await connection.fetchval(tables) == 0
    await connection.close()


async def test_a_redis_url_leads_to_an_empty_redis(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        assert await redis.dbsize() == 0
        await redis.set("left", "behind")


async def test_redis_is_empty_again_for_the_next_test(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        assert await redis.dbsize() == 0


def processes_of(server: ServerProcess) -> list[psutil.Process]:
    """Every process on this machine that works in the server's folder."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if alive(process) and Path(os.fspath(process.cwd())).is_relative_to(server.folder):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found
