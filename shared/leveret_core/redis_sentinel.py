"""The master of a Redis that is watched over by Sentinel: found anew with each connection, so that a failover is followed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import parse_qs, unquote

from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool

from leveret_core.errors import ConfigurationError

SCHEMES = ("redis+sentinel", "rediss+sentinel")
FORM = "redis+sentinel://user:password@sentinel-1:26379,sentinel-2:26379/name-of-the-master/0"
PORT = 26379
ASK_TIMEOUT = 0.5
"""Seconds that one sentinel may take; the next is asked then."""


class _Master(Redis):
    """Closes the connections to the sentinels, too."""

    watchers: Sequence[Redis] = ()

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await super().aclose(close_connection_pool)
        for each in self.watchers:
            await each.aclose()


def master_client(url: str, **options: Any) -> Redis:
    """A client of the master.

    Args:
        url: as `FORM`. User and password are the master's; the sentinels' own password is `?sentinel_password=`. With
            `rediss+sentinel` both speak TLS, with `?ssl_ca_certs=` as for `rediss`.
        options: of redis-py's connections.

    Raises:
        ConfigurationError: it is no such URL.
    """
    scheme, _, rest = url.partition("://")
    authority, _, tail = rest.partition("/")
    path, _, query = tail.partition("?")
    account, _, places = authority.rpartition("@")
    user, _, password = account.partition(":")
    name, _, database = path.partition("/")
    try:
        given = {key: values[-1] for key, values in parse_qs(query, strict_parsing=bool(query)).items()}
        sentinels = [_place(place) for place in places.split(",")]
        if scheme not in SCHEMES or not name:
            raise ValueError(scheme)
        options["db"] = int(database or 0)
    except ValueError:
        # Without the cause, whose text may hold a password.
        raise ConfigurationError(f"the URL of a Redis behind Sentinel must look like {FORM}") from None
    asking = {"password": given.pop("sentinel_password", None), "socket_timeout": ASK_TIMEOUT}
    asking |= {"socket_connect_timeout": ASK_TIMEOUT}
    if scheme == "rediss+sentinel":
        options["ssl"] = asking["ssl"] = True
        asking |= given
    options |= {key: unquote(value) for key, value in (("username", user), ("password", password)) if value} | given
    sentinel = Sentinel(sentinels, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    pool = SentinelConnectionPool(unquote(name), sentinel, is_master=True, **options)  # type: ignore[no-untyped-call]
    client = cast("_Master", _Master.from_pool(pool))
    client.watchers = sentinel.sentinels
    return client


def _place(text: str) -> tuple[str, int]:
    host, _, port = text.strip().rpartition(":") if ":" in text else (text.strip(), "", "")
    if not host:
        raise ValueError(text)
    return host, int(port or PORT)
