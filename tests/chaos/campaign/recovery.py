"""Whether work flows again after a fault, and how long that took."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from chaos.campaign.jobs import PULSE
from chaos.campaign.parts import boottime
from chaos.campaign.stack import Stack
from chaos.campaign.witness import Witness
from leveret_dispatcher.leadership.lock import KEY

TOO_LONG = 90.0
"""Seconds after which nobody waits any longer for what has not recovered; the next fault comes all the same."""


@dataclass
class Recovery:
    """What came back after how many seconds; what did not, in words."""

    seconds: dict[str, float] = field(default_factory=dict[str, float])
    missing: dict[str, str] = field(default_factory=dict[str, str])

    def beyond(self, bound: float) -> list[str]:
        """What took longer than `bound` seconds, or did not come back at all."""
        late = [f"{name} took {seconds:.1f} s" for name, seconds in self.seconds.items() if seconds > bound]
        return late + [f"{name} not at all: {why}" for name, why in self.missing.items()]


async def recovery(stack: Stack, witness: Witness, healed: float) -> Recovery:
    """Wait until ticks succeed, every replica is ready and every worker has begun something since `healed` (boottime)."""
    found = Recovery()
    goals: dict[str, Callable[[float], Awaitable[None]]] = {
        "ticks": lambda since: _ticks_succeed(stack, since),
        "replicas": lambda _: stack.all_ready(),
        "workers": lambda since: _every_worker_runs(stack, witness, since),
    }
    await asyncio.gather(*(_wait(name, goal, healed, found) for name, goal in goals.items()))
    if "ticks" in found.missing:
        found.missing["ticks"] += f"; {await who_leads(stack)}"
    return found


async def who_leads(stack: Stack) -> str:
    """Who holds the lock, and who says it dispatches: a zombie holds it and does not."""
    try:
        async with Redis.from_url(stack.redis.url, socket_timeout=3) as redis:
            left = await redis.pttl(KEY)
    except (RedisError, OSError):
        left = -3
    leader = await stack.leader()
    if leader is not None:
        return f"{leader.name} dispatches"
    return f"a zombie: the lock is held for {left} ms more and nobody dispatches" if left > 0 else "nobody holds the lock"


async def _wait(name: str, goal: Callable[[float], Awaitable[None]], healed: float, found: Recovery) -> None:
    why = ""
    while boottime() - healed < TOO_LONG:
        try:
            await goal(healed)
        except (AssertionError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            why = str(error) or type(error).__name__
        else:
            found.seconds[name] = boottime() - healed
            return
        await asyncio.sleep(0.3)
    found.missing[name] = why


async def _ticks_succeed(stack: Stack, since: float) -> None:
    """A tick that was planned, begun and ended after the heal."""
    ago = boottime() - since
    async with stack.sql() as connection:
        ended = await connection.fetchval(
            """select count(*) from occurrence where job_name = $1 and state = 'succeeded' and origin = 'schedule'
               and scheduled_for > clock_timestamp() - make_interval(secs => $2)""",
            PULSE,
            ago,
        )
    assert ended, f"no tick of {PULSE} succeeded"


async def _every_worker_runs(stack: Stack, witness: Witness, since: float) -> None:
    witness.read()
    busy = witness.pids_since(since)
    idle = [worker.name for worker in stack.workers if worker.process is None or worker.process.pid not in busy]
    assert not idle, f"{', '.join(idle)} began nothing"
