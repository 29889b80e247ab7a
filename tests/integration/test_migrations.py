"""Migrations of a database that others use: nobody waits for them for long, and what a crash left half done is done again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import TypeAlias

import asyncpg
import pytest

from leveret_core.errors import ConfigurationError
from leveret_core.store import migrate as migrations
from leveret_core.store.migrate import available, migrate
from support.eventually import eventually

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture
async def connection(database_url: str) -> AsyncGenerator[Connection]:
    """To a database that is up to date but for what the test takes back."""
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def other(database_url: str) -> AsyncGenerator[Connection]:
    """Somebody else's connection."""
    opened = await asyncpg.connect(database_url, server_settings={"application_name": "shop"})
    yield opened
    await opened.close()


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more migration, which needs the whole of the table of jobs for a moment."""
    all_of_them = available() | {"9999_probe": "alter table job add column probe integer;"}
    monkeypatch.setattr(migrations, "available", lambda: all_of_them)


@pytest.mark.usefixtures("probe")
async def test_a_transaction_that_is_left_open_holds_up_the_migration_and_nobody_else(
    database_url: str,
    connection: Connection,
    other: Connection,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT", 0.3)
    monkeypatch.setattr(migrations, "LOCK_PAUSE", (0.1, 0.1))
    caplog.set_level(logging.WARNING)
    await connection.execute("""insert into job (name, type, trigger, retry) values ('a', 'a.b', '{"kind": "manual"}', '{}')""")
    open_one = other.transaction()
    await open_one.start()
    await other.execute("select leveret_trigger('a')")
    migrating = asyncio.create_task(migrate(database_url))

    async def it_waits() -> None:
        assert await connection.fetchval("select exists (select from pg_locks where not granted)")

    await eventually(it_waits)
    # Behind the waiting migration: without its bound this would wait for the other's commit, too.
    assert await connection.fetchval("select count(*) from job", timeout=5) == 1

    def it_is_told() -> None:
        assert "9999_probe waits for a table" in caplog.text
        assert "(shop)" in caplog.text

    await asyncio.sleep(1.1)  # a transaction younger than a second is not named
    await eventually(it_is_told)
    await open_one.commit()
    assert await migrating == ["9999_probe"]


@pytest.mark.usefixtures("probe")
async def test_it_gives_up_in_the_end_and_names_who_keeps_the_table(
    database_url: str, other: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT", 1.2)
    async with other.transaction():
        await other.execute("lock table job in access share mode")
        with pytest.raises(ConfigurationError, match=r"9999_probe waits for a table.*\(shop\).*gave up after 0 s"):
            await migrate(database_url, patience=0)
    assert await migrate(database_url) == ["9999_probe"]


async def test_an_index_that_a_crash_left_invalid_is_made_again(database_url: str, connection: Connection) -> None:
    await connection.execute("delete from leveret_migration where name = '0002_backfill_indexes'")
    await connection.execute("update pg_index set indisvalid = false where indexrelid = 'occurrence_dead'::regclass")
    assert await migrate(database_url) == ["0002_backfill_indexes"]
    assert await connection.fetchval("select indisvalid from pg_index where indexrelid = 'occurrence_dead'::regclass")


async def test_writers_go_on_while_an_index_is_made(database_url: str, connection: Connection, other: Connection) -> None:
    await connection.execute("delete from leveret_migration where name = '0006_put_off'")
    async with other.transaction():
        await other.execute("update job set name = name")
        await other.execute("delete from occurrence")  # its lock keeps a plain `create index` waiting, and writers behind it
        migrating = asyncio.create_task(migrate(database_url))

        async def it_waits() -> None:
            assert await connection.fetchval("select exists (select from pg_locks where not granted)")

        await eventually(it_waits)
        await connection.execute("delete from occurrence", timeout=5)
    assert await migrating == ["0006_put_off"]


async def test_many_at_once_make_every_index_once(empty_database_url: str) -> None:
    applied = await asyncio.gather(*(migrate(empty_database_url) for _ in range(4)))
    assert sorted(applied, key=len)[-1] == list(available())
    assert sum(map(len, applied)) == len(available())
    connection = await asyncpg.connect(empty_database_url)
    try:
        assert await connection.fetchval("select count(*) from pg_index where not indisvalid") == 0
        assert await connection.fetchval("select to_regclass('occurrence_rung') is not null")
    finally:
        await connection.close()
