"""What is broken. Each fault breaks something for a while, heals it, and tells in words what it did."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aio_pika
import asyncpg
from aio_pika.exceptions import ChannelNotFoundEntity
from redis.asyncio import Redis

from chaos.campaign.parts import Part
from chaos.campaign.stack import TTL, Stack
from leveret_core import hints, topology
from leveret_core.patterns import queue_name

PATTERNS = ("chaos.#", "chaos.overlap.*", "thread.run")
"""Of the handlers of the campaign's workers."""

Break = Callable[[Stack, random.Random], Awaitable[str]]


@dataclass(frozen=True)
class Fault:
    """A fault.

    Arguments:
        name: what it is called on the command line.
        target: what it breaks; two faults of one target do not come together.
        make: breaks and heals it; returns what was done.
        bound: seconds after the heal within which work must flow again.
    """

    name: str
    target: str
    make: Break
    bound: float = 30.0


FAULTS: dict[str, Fault] = {}


def _fault(target: str, bound: float = 30.0) -> Callable[[Break], Break]:
    def keep(make: Break) -> Break:
        name = make.__name__.replace("_", "-")
        FAULTS[name] = Fault(name, target, make, bound)
        return make

    return keep


# Replicas and workers


@_fault("replicas")
async def freeze_leader(stack: Stack, rng: random.Random) -> str:
    leader = await _leader(stack, rng)
    # Often about as long as the holder trusts its term: then it wakes in the middle of being replaced.
    seconds = rng.choice((rng.uniform(10, 20), rng.uniform(TTL - 1.5, TTL + 3.5)))
    await leader.freeze(seconds)
    return f"{leader.name}, for {seconds:.1f} s"


@_fault("replicas")
async def freeze_follower(stack: Stack, rng: random.Random) -> str:
    follower, seconds = await _follower(stack, rng), rng.uniform(5, 20)
    await follower.freeze(seconds)
    return f"{follower.name}, for {seconds:.1f} s"


@_fault("replicas")
async def freeze_all_replicas(stack: Stack, rng: random.Random) -> str:
    seconds = rng.uniform(6, 12)
    await asyncio.gather(*(replica.freeze(seconds) for replica in stack.replicas))
    return f"for {seconds:.1f} s"


@_fault("replicas", bound=45)
async def kill_leader(stack: Stack, rng: random.Random) -> str:
    leader = await _leader(stack, rng)
    leader.kill()
    return leader.name


@_fault("replicas", bound=45)
async def kill_follower(stack: Stack, rng: random.Random) -> str:
    follower = await _follower(stack, rng)
    follower.kill()
    return follower.name


@_fault("replicas", bound=45)
async def roll_replicas(stack: Stack, rng: random.Random) -> str:
    """As a deployment does: each ends in order and comes again, one after another."""
    for replica in stack.replicas:
        await replica.end()
        await asyncio.sleep(rng.uniform(1, 3))
    return "SIGTERM to one after another"


@_fault("workers", bound=45)
async def kill_worker(stack: Stack, rng: random.Random) -> str:
    worker = rng.choice(stack.workers)
    worker.kill()
    return worker.name


@_fault("workers")
async def freeze_worker(stack: Stack, rng: random.Random) -> str:
    worker, seconds = rng.choice(stack.workers), rng.uniform(5, 20)
    await worker.freeze(seconds)
    return f"{worker.name}, for {seconds:.1f} s"


@_fault("workers", bound=45)
async def roll_workers(stack: Stack, rng: random.Random) -> str:
    for worker in stack.workers:
        await worker.end()
        await asyncio.sleep(rng.uniform(1, 2))
    return "SIGTERM to one after another"


# Postgres


@_fault("postgres")
async def terminate_backends(stack: Stack, rng: random.Random) -> str:
    ended = await _terminate(stack)
    return f"{ended} backends"


@_fault("postgres")
async def terminate_backends_each_second(stack: Stack, rng: random.Random) -> str:
    ended, times = 0, rng.randint(6, 15)
    for _ in range(times):
        with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError):
            ended += await _terminate(stack)
        await asyncio.sleep(1)
    return f"{ended} backends in {times} s"


@_fault("postgres")
async def take_all_connections(stack: Stack, rng: random.Random) -> str:
    """Somebody else has every connection that `max_connections` allows."""
    seconds = rng.uniform(6, 14)
    taken: list[asyncpg.Connection[asyncpg.Record]] = []
    loop = asyncio.get_running_loop()
    try:
        await _terminate(stack)
        ends = loop.time() + seconds
        while loop.time() < ends:
            try:
                taken.append(await asyncpg.connect(stack.database_url, timeout=5))
            except (OSError, TimeoutError, asyncpg.PostgresError):
                await asyncio.sleep(0.1)
    finally:
        await asyncio.gather(*(connection.close(timeout=5) for connection in taken), return_exceptions=True)
    return f"{len(taken)} taken, for {seconds:.1f} s"


@_fault("postgres")
async def read_only(stack: Stack, rng: random.Random) -> str:
    """As a primary that was demoted, or whose disk is full at a provider that says so."""
    seconds = rng.uniform(6, 14)
    await _set_read_only(stack, "on")
    try:
        await asyncio.sleep(seconds)
    finally:
        await _set_read_only(stack, "off")
    return f"for {seconds:.1f} s"


@_fault("postgres")
async def restart_postgres(stack: Stack, rng: random.Random) -> str:
    seconds = rng.choice((0.0, rng.uniform(3, 10)))
    await asyncio.to_thread(stack.postgres.stop)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(stack.postgres.start)
    return f"in order, away for {seconds:.1f} s"


