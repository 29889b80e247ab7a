"""Redis clients that fail fast: redis-py's defaults retry a dead server for a minute, and repeat a `SET NX`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from leveret_core.errors import ConfigurationError
from leveret_core.redis_sentinel import SCHEMES, master_client
from leveret_core.service_urls import REDIS, check_url

TIMEOUT = 1.0
"""Seconds for connecting and for each command."""


def lock_client(url: str) -> Redis:
    """A client for the dispatcher's lock alone: no retries, because a lost answer must stay an unknown answer.

    Args:
        url: `redis://`, `rediss://` or `unix://`, or `redis+sentinel://`, see `master_client`.

    Raises:
        ConfigurationError: it is none of these.
    """
    return _client(url, socket_timeout=TIMEOUT, max_connections=2, client_name="leveret-lock")


def hints_client(url: str) -> Redis:
    """A client for publishing and receiving hints; `url` as for `lock_client`."""
    return _client(url, socket_timeout=20, socket_keepalive=True, max_connections=4, client_name="leveret-hints")


def _client(url: str, **options: Any) -> Redis:
    check_url(url, REDIS, "LEVERET_REDIS_URL")
    options |= {"socket_connect_timeout": TIMEOUT, "retry": Retry(NoBackoff(), 0)}
    if url.partition("://")[0] in SCHEMES:
        return master_client(url, **options)
    try:
        client = Redis.from_url(url, **options)
        make_connection: Callable[[], object] = client.connection_pool.make_connection
        make_connection()  # connects nothing, but reads every option of the URL
    except (TypeError, ValueError):
        # Without the cause, whose text may hold a part of the URL.
        raise ConfigurationError("LEVERET_REDIS_URL has an option behind its ? that does not exist, or a wrong value") from None
    return client
