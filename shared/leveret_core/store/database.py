"""The Postgres pool. Every acquire and every query has a deadline; nothing waits for ever."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from typing import Any, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from asyncpg.transaction import Transaction

from leveret_core.cancellation import heed_cancellation
from leveret_core.errors import ConfigurationError
from leveret_core.service_urls import told
from leveret_core.store.errors import is_contention, is_data_error, is_unavailable

log = logging.getLogger(__name__)

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
"""A connection borrowed from the pool."""

ACQUIRE_TIMEOUT = 5.0
"""Seconds to wait for a free connection."""
QUERY_TIMEOUT = 10.0
"""Seconds one statement may take, unless a call says otherwise."""

CLOSE_TIMEOUT = 2.0
"""Seconds in which Postgres may still end what a connection was at that is not used again."""


@cache
def sql(name: str) -> str:
    """The statement in `<name>.sql` beside the module that uses it, e.g. `sql("attempts/claim")`."""
    return files("leveret_core.store").joinpath(f"{name}.sql").read_text(encoding="utf-8")


class Database:
    """A pool of connections to one Postgres database.

    Args:
        url: `postgresql://…`.
        pool_size: connections at most. Default 8.
        application_name: shown in `pg_stat_activity`.
        idle_in_transaction: seconds after which Postgres ends a transaction that does nothing (a frozen process must not
            hold a lock for ever); None leaves the server's own setting. Default 10.
    """

    def __init__(
        self, url: str, *, pool_size: int = 8, application_name: str = "leveret", idle_in_transaction: float | None = 10.0
    ) -> None:
        self.url = url
        self._pool_size = pool_size
        self._application_name = application_name
        self._session = {"timezone": "UTC", "jit": "off"}
        if idle_in_transaction is not None:
            self._session["idle_in_transaction_session_timeout"] = str(int(idle_in_transaction * 1000))
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Open the pool.

        Raises:
            ConfigurationError: the server cannot be reached, or refuses the user or the database.
        """
        if self._pool is not None:
            return
        try:
            self._pool = await asyncpg.create_pool(
                self.url,
                min_size=0,
                max_size=self._pool_size,
                timeout=ACQUIRE_TIMEOUT,
                command_timeout=QUERY_TIMEOUT,
                max_inactive_connection_lifetime=60,
                server_settings={"application_name": self._application_name},
                init=self._set_up,
                # Nothing of ours leaves state in a session; asyncpg's own reset would be a round trip with each release.
                reset=_leave_as_it_is,
            )
            await self._pool.fetchval("select 1", timeout=ACQUIRE_TIMEOUT)
        except Exception as error:
            await self.stop()
            raise ConfigurationError(
                f"Postgres cannot be used ({told(error, self.url)}); check LEVERET_DATABASE_URL and the server"
            ) from error

    async def _set_up(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        # Not by parameters of the connection's start, most of which a pooler such as PgBouncer refuses.
        names, values = list(self._session), list(self._session.values())
        await connection.execute(
            "select set_config(name, value, false) from unnest($1::text[], $2::text[]) as given (name, value)",
            names,
            values,
            timeout=ACQUIRE_TIMEOUT,
        )

    async def stop(self) -> None:
        """Close the pool, by force after 5 s. Safe to call twice and before `start`."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            await _closed(pool)
        except Exception as error:
            log.debug("database: the pool did not close in order: %r", error)
            pool.terminate()
        if self._closing:
            await asyncio.wait(self._closing, timeout=CLOSE_TIMEOUT)

    @property
    def pool(self) -> asyncpg.Pool[asyncpg.Record]:
        """The open pool."""
        if self._pool is None:
            raise RuntimeError("Database.start() has not been called")
        return self._pool

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """A connection for the length of the block.

        It goes back to the pool only if it is certainly sound: after a block that ended well, or in an error of its own, or in
        Postgres's word that data or a lock was at fault. After anything else, and when the block was cancelled, it is closed,
        and the next block gets another one, perhaps to another server of a URL that names several.

        Raises:
            asyncio.CancelledError: also when the cancellation was lost in a call that had ended just then.
        """
        pool = self.pool
        connection = await pool.acquire(timeout=ACQUIRE_TIMEOUT)
        try:
            heed_cancellation()
            yield connection
            heed_cancellation()
        except BaseException as error:
            if _is_sound_after(error):
                await _give_back(pool, connection)
            else:
                self._discard(connection, error)
            heed_cancellation()
            raise
        await _give_back(pool, connection)
        heed_cancellation()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Connection]:
        """A connection inside one transaction: committed at the end of the block, rolled back when it raises."""
        async with self.connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                yield connection
                heed_cancellation()
            except Exception as error:
                if _is_sound_after(error):
                    await _roll_back(connection, transaction)
                raise
            await transaction.commit()

    async def fetch(self, name: str, *args: object, timeout: float = QUERY_TIMEOUT) -> list[asyncpg.Record]:
        """All rows of the statement `name` (`folder/file`), within `timeout` seconds plus the wait for a connection."""
        async with self.connection() as connection:
            return await connection.fetch(sql(name), *args, timeout=timeout)

    async def fetchrow(self, name: str, *args: object, timeout: float = QUERY_TIMEOUT) -> asyncpg.Record | None:
        """The first row of the statement `name`, or None."""
        async with self.connection() as connection:
            return await connection.fetchrow(sql(name), *args, timeout=timeout)

    async def fetchval(self, name: str, *args: object, timeout: float = QUERY_TIMEOUT) -> Any:
        """The first column of the first row of the statement `name`, or None."""
        async with self.connection() as connection:
            return await connection.fetchval(sql(name), *args, timeout=timeout)

    async def execute(self, name: str, *args: object, timeout: float = QUERY_TIMEOUT) -> str:
        """Run the statement `name`; returns Postgres's command tag."""
        async with self.connection() as connection:
            return await connection.execute(sql(name), *args, timeout=timeout)

    def _discard(self, connection: Connection, error: BaseException) -> None:
        """Close it without waiting: the task that was cancelled must end now."""
        if not isinstance(error, asyncio.CancelledError | TimeoutError):
            _terminate(connection)
            return
        # Postgres is at a statement, or waits for a lock, and would go on in vain: closing in order cancels that.
        task = asyncio.create_task(_close(connection))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _is_sound_after(error: BaseException) -> bool:
    """Whether a connection can be used again that was in use when `error` was raised."""
    if isinstance(error, asyncpg.PostgresError):
        return is_data_error(error) or is_contention(error)
    return isinstance(error, Exception) and not is_unavailable(error)


async def _give_back(pool: asyncpg.Pool[asyncpg.Record], connection: Connection) -> None:
    try:
        await pool.release(connection)
    except Exception as error:
        # What was done with it is done all the same.
        log.debug("database: a connection was not given back: %r", error)
        _terminate(connection)


async def _roll_back(connection: Connection, transaction: Transaction) -> None:
    try:
        await transaction.rollback()
    except Exception as error:
        # Postgres rolls back what loses its connection; what went wrong before is what the caller is to hear.
        log.debug("database: a transaction was not rolled back in order: %r", error)
        _terminate(connection)


def _terminate(connection: Connection) -> None:
    # What has broken already is out of the pool, and its proxy refuses any call.
    with contextlib.suppress(asyncpg.InterfaceError):
        connection.terminate()


async def _close(connection: Connection) -> None:
    try:
        await connection.close(timeout=CLOSE_TIMEOUT)
    except Exception as error:
        log.debug("database: a connection did not close in order: %r", error)
        _terminate(connection)


async def _leave_as_it_is(_: object) -> None: ...


async def _closed(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    async with asyncio.timeout(5):
        await pool.close()


def columns(rows: Sequence[Sequence[Any]], count: int) -> list[list[Any]]:
    """Rows turned into `count` columns, as `unnest` wants them."""
    return [[row[index] for row in rows] for index in range(count)]
