"""Leveret behind PgBouncer: with sessions of its own it works, without it says what to change."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from leveret_core.store.database import Database
from support.command_line import run_leveret
from support.pgbouncer import PgBouncerProcess
from support.servers import NotAvailable


def _behind(database_url: str, mode: str) -> Iterator[PgBouncerProcess]:
    try:
        pooler = PgBouncerProcess(database_url, mode)
    except NotAvailable as error:
        pytest.skip(str(error))
    try:
        pooler.start()
        yield pooler
    finally:
        pooler.remove()


@pytest.fixture
def session_pooler(empty_database_url: str) -> Iterator[PgBouncerProcess]:
    yield from _behind(empty_database_url, "session")


@pytest.fixture
def transaction_pooler(empty_database_url: str) -> Iterator[PgBouncerProcess]:
    yield from _behind(empty_database_url, "transaction")


async def test_a_pooler_that_gives_sessions_needs_no_settings_of_its_own(session_pooler: PgBouncerProcess) -> None:
    done = await run_leveret("migrate", env={"LEVERET_DATABASE_URL": session_pooler.url})
    assert done.code == 0, done.err
    database = Database(session_pooler.url, idle_in_transaction=3)
    await database.start()
    try:
        async with database.transaction() as connection:
            assert await connection.fetchval("select current_setting('idle_in_transaction_session_timeout')") == "3s"
            assert await connection.fetchval("select current_setting('jit')") == "off"
            assert await connection.fetchval("select current_setting('timezone')") == "UTC"
    finally:
        await database.stop()


@pytest.mark.parametrize("command", [("migrate",), ("api", "--port", "0")])
async def test_behind_one_that_shares_sessions_it_refuses_to_start(
    transaction_pooler: PgBouncerProcess, command: tuple[str, ...]
) -> None:
    done = await run_leveret(*command, env={"LEVERET_DATABASE_URL": transaction_pooler.url})
    assert done.code != 0
    assert "pool_mode session" in done.err
    assert "Traceback" not in done.err


async def test_the_doctor_tells_it_too(transaction_pooler: PgBouncerProcess) -> None:
    done = await run_leveret("doctor", "--json", env={"LEVERET_DATABASE_URL": transaction_pooler.url})
    found = {check["name"]: check for check in done.json()["checks"] if check["service"] == "postgres"}
    assert found["pooler"]["status"] == "fail"
    assert "pool_mode session" in found["pooler"]["advice"]
