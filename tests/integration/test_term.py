"""Elections on a real Redis and a real Postgres, with short times."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from redis.asyncio import Redis

from leveret_core.errors import TermOver
from leveret_core.hints import Hints
from leveret_core.redis_clients import hints_client, lock_client
from leveret_core.settings import Settings
from leveret_core.store.database import Database
from leveret_core.store.term.fence import NAME
from leveret_dispatcher.leadership import candidate as candidate_module
from leveret_dispatcher.leadership.candidate import Candidate
from leveret_dispatcher.leadership.lock import KEY, RedisLock
from leveret_dispatcher.leadership.term import Term, boottime
from support.control import Control
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


async def _for_ever(_: Term) -> None:
    await asyncio.Event().wait()


class Replica:
    """A candidate with connections of its own."""

    def __init__(
        self, database_url: str, redis_url: str, kind: type[Candidate], lock_retry: float, lock: type[RedisLock]
    ) -> None:
        self.settings = Settings(
            database_url=database_url, lock_ttl=TTL, lock_renew=0.3, lock_margin=0.3, lock_retry=lock_retry, poll_interval=1
        )
        self.database = Database(database_url, pool_size=2)
        self.redis = lock_client(redis_url)
        self.hints_redis = hints_client(redis_url)
        self.hints = Hints(self.hints_redis)
        self.epochs: list[int] = []
        token = uuid.uuid4().hex
        self.lock_token = token.encode()
        self.lock = lock(self.redis, token, TTL)
        self.ended = asyncio.Event()
        self.dispatch: Callable[[Term], Coroutine[Any, Any, None]] = _for_ever
        self.candidate = kind(self.settings, self.database, self.lock, self.hints, self._dispatch, self.ended.set)
        self._standing: asyncio.Task[None] | None = None

    async def _dispatch(self, term: Term) -> None:
        self.epochs.append(term.epoch)
        await self.dispatch(term)

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

    async def start(
        kind: type[Candidate] = Candidate,
        lock_retry: float = 0.1,
        *,
        lock: type[RedisLock] = RedisLock,
        dispatch: Callable[[Term], Coroutine[Any, Any, None]] | None = None,
        through: str | None = None,
    ) -> Replica:
        replica = Replica(through or database_url, redis_url, kind, lock_retry, lock)
        replica.dispatch = dispatch or _for_ever
        started.append(replica)
        await replica.start()
        return replica

    yield start
    for replica in started:
        await replica.stop()


@pytest.fixture
async def control(database_url: str) -> AsyncGenerator[Control]:
    database = Database(database_url, pool_size=10)
    await database.start()
    yield Control(database)
    await database.stop()


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
    await eventually(lambda: second.epochs == [2], timeout=1)


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


class Swallowing(RedisLock):
    """Its renewal is cancelled in the moment in which it ends, and returns as if nothing had been."""

    async def renew(self) -> bool:
        with suppress(asyncio.CancelledError):
            renewing.set()
            await asyncio.Event().wait()
        return await super().renew()


renewing = asyncio.Event()


async def test_a_renewal_that_lost_its_cancellation_keeps_no_term(start: Start, redis_url: str) -> None:
    async def steps_down(term: Term) -> None:
        if term.epoch > 1:
            await asyncio.Event().wait()
        await renewing.wait()
        raise TermOver("it was not renewed in time")

    renewing.clear()
    first = await start(lock=Swallowing, lock_retry=60, dispatch=steps_down)
    await eventually(lambda: first.epochs == [1] and first.candidate.term is None)
    second = await start()
    await eventually(lambda: second.leads, timeout=TTL / 2)
    async with Redis.from_url(redis_url) as redis:
        assert await redis.get(KEY) == second.lock_token
    assert not first.ended.is_set()


async def test_what_will_not_end_ends_the_process(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidate_module, "END_TIMEOUT", 0.2)
    free = asyncio.Event()

    async def stubborn(_: Term) -> None:
        while not free.is_set():
            with suppress(asyncio.CancelledError):
                await free.wait()

    replica = await start(dispatch=stubborn)
    await eventually(lambda: replica.leads)
    stopping = asyncio.create_task(replica.stop())
    await eventually(replica.ended.is_set)
    free.set()
    await stopping


async def test_a_dispatcher_that_does_not_come_on_resigns(start: Start) -> None:
    async def stuck(term: Term) -> None:
        if term.epoch == 1:
            term.watch("scheduler", 0.2).begin()
        await asyncio.Event().wait()

    first = await start(lock_retry=60, dispatch=stuck)
    await eventually(lambda: first.leads)
    second = await start()
    await eventually(lambda: second.leads)
    assert first.candidate.term is None


async def test_a_holder_that_cannot_reach_postgres_resigns_for_one_that_can(start: Start, database_url: str) -> None:
    async with Proxy(database_url) as proxy:
        first = await start(lock_retry=60, through=proxy.url)
        await eventually(lambda: first.leads)
        second = await start()
        proxy.blackhole()
        await eventually(lambda: second.leads, timeout=4 * TTL + 5)
        assert first.candidate.term is None


async def test_transactions_of_the_dispatcher_do_not_hold_up_the_lease(control: Control) -> None:
    term = await control.term()

    async def busy() -> None:
        while not done.is_set():
            async with term.transaction():
                await asyncio.sleep(0.1)

    done = asyncio.Event()
    transactions = [asyncio.create_task(busy()) for _ in range(5)]
    await asyncio.sleep(0.2)
    async with asyncio.timeout(1):
        for _ in range(5):
            assert await control.db.fetchval("term/renew", NAME, term.epoch, 10.0, 0.0) == term.epoch
    done.set()
    await asyncio.gather(*transactions)


async def test_no_term_begins_before_the_last_one_s_transaction_has_ended(control: Control) -> None:
    old = await control.term()
    async with old.transaction() as connection:
        # A renewal makes a new version of the row; who shares the old one's key still keeps successors out.
        await control.db.fetchval("term/renew", NAME, old.epoch, 10.0, 0.0)
        raising = asyncio.create_task(control.term())
        done, _ = await asyncio.wait([raising], timeout=0.3)
        assert not done
        await connection.execute("select 1")
    new = await raising
    assert new.epoch == old.epoch + 1
    with pytest.raises(TermOver):
        async with old.transaction():
            pass