@_fault("postgres")
async def kill_postgres(stack: Stack, rng: random.Random) -> str:
    await asyncio.to_thread(stack.postgres.kill)
    await asyncio.to_thread(stack.postgres.start)
    return "SIGKILL"


@_fault("postgres")
async def freeze_postgres(stack: Stack, rng: random.Random) -> str:
    seconds = rng.uniform(4, 15)
    stack.postgres.freeze()
    try:
        await asyncio.sleep(seconds)
    finally:
        stack.postgres.thaw()
    return f"for {seconds:.1f} s"


# Redis


@_fault("redis")
async def flush_redis(stack: Stack, rng: random.Random) -> str:
    async with Redis.from_url(stack.redis.url) as redis:
        await redis.flushall()
    return "FLUSHALL"


@_fault("redis")
async def foreign_hints(stack: Stack, rng: random.Random) -> str:
    """Words in the channel of hints that no replica of ours said."""
    async with Redis.from_url(stack.redis.url) as redis:
        for body in (b"\xff\xfe {}", b"", b"x", b'x {"topic": 1}', b"\xff" * 100):
            await redis.publish(hints.CHANNEL, body)
    return "five"


@_fault("redis")
async def restart_redis(stack: Stack, rng: random.Random) -> str:
    seconds = rng.choice((0.0, rng.uniform(3, 15)))
    await asyncio.to_thread(stack.redis.kill)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(stack.redis.start)
    return f"SIGKILL, away for {seconds:.1f} s"


@_fault("redis")
async def freeze_redis(stack: Stack, rng: random.Random) -> str:
    seconds = rng.uniform(3, 15)
    stack.redis.freeze()
    try:
        await asyncio.sleep(seconds)
    finally:
        stack.redis.thaw()
    return f"for {seconds:.1f} s"


# RabbitMQ


@_fault("rabbitmq")
async def close_all_connections(stack: Stack, rng: random.Random) -> str:
    times = rng.choice((1, 5))
    # In one call, since each starts a program that takes its time.
    close = '[rabbit_networking:close_connection(P, "the campaign closes it") || P <- rabbit_networking:connections()]'
    await stack.ctl("eval", f"[begin {close}, timer:sleep(1000) end || _ <- lists:seq(1, {times})], ok.")
    return f"{times} times"


@_fault("rabbitmq")
async def purge_queues(stack: Stack, rng: random.Random) -> str:
    return f"{await _purge(stack)} queues"


@_fault("rabbitmq", bound=45)
async def restart_rabbitmq(stack: Stack, rng: random.Random) -> str:
    seconds = rng.choice((0.0, rng.uniform(3, 10)))
    await asyncio.to_thread(stack.rabbit.stop)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(stack.rabbit.start)
    return f"in order, away for {seconds:.1f} s"


@_fault("rabbitmq", bound=45)
async def kill_rabbitmq(stack: Stack, rng: random.Random) -> str:
    await asyncio.to_thread(stack.rabbit.kill)
    await asyncio.to_thread(stack.rabbit.start)
    return "SIGKILL"


@_fault("rabbitmq", bound=45)
async def freeze_rabbitmq(stack: Stack, rng: random.Random) -> str:
    seconds = rng.uniform(4, 15)
    stack.rabbit.freeze()
    try:
        await asyncio.sleep(seconds)
    finally:
        stack.rabbit.thaw()
    return f"for {seconds:.1f} s"


# Of several servers at once


@_fault("replicas rabbitmq", bound=60)
async def purge_while_nobody_listens(stack: Stack, rng: random.Random) -> str:
    """All replicas are down, what workers reported is deleted, and the replicas come back."""
    seconds = rng.uniform(3, 6)
    for replica in stack.replicas:
        replica.held_down = True
        replica.kill()
    try:
        await asyncio.sleep(seconds)
        purged = await _purge(stack)
    finally:
        for replica in stack.replicas:
            replica.held_down = False
    return f"{purged} queues, {seconds:.1f} s after the replicas were killed"


async def _leader(stack: Stack, rng: random.Random) -> Part:
    return await stack.leader() or rng.choice(stack.replicas)


async def _follower(stack: Stack, rng: random.Random) -> Part:
    leader = await stack.leader()
    return rng.choice([replica for replica in stack.replicas if replica is not leader])


async def _terminate(stack: Stack) -> int:
    async with stack.sql() as connection:
        ended: int = await connection.fetchval(
            """select count(pg_terminate_backend(pid)) from pg_stat_activity
               where datname = current_database() and application_name <> 'campaign'"""
        )
    return ended


async def _set_read_only(stack: Stack, on: str) -> None:
    # On the maintenance database, in a session of its own that may write.
    connection = await asyncpg.connect(stack.postgres.url, timeout=10)
    try:
        await connection.execute(f"alter system set default_transaction_read_only = {on}")
        await connection.execute("select pg_reload_conf()")
    finally:
        await connection.close(timeout=5)


async def _purge(stack: Stack) -> int:
    # By names that are known: rabbitmqctl, which knows them too, takes a second of CPU to start: a minute on a busy machine.
    purged = 0
    async with await aio_pika.connect(stack.rabbit.url) as connection:
        for name in (topology.EVENTS_QUEUE, topology.CLAIMS_QUEUE, *map(queue_name, PATTERNS)):
            channel = await connection.channel()
            with contextlib.suppress(ChannelNotFoundEntity):
                await (await channel.get_queue(name, ensure=False)).purge()
                purged += 1
    return purged
