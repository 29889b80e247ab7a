"""Tells a pooler that shares sessions between clients (PgBouncer with `pool_mode = transaction`) from Postgres itself."""

from __future__ import annotations

import asyncpg

from leveret_core.errors import ConfigurationError

REFUSAL = (
    "the database is behind a pooler that shares sessions between clients (PgBouncer's pool_mode transaction or statement);"
    " use pool_mode session, or Postgres's own port"
)
TRIES = 5
"""Another client may have taken the shared session in between."""


async def shares_sessions(url: str) -> bool:
    """Whether two clients of `url` that are connected at the same time are served by one session of Postgres.

    Raises:
        whatever asyncpg does when it cannot connect.
    """
    # Prepared statements would fail behind such a pooler, and with them the question.
    one = await asyncpg.connect(url, timeout=10, statement_cache_size=0)
    try:
        other = await asyncpg.connect(url, timeout=10, statement_cache_size=0)
        try:
            return any([await _session(one) == await _session(other) for _ in range(TRIES)])
        finally:
            await other.close(timeout=5)
    finally:
        await one.close(timeout=5)


async def refuse_shared_sessions(url: str) -> None:
    """Raise `ConfigurationError` when `shares_sessions`, or when Postgres cannot be reached."""
    try:
        shared = await shares_sessions(url)
    except Exception as error:
        raise ConfigurationError(
            f"Postgres cannot be used ({type(error).__name__}: {error}); check LEVERET_DATABASE_URL and that the server runs"
        ) from error
    if shared:
        raise ConfigurationError(REFUSAL)


async def _session(connection: asyncpg.Connection[asyncpg.Record]) -> int:
    async with connection.transaction():
        return int(await connection.fetchval("select pg_backend_pid()", timeout=10))
