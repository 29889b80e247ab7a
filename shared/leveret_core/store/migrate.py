"""Numbered SQL files, applied once each, in order, by whichever replica comes first."""

from __future__ import annotations

from importlib.resources import files

import asyncpg

from leveret_core.errors import ConfigurationError

_LOCK = 7_235_467_001
"""Key of the advisory lock that makes replicas that boot at once wait for each other; any fixed number would do."""
_TABLE = """
create table if not exists leveret_migration (
    name text primary key,
    applied_at timestamptz not null default now()
)
"""


def available() -> dict[str, str]:
    """Name → SQL of every migration in the package, in the order they apply."""
    found = [entry for entry in files("leveret_core.store").joinpath("migrations").iterdir() if entry.name.endswith(".sql")]
    return {entry.name.removesuffix(".sql"): entry.read_text(encoding="utf-8") for entry in sorted(found, key=lambda e: e.name)}


async def pending(connection: asyncpg.Connection[asyncpg.Record]) -> list[str]:
    """Names of the migrations that this database lacks.

    Raises:
        ConfigurationError: the database holds migrations that this version does not know: it is newer than the program.
    """
    exists = await connection.fetchval("select to_regclass('leveret_migration') is not null", timeout=10)
    applied = (
        {row["name"] for row in await connection.fetch("select name from leveret_migration", timeout=10)} if exists else set()
    )
    if newer := sorted(applied - available().keys()):
        raise ConfigurationError(
            f"the database is newer than this version of Leveret (it has {', '.join(newer)}); upgrade the program"
        )
    return [name for name in available() if name not in applied]


async def migrate(database_url: str) -> list[str]:
    """Bring the database up to date; each migration is one transaction. Safe when many processes call it at once.

    Args:
        database_url: `postgresql://…` of a role that may create tables.

    Returns:
        Names of the migrations this call applied.

    Raises:
        ConfigurationError: Postgres cannot be reached, or its schema is newer than this program.
    """
    try:
        connection = await asyncpg.connect(database_url, timeout=10, server_settings={"application_name": "leveret migrate"})
    except (OSError, TimeoutError, asyncpg.PostgresError, ValueError) as error:
        raise ConfigurationError(
            f"Postgres cannot be used ({type(error).__name__}: {error}); check LEVERET_DATABASE_URL and that the server runs"
        ) from error
    try:
        done: list[str] = []
        migrations = available()
        while True:
            async with connection.transaction():
                # Within the transaction, so that the lock ends with it, also behind a transaction pooler.
                await connection.execute("select pg_advisory_xact_lock($1)", _LOCK, timeout=60)
                await connection.execute(_TABLE, timeout=10)
                todo = await pending(connection)
                if not todo:
                    return done
                await connection.execute(migrations[todo[0]], timeout=600)
                await connection.execute("insert into leveret_migration (name) values ($1)", todo[0], timeout=10)
                done.append(todo[0])
    finally:
        await connection.close(timeout=5)
