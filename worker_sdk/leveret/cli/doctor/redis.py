"""Redis: there, quick, and not one that could drop the dispatcher's lock."""

from __future__ import annotations

import time
from typing import Any

from redis.exceptions import RedisError

from leveret.cli.doctor.checks import Checks
from leveret_core.errors import ConfigurationError
from leveret_core.redis_clients import lock_client
from leveret_core.service_urls import told
from leveret_core.settings import Settings

OLDEST = 6
_SCRIPT = "redis.call('get', KEYS[1]) redis.call('pexpire', KEYS[1], 1000) return redis.call('del', KEYS[1])"
SLOW = 0.05
"""Seconds a ping may take without a word; the lock gives up after 1 s."""


async def examine(settings: Settings, checks: Checks) -> None:
    """Look at Redis."""
    advice = "check LEVERET_REDIS_URL, and that the server runs; until then the lease in Postgres elects who dispatches"
    try:
        client: Any = lock_client(settings.redis_url)
    except ConfigurationError as error:
        checks.fail("connection", str(error), "check LEVERET_REDIS_URL")
        return
    try:
        await client.ping()
        began = time.monotonic()
        await client.ping()
        took = time.monotonic() - began
        checks.ok("connection", "it answers")
        if took <= SLOW:
            checks.ok("latency", f"{took * 1000:.1f} ms")
        else:
            checks.warn("latency", f"{took * 1000:.0f} ms", "see what keeps it busy, or put it nearer: the lock waits 1 s")
        info = await _info(client, checks)
        _examine_server(info, checks)
        await _examine_keys(client, checks)
        await _examine_eviction(client, info, checks)
    except (RedisError, OSError, TimeoutError, ValueError) as error:
        checks.fail("connection", told(error, settings.redis_url), advice)
    finally:
        await client.aclose()


def _examine_server(info: dict[str, Any], checks: Checks) -> None:
    if not info:
        return
    version = str(info.get("redis_version", "unknown"))
    major = version.partition(".")[0]
    if major.isdigit() and int(major) < OLDEST:
        checks.warn("version", version, f"upgrade to Redis {OLDEST} or newer: older ones are not tested")
    else:
        checks.ok("version", version)
    if info.get("role") not in (None, "master"):
        checks.fail("role", "this is a replica, which cannot be written to", "name the primary in LEVERET_REDIS_URL")


async def _info(client: Any, checks: Checks) -> dict[str, Any]:
    try:
        info: dict[str, Any] = await client.info()
    except RedisError:
        checks.warn("info", "this user may not ask what server it is", "nothing needs it; check version and role by yourself")
        return {}
    return info


async def _examine_keys(client: Any, checks: Checks) -> None:
    """Do what the lock and the hints do, under a name of its own."""
    key, advice = "leveret:doctor", "allow it to this user: docs/deploy.md names the commands, keys and channels"
    for what, call in (
        ("the lock's SET", lambda: client.set(key, "1", nx=True, px=1_000)),
        ("the lock's script (EVAL, GET, PEXPIRE, DEL)", lambda: client.eval(_SCRIPT, 1, key)),
        ("hints (PUBLISH)", lambda: client.publish(key, "1")),
        ("hints (SUBSCRIBE)", lambda: _subscribe(client, key)),
    ):
        try:
            await call()
        except RedisError as error:
            checks.fail("permissions", f"{what} is refused: {error}", advice)
            return
    checks.ok("permissions", "the lock and the hints may do what they need")


async def _subscribe(client: Any, channel: str) -> None:
    async with client.pubsub() as pubsub:
        await pubsub.subscribe(channel)


async def _examine_eviction(client: Any, info: dict[str, Any], checks: Checks) -> None:
    policy, limit = info.get("maxmemory_policy"), info.get("maxmemory")
    if policy is None:
        try:
            policy = (await client.config_get("maxmemory-policy")).get("maxmemory-policy")
        except RedisError:
            checks.warn("eviction", "the policy cannot be read", "see to it that maxmemory-policy is noeviction")
            return
    if policy == "noeviction":
        checks.ok("eviction", "maxmemory-policy is noeviction")
    elif not limit:
        checks.ok("eviction", f"maxmemory-policy is {policy}, but there is no memory limit")
    else:
        checks.warn(
            "eviction",
            f"maxmemory-policy is {policy} at {info.get('maxmemory_human', limit)}: the lock may be dropped",
            "set maxmemory-policy noeviction, or give Leveret a Redis of its own",
        )
