"""Numbered SQL files, applied once each, in order, by whichever replica comes first.

A file is one transaction. It waits for a lock for a short while only: behind a statement that waits for a table, everybody else
who wants to read it waits too. A file whose first line is `-- no transaction` is for indexes on tables that may be large: its
statements run one by one (`create index concurrently`), hold no other statement up, and can be repeated after a crash.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import TypeAlias

import asyncpg

from leveret_core.errors import ConfigurationError
from leveret_core.service_urls import told

log = logging.getLogger(__name__)

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

LOCK_TIMEOUT = 2.0
"""Seconds a migration waits for a lock on a table, and all statements that come after it."""
LOCK_PAUSE = (1.0, 3.0)
"""Seconds, at random between these, before it tries again; in them those that came after it get their turn."""
PATIENCE = 300.0
"""Seconds it goes on trying."""
TURN_TIMEOUT = 3600.0
"""Seconds to wait for another process that migrates, and that one step may take: an index on a large table takes its time."""
TURN_PAUSE = 0.2
"""Seconds between looks whether another process has done it."""

_LOCK = 7_235_467_001
"""Key of the advisory lock that makes replicas that boot at once wait for each other; any fixed number would do."""
_TABLE = """
create table if not exists leveret_migration (
    name text primary key,
    applied_at timestamptz not null default now()
)
"""
_NO_TRANSACTION = "-- no transaction\n"
_NEW_INDEX = re.compile(r"create (?:unique )?index concurrently if not exists (\w+)", re.IGNORECASE)
_OLD_TRANSACTIONS = """
select pid, usename, application_name, extract(epoch from now() - xact_start)::int as seconds from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and xact_start < now() - interval '1 second'
order by xact_start limit 3
"""


def available() -> dict[str, str]:
    """Name → SQL of every migration in the package, in the order they apply."""
    found = [entry for entry in files("leveret_core.store").joinpath("migrations").iterdir() if entry.name.endswith(".sql")]
    return {entry.name.removesuffix(".sql"): entry.read_text(encoding="utf-8") for entry in sorted(found, key=lambda e: e.name)}


async def pending(connection: Connection) -> list[str]:
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


async def pending_migrations(database_url: str) -> list[str]:
    """Names of the migrations that a database lacks.

    Raises:
        ConfigurationError: Postgres cannot be used, or its tables are newer than this program.
    """
    try:
        connection = await asyncpg.connect(database_url, timeout=10)
    except Exception as error:
        raise ConfigurationError(
            f"Postgres cannot be used ({told(error, database_url)}); check LEVERET_DATABASE_URL and that the server runs"
        ) from error
    try:
        return await pending(connection)
    finally:
        await connection.close(timeout=5)


async def migrate(database_url: str, *, patience: float = PATIENCE) -> list[str]:
    """Bring the database up to date. Safe when many processes call it at once, and while others read and write.

    Args:
        database_url: `postgresql://…` of a role that may create tables.
        patience: seconds to go on trying for the lock on a table that another transaction keeps. Default 300.

    Returns:
        Names of the migrations this call applied.

    Raises:
        ConfigurationError: Postgres cannot be reached, its schema is newer than this program, or a foreign transaction
            kept a table all the while; the message names it.
    """
    migrations = available()
    done: list[str] = []
    async with _connected(database_url) as guard, guard.transaction():
        # The lock ends with its transaction, also behind a transaction pooler. It is held on a connection of its own: what runs
        # outside a transaction could not hold it.
        await guard.execute("set local idle_in_transaction_session_timeout = 0", timeout=10)
        await _take_turn(guard)
        async with _connected(database_url) as connection:
            await connection.execute(_TABLE, timeout=10)
            for name in await pending(connection):
                if migrations[name].startswith(_NO_TRANSACTION):
                    await _statements(connection, migrations[name])
                    await connection.execute("insert into leveret_migration (name) values ($1)", name, timeout=10)
                else:
                    await _transaction(connection, name, migrations[name], patience)
                done.append(name)
    return done


@asynccontextmanager
async def _connected(database_url: str) -> AsyncGenerator[Connection]:
    try:
        connection = await asyncpg.connect(database_url, timeout=10, server_settings={"application_name": "leveret migrate"})
    except (OSError, TimeoutError, asyncpg.PostgresError, ValueError) as error:
        raise ConfigurationError(
            f"Postgres cannot be used ({told(error, database_url)}); check LEVERET_DATABASE_URL and that the server runs"
        ) from error
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


async def _take_turn(guard: Connection) -> None:
    # Neither by a statement that waits nor by a prepared one, whose portal stays open: a snapshot that is held here, or by a
    # process that waits for its turn, would keep `create index concurrently` from ending.
    until = time.monotonic() + TURN_TIMEOUT
    while await guard.execute(f"select 1 where pg_try_advisory_xact_lock({_LOCK})", timeout=10) != "SELECT 1":
        if time.monotonic() >= until:
            raise ConfigurationError("another process has been migrating this database for an hour; see what it waits for")
        await asyncio.sleep(TURN_PAUSE)


async def _transaction(connection: Connection, name: str, sql: str, patience: float) -> None:
    until = time.monotonic() + patience
    while True:
        try:
            async with connection.transaction():
                await connection.execute(f"set local lock_timeout = {int(LOCK_TIMEOUT * 1000)}", timeout=10)
                await connection.execute(sql, timeout=TURN_TIMEOUT)
                await connection.execute("insert into leveret_migration (name) values ($1)", name, timeout=10)
            return
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            keepers = [
                f"pid {row['pid']} ({row['application_name'] or row['usename']}) for {row['seconds']} s"
                for row in await connection.fetch(_OLD_TRANSACTIONS, timeout=10)
            ]
            told = f"migration {name} waits for a table; open transactions: {', '.join(keepers) or 'none is old'}"
            if time.monotonic() >= until:
                raise ConfigurationError(f"{told}; gave up after {patience:.0f} s: end them, then migrate again") from error
            log.warning("%s; trying again", told)
            await asyncio.sleep(random.uniform(*LOCK_PAUSE))


async def _statements(connection: Connection, sql: str) -> None:
    for statement in filter(None, (part.strip() for part in _without_comments(sql).split(";"))):
        if new := _NEW_INDEX.match(statement):
            # What a try left behind that did not come to its end is of no use, and stands in the way.
            invalid = await connection.fetchval(
                "select true from pg_index where indexrelid = to_regclass($1) and not indisvalid", new[1], timeout=10
            )
            if invalid:
                await connection.execute(f"drop index concurrently if exists {new[1]}", timeout=TURN_TIMEOUT)
        await connection.execute(statement, timeout=TURN_TIMEOUT)


def _without_comments(sql: str) -> str:
    return "\n".join(line for line in sql.splitlines() if not line.lstrip().startswith("--"))
