"""Redis behind Sentinel, and a Redis user that may do no more than it must."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from leveret_core.errors import ConfigurationError
from leveret_core.hints import Hint, Hints
from leveret_core.redis_clients import hints_client, lock_client
from leveret_dispatcher.leadership.lock import LockUnknown, RedisLock
from support.command_line import run_leveret
from support.eventually import eventually
from support.redis import RedisProcess
from support.sentinel import ReplicaProcess, SentinelProcess
from support.servers import NotAvailable, Server

PAGE = Path(__file__).parents[2] / "docs/deploy.md"
RULES = re.search(r"ACL SETUSER leveret on >\S+ (.*)$", PAGE.read_text(), re.MULTILINE)
assert RULES is not None
LEAST = RULES[1].split()
"""What the page says that the user needs."""


@pytest.fixture
def watched() -> Iterator[tuple[SentinelProcess, RedisProcess]]:
    """A sentinel, and the master that it has found with a replica of it."""
    try:
        master = RedisProcess()
    except NotAvailable as error:
        pytest.skip(str(error))
    replica = ReplicaProcess(master)
    sentinel = SentinelProcess(master)
    servers = (master, replica, sentinel)
    try:
        for server in servers:
            server.start()
        yield sentinel, master
    finally:
        for server in servers:
            server.remove()


async def set_user(server: Server, rules: list[str]) -> None:
    client: Any = Redis.from_url(server.url)
    async with client as admin:
        await admin.execute_command("ACL", "SETUSER", "leveret", "on", ">pass", *rules)


@asynccontextmanager
async def hints_by(url: str) -> AsyncGenerator[tuple[Hints, list[Hint]]]:
    client, heard = hints_client(url), list[Hint]()
    hints = Hints(client)
    hints.subscribe(heard.append)
    await hints.start()
    yield hints, heard
    await hints.stop()
    await client.aclose()


async def test_a_failover_is_followed_by_the_lock_and_by_hints(watched: tuple[SentinelProcess, RedisProcess]) -> None:
    sentinel, master = watched

    async def the_replica_is_known() -> None:
        async with Redis.from_url(f"redis://127.0.0.1:{sentinel.port}") as asked:
            assert [each["flags"] for each in await asked.sentinel_slaves("main")] == ["slave"]

    await eventually(the_replica_is_known, timeout=20)
    client = lock_client(sentinel.url)
    lock = RedisLock(client, "me", 15)
    async with hints_by(sentinel.url) as (one, _), hints_by(sentinel.url) as (_, heard):
        assert await lock.acquire()
        await asyncio.to_thread(master.kill)
        with pytest.raises(LockUnknown):
            await lock.renew()

        async def the_lock_is_ours() -> bool:
            with suppress(LockUnknown):
                return await lock.renew() or await lock.acquire()
            return False

        await eventually(the_lock_is_ours, timeout=20, interval=0.2)

        def they_hear_each_other() -> bool:
            one.send(Hint("jobs", (1,)))
            return Hint("jobs", (1,)) in heard

        await eventually(they_hear_each_other, timeout=20, interval=0.2)
    await client.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://u:s3cret@host:port/main",
        "redis+sentinel://u:s3cret@host:26379/",
        "redis+sentinel://u:s3cret@/main",
        "redis+sentinel://u:s3cret@host/main/zero",
    ],
)
def test_a_wrong_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="must look like") as refused:
        lock_client(url)
    assert "s3cret" not in str(refused.value)


async def test_a_user_of_least_rights_does_and_the_doctor_is_content(private_redis: Server) -> None:
    await set_user(private_redis, LEAST)
    url = private_redis.url.replace("redis://", "redis://leveret:pass@")
    client = lock_client(url)
    lock = RedisLock(client, "me", 15)
    assert await lock.acquire()
    assert await lock.renew()
    assert await lock.resign()
    await client.aclose()
    async with hints_by(url) as (one, _), hints_by(url) as (_, heard):

        def they_hear_each_other() -> bool:
            one.send(Hint("jobs", (1,)))
            return Hint("jobs", (1,)) in heard

        await eventually(they_hear_each_other)
    done = await run_leveret("doctor", "--json", env={"LEVERET_REDIS_URL": url})
    found = {check["name"]: check for check in done.json()["checks"] if check["service"] == "redis"}
    assert found["permissions"]["status"] == "ok"
    assert found["info"]["status"] == "warn"
    assert not [check for check in found.values() if check["status"] == "fail"]


async def test_the_doctor_names_what_a_redis_user_may_not_do(private_redis: Server) -> None:
    await set_user(private_redis, [rule for rule in LEAST if rule != "+publish"])
    url = private_redis.url.replace("redis://", "redis://leveret:pass@")
    done = await run_leveret("doctor", "--json", env={"LEVERET_REDIS_URL": url})
    found = {check["name"]: check for check in done.json()["checks"] if check["service"] == "redis"}
    assert found["permissions"]["status"] == "fail"
    assert "PUBLISH" in found["permissions"]["detail"]
    with pytest.raises(RedisError):
        async with Redis.from_url(url) as client:
            await client.publish("leveret:hints", "x")
