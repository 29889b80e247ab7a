"""Connections that may not be used again are not, whose fault a failure is, and cancellations that get lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import pytest

from leveret_core.store import database as module
from leveret_core.store.database import Database
from leveret_core.store.errors import is_contention, is_data_error, is_unavailable
from support.eventually import eventually
from support.proxy import Proxy

PID = "select pg_backend_pid()"


@pytest.fixture
async def db(database_url: str) -> AsyncGenerator[Database]:
    """With one connection: the next block gets the same one, unless it was thrown away."""
    database = Database(database_url, pool_size=1)
    await database.start()
    yield database
    await database.stop()


async def fails(db: Database, statement: str, *args: object) -> Exception:
    with pytest.raises(Exception) as failure:  # noqa: PT011
        async with db.transaction() as connection:
            await connection.execute(statement, *args)
    return failure.value


async def pid(db: Database) -> int:
    async with db.connection() as connection:
        found: int = await connection.fetchval(PID)
        return found


DEEP = "[" * 100_000


AT_FAULT: list[tuple[str, tuple[Any, ...]]] = [
    ("select $1::int", (2**31,)),
    ("select $1::bigint", (2**63,)),
    ("select $1::uuid", ("no",)),
    ("select $1::text", ("a\0b",)),
    ("select $1::text", ("\ud83d",)),
    ("select $1::text", (3,)),
    ("select $1::jsonb", ('{"a": "\\u0000"}',)),
    ("select $1::jsonb", (DEEP,)),
    ("select 1 / $1::int", (0,)),
    ("select (select generate_series(1, $1::int))", (2,)),
    ("insert into job (name) values ($1)", (None,)),
    ("do $$ begin raise exception 'no such change'; end $$", ()),
]


async def test_data_is_at_fault_and_the_connection_stays(db: Database) -> None:
    before = await pid(db)
    for statement, args in AT_FAULT:
        error = await fails(db, statement, *args)
        assert is_data_error(error), repr(error)
        assert not is_unavailable(error)
        assert await pid(db) == before


def raising(state: str) -> str:
    return f"do $$ begin raise exception 'no' using errcode = '{state}'; end $$"


OF_THE_MOMENT = ("08006", "25006", "53100", "53300", "57014", "57P01", "57P03", "58030", "XX000", "42P01", "28000")


async def test_anything_else_is_tried_again_on_another_connection(db: Database) -> None:
    for state in OF_THE_MOMENT:
        before = await pid(db)
        error = await fails(db, raising(state))
        assert is_unavailable(error), repr(error)
        assert not is_data_error(error)
        assert await pid(db) != before, state


async def test_whoever_met_others_keeps_the_connection(db: Database) -> None:
    before = await pid(db)
    for state in ("40001", "40P01", "55P03"):
        error = await fails(db, raising(state))
        assert is_contention(error)
        assert is_unavailable(error)
        assert await pid(db) == before, state


@pytest.mark.parametrize("error", [asyncpg.InternalClientError(), asyncpg.InterfaceError("closed"), OSError(), TimeoutError()])
def test_the_driver_and_the_network_are_not_the_data(error: Exception) -> None:
    assert is_unavailable(error)
    assert not is_data_error(error)


def test_an_error_of_our_own_is_neither() -> None:
    assert not is_unavailable(ValueError())
    assert not is_data_error(ValueError())


async def test_an_error_of_its_own_costs_a_block_no_connection(db: Database) -> None:
    async def work() -> None:
        async with db.transaction() as connection:
            await connection.execute("create table nothing_of_this (a int)")
            raise KeyError

    before = await pid(db)
    with pytest.raises(KeyError):
        await work()
    assert await pid(db) == before
    async with db.connection() as connection:
        assert await connection.fetchval("select to_regclass('nothing_of_this')") is None


class Watched:
    """Work in a block of its own, by a backend that another connection can look for and end."""

    def __init__(self, database: Database, observer: asyncpg.Connection[asyncpg.Record]) -> None:
        self.pid: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.go_on = asyncio.Event()
        self._database = database
        self._observer = observer

    async def run(self, statement: str, timeout: float = 60) -> None:
        async with self._database.transaction() as connection:
            self.pid.set_result(await connection.fetchval(PID))
            await self.go_on.wait()
            await connection.execute(statement, timeout=timeout)

    async def gone(self) -> bool:
        found: int = await self._observer.fetchval("select count(*) from pg_stat_activity where pid = $1", await self.pid)
        return found == 0


@pytest.fixture
async def observer(database_url: str) -> AsyncGenerator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def test_a_backend_that_is_ended_between_two_statements_is_nobody_s_fault(
    db: Database, observer: asyncpg.Connection[asyncpg.Record]
) -> None:
    watched = Watched(db, observer)
    task = asyncio.create_task(watched.run("select 1"))
    await observer.execute("select pg_terminate_backend($1)", await watched.pid)
    watched.go_on.set()
    # In most cases as "cannot switch to state 15; another operation (2) is in progress".
    (error,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(error, Exception)
    assert is_unavailable(error), repr(error)
    assert await pid(db) != watched.pid.result()


async def test_a_cancelled_block_ends_its_statement_and_its_connection(
    db: Database, observer: asyncpg.Connection[asyncpg.Record]
) -> None:
    watched = Watched(db, observer)
    watched.go_on.set()
    task = asyncio.create_task(watched.run("select pg_sleep(60)"))
    await watched.pid
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(watched.gone)
    assert await pid(db) != watched.pid.result()


async def test_a_statement_that_takes_too_long_is_not_left_behind(
    db: Database, observer: asyncpg.Connection[asyncpg.Record]
) -> None:
    watched = Watched(db, observer)
    watched.go_on.set()
    with pytest.raises(TimeoutError):
        await watched.run("select pg_sleep(60)", timeout=0.1)
    await eventually(watched.gone)


async def test_a_cancellation_that_its_call_swallowed_is_raised(db: Database) -> None:
    """As asyncio.wait_for does on Python 3.11 when the call ends in the moment in which it is cancelled."""
    went_on = False

    async def work() -> None:
        nonlocal went_on
        async with db.connection():
            with contextlib.suppress(asyncio.CancelledError):
                began.set()
                await asyncio.Event().wait()
        went_on = True

    began = asyncio.Event()
    task = asyncio.create_task(work())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not went_on


async def test_stopping_waits_no_longer_than_it_must_for_a_frozen_server(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.2)
    async with Proxy(database_url) as proxy:
        database = Database(proxy.url, pool_size=1)
        await database.start()
        proxy.blackhole()
        with pytest.raises(TimeoutError):
            async with database.connection() as connection:
                await connection.execute("select 1", timeout=0.1)
        async with asyncio.timeout(3):
            await database.stop()
