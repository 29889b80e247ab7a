"""Elections on a real Redis and a real Postgres, with short times."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from leveret_core.hints import Hints
from leveret_core.redis_clients import hints_client, lock_client
from leveret_core.settings import Settings
from leveret_core.store.database import Database
from leveret_dispatcher.candidate import Candidate
from leveret_dispatcher.lock import KEY, RedisLock
from leveret_dispatcher.term import Term, boottime
from support.eventually import eventually
from support.proxy import Proxy
from support.servers import Server

TTL = 2.0


class Dying(Candidate):
    """Wins the term and then, as after kill -9, neither renews nor resigns it."""

    async def _renew(self, term: Term) -> None:
        await asyncio.Event().wait()

    async def _resign(self, term: Term) -> None:
        return


class Replica:
    """A candidate with connections of its own."""

    def __init__(self, database_url: str, redis_url: str, kind: type[Candidate], lock_retry: float) -> None:
        self.settings = Settings(
            database_url=database_url, lock_ttl=TTL, lock_renew=0.3, lock_margin=0.3, lock_retry=lock_retry, poll_interval=1
        )
        self.database = Database(database_url, pool_size=2)
        self.redis = lock_client(redis_url)
        self.hints_redis = hints_client(redis_url)
        self.hints = Hints(self.hints_redis)
        self.epochs: list[int] = []
        self.lock = RedisLock(self.redis, uuid.uuid4().hex, TTL)
        self.candidate = kind(self.settings, self.database, self.lock, self.hints, self._dispatch)
        self._standing: asyncio.Task[None] | None = None

    async def _dispatch(self, term: Term) -> None:
        self.epochs.append(term.epoch)
        await asyncio.Event().wait()

    @property
    def leads(self) -> bool:
        term = self.candidate.term
        return term is not None and boottime() < term.trusted_until

    async def start(self) -> None:
        await self.database.start()
        await self.hints.start()
        self._standing = asyncio.create_task(self.candidate.run())

    async def stop(self) -> None:
        if self._standing is not None:
            self._standing.cancel()
            await asyncio.gather(self._standing, return_exceptions=True)
        await self.hints.stop()
        await self.redis.aclose()
        await self.hints_redis.aclose()
        await self.database.stop()


Start = Callable[..., Awaitable[Replica]]


@asynccontextmanager
async def replicas(database_url: str, redis_url: str) -> AsyncGenerator[Start]:
    started: list[Replica] = []

    async def start(kind: type[Candidate] = Candidate, lock_retry: float = 0.1) -> Replica:
        replica = Replica(database_url, redis_url, kind, lock_retry)
        started.append(replica)
        await replica.start()
        return replica

    yield start
    for replica in started:
        await replica.stop()


@pytest.fixture
async def start(database_url: str, redis_url: str) -> AsyncGenerator[Start]:
    async with replicas(database_url, redis_url) as starter:
        yield starter


async def test_one_of_three_leads(start: Start) -> None:
    three = [await start() for _ in range(3)]
    await eventually(lambda: sum(r.leads for r in three) == 1)
    await asyncio.sleep(TTL * 1.5)  # longer than the TTL: it is renewed
    assert sum(r.leads for r in three) == 1
    assert sum(len(r.epochs) for r in three) == 1


async def test_a_holder_that_resigns_is_followed_at_once(start: Start) -> None:
    first = await start()
    await eventually(lambda: first.leads)
    second = await start(lock_retry=30)  # only the hint can wake it in time
    await asyncio.sleep(0.3)
    await first.stop()
    await eventually(lambda: second.leads, timeout=0.5)
    assert second.epochs == [2]


async def test_a_holder_that_dies_is_followed_when_the_ttl_is_over(start: Start) -> None:
    first = await start(Dying)
    await eventually(lambda: first.leads)
    second = await start()
    await asyncio.sleep(TTL / 4)
    assert not second.leads
    await eventually(lambda: second.leads, timeout=TTL + 2)


async def test_flushing_redis_again_and_again_leaves_one_current_epoch(start: Start, redis_url: str, database_url: str) -> None:
    three = [await start() for _ in range(3)]
    await eventually(lambda: any(r.leads for r in three))
    async with Redis.from_url(redis_url) as redis:
        for _ in range(10):
            await redis.delete(KEY)
            await asyncio.sleep(0.2)
    database = Database(database_url, pool_size=1)
    await database.start()

    async def exactly_the_current_epoch_leads() -> None:
        current = await database.pool.fetchval("select epoch from term")
        assert [r.candidate.term.epoch for r in three if r.candidate.term] == [current]

    await eventually(exactly_the_current_epoch_leads)
    await database.stop()
    epochs = sorted(epoch for r in three for epoch in r.epochs)
    assert len(epochs) == len(set(epochs))


async def test_the_owner_recognises_its_own_lock_when_an_answer_was_lost(redis_url: str) -> None:
    client = lock_client(redis_url)
    lock = RedisLock(client, "token", TTL)
    assert await lock.acquire()
    assert await lock.acquire()
    assert not await RedisLock(client, "other", TTL).acquire()
    assert not await RedisLock(client, "other", TTL).resign()
    assert await lock.renew()
    assert await lock.resign()
    assert not await lock.renew()
    await client.aclose()


@pytest.mark.parametrize("renewed", [False, True], ids=["at once", "after renewals"])
async def test_a_holder_that_nobody_answers_trusts_its_term_no_longer_than_the_ttl(
    database_url: str, redis_url: str, renewed: bool
) -> None:
    async with Proxy(database_url) as postgres, Proxy(redis_url) as redis, replicas(postgres.url, redis.url) as start:
        first = await start()
        await eventually(lambda: first.leads, interval=0.005)
        if renewed:
            await asyncio.sleep(TTL / 2)
        postgres.blackhole()
        redis.blackhole()
        try:
            await eventually(lambda: not first.leads, timeout=TTL)
        finally:
            await postgres.heal()
            await redis.heal()


async def test_without_redis_the_holder_goes_on_and_nobody_else_begins(database_url: str, private_redis: Server) -> None:
    async with replicas(database_url, private_redis.url) as start:
        first = await start()
        await eventually(lambda: first.leads)
        second = await start()
        await asyncio.to_thread(private_redis.kill)
        await asyncio.sleep(TTL * 2)
        assert first.leads
        assert not second.leads
        await asyncio.to_thread(private_redis.start)
        await asyncio.sleep(TTL)
        assert first.leads != second.leads


async def test_without_redis_a_dead_holder_is_followed_by_the_lease_in_postgres(
    database_url: str, private_redis: Server
) -> None:
    async with replicas(database_url, private_redis.url) as start:
        first = await start()
        await eventually(lambda: first.leads)
        await asyncio.to_thread(private_redis.kill)
        await first.stop()
        second = await start()
        await eventually(lambda: second.leads, timeout=TTL + 3)
        assert second.epochs == [2]


async def test_a_frozen_redis_costs_the_holder_nothing(database_url: str, private_redis: Server) -> None:
    async with replicas(database_url, private_redis.url) as start:
        first = await start()
        await eventually(lambda: first.leads)
        await asyncio.to_thread(private_redis.freeze)
        try:
            await asyncio.sleep(TTL * 2)
            assert first.leads
        finally:
            await asyncio.to_thread(private_redis.thaw)
