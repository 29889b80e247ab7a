"""Redis clients that fail fast: redis-py's defaults retry a dead server for a minute, and repeat a `SET NX`."""

from __future__ import annotations

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

TIMEOUT = 1.0
"""Seconds for connecting and for each command."""


def lock_client(url: str) -> Redis:
    """A client for the dispatcher's lock alone: no retries, because a lost answer must stay an unknown answer."""
    return Redis.from_url(
        url,
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
        retry=Retry(NoBackoff(), 0),
        max_connections=2,
        client_name="leveret-lock",
    )


def hints_client(url: str) -> Redis:
    """A client for publishing and receiving hints."""
    return Redis.from_url(
        url,
        socket_timeout=20,
        socket_connect_timeout=TIMEOUT,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        max_connections=4,
        client_name="leveret-hints",
    )
