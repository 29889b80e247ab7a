"""The TTL lock in Redis that decides which replica dispatches. It is an efficiency: the fence in Postgres is the guarantee."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import Any, cast

from redis.asyncio import Redis

from leveret_core.cancellation import heed_cancellation
from leveret_core.outage import Outage

log = logging.getLogger(__name__)

KEY = "leveret:dispatcher"

_RENEW = """
if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) else return 0 end
"""
_RESIGN = """
if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end
"""


class LockUnknown(Exception):
    """Redis did not answer in time: whether the lock is held is not known."""


class RedisLock:
    """One key with a TTL, owned by the process whose token it holds.

    Args:
        redis: a client of its own, with short timeouts and without retries (a repeated `SET NX` would deny the owner).
        token: unique to this process.
        ttl: seconds the lock lasts without renewal.
    """

    def __init__(self, redis: Redis, token: str, ttl: float) -> None:
        self._redis = redis
        self._token = token
        self._ttl_ms = int(ttl * 1000)
        self._outage = Outage(log, "Redis (lock)", "the replica that dispatches goes on by its lease in Postgres")

    async def acquire(self) -> bool:
        """Take the lock if no process has it; true also when it turns out to be ours already (an answer was lost).

        Raises:
            LockUnknown: Redis did not answer.
        """
        return await self._ask(self._acquire())

    async def renew(self) -> bool:
        """Start the TTL anew if the lock is still ours.

        Raises:
            LockUnknown: Redis did not answer.
        """
        return await self._eval(_RENEW, str(self._ttl_ms))

    async def resign(self) -> bool:
        """Delete the lock if it is ours.

        Raises:
            LockUnknown: Redis did not answer.
        """
        return await self._eval(_RESIGN)

    async def _acquire(self) -> bool:
        if await self._redis.set(KEY, self._token, nx=True, px=self._ttl_ms):
            return True
        return bool(await self._redis.get(KEY) == self._token.encode())

    async def _eval(self, script: str, *args: str) -> bool:
        return await self._ask(cast("Any", self._redis.eval(script, 1, KEY, self._token, *args)))

    async def _ask(self, question: Awaitable[Any]) -> bool:
        try:
            answer = bool(await question)
        except Exception as error:
            heed_cancellation()
            self._outage.failed(error)
            raise LockUnknown(str(error)) from error
        # redis-py may return as if nothing had been when it is cancelled in the moment in which the answer comes.
        heed_cancellation()
        self._outage.answered()
        return answer
