"""Runs planned by users' own transactions: there if these commit, gone if they roll back. And the page that tells of it."""

from __future__ import annotations

import ast
import asyncio
import json
import re
import textwrap
from collections.abc import AsyncGenerator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from leveret_core.store.database import Database
from leveret_core.supervision import Steps
from leveret_dispatcher.schedule.commit_listener import CommitListener
from support.control import Control
from support.eventually import eventually

DOCS = (Path(__file__).parents[2] / "docs/transactional-enqueue.md").read_text()
User: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture
async def control(database_url: str) -> AsyncGenerator[Control]:
    database = Database(database_url, pool_size=10)
    await database.start()
    made = Control(database)
    yield made
    violations = await made.violations()
    await database.stop()
    assert violations == []


@pytest.fixture
async def user(control: Control) -> AsyncGenerator[User]:
    """A connection of a program of the user's own, whose role may call the function and nothing else of Leveret's."""
    role = "shop_" + urlsplit(control.db.url).path[-12:]
    await control.db.pool.execute(f"create role {role} login password 'shop'; create table orders (id bigint, email text)")
    await control.db.pool.execute(f"grant execute on function leveret_trigger to {role}; grant all on orders to {role}")
    parts = urlsplit(control.db.url)
    connection = await asyncpg.connect(urlunsplit(parts._replace(netloc=f"{role}:shop@{parts.hostname}:{parts.port}")))
    yield connection
    await connection.close()
    await control.db.pool.execute(f"drop owned by {role}; drop role {role}")


async def test_a_run_exists_if_the_transaction_commits_and_is_seen_by_nobody_before(control: Control, user: User) -> None:
    job = await control.job(payload={"a": 1}, priority=2)
    async with user.transaction():
        id_ = await user.fetchval("select leveret_trigger('job')")
        assert await control.states(job) == []
        assert await control.admitter(await control.term()).run_once() is None
    row = await control.row(id_)
    assert (row["state"], row["payload"], row["priority"], row["origin"]) == ("scheduled", '{"a": 1}', 2, "manual")
    await control.admitter(await control.term()).run_once()
    assert await control.states(job) == ["pending"]
    audit = await control.db.pool.fetchrow("select actor, action from audit where occurrence_id = $1", id_)
    assert audit is not None
    assert audit["actor"].startswith("sql:shop_")


async def test_a_rollback_leaves_nothing(control: Control, user: User) -> None:
    job = await control.job()
    transaction = user.transaction()
    await transaction.start()
    await user.execute("insert into orders values (1, 'ann')")
    await user.fetchval("select leveret_trigger('job', '{\"b\": 2}', now() + interval '1 hour', 9, 'k')")
    await transaction.rollback()
    assert await control.states(job) == []
    assert await control.db.pool.fetchval("select count(*) from audit") == 0
    again = await user.fetchval("select leveret_trigger('job', idempotency_key => 'k')")
    assert await control.states(job) == ["scheduled"]
    assert await user.fetchval("select leveret_trigger('job', idempotency_key => 'k', priority => 1)") == again


async def test_a_long_transaction_keeps_nobody_waiting(control: Control, user: User) -> None:
    job = await control.job(concurrency="queue")
    worker = await control.worker()
    async with user.transaction():
        await user.fetchval("select leveret_trigger('job')")
        async with asyncio.timeout(5):
            async with control.db.transaction() as connection:
                await connection.execute("select from job where id = $1 for no key update", job)
            other = await control.db.pool.fetchval("select leveret_trigger('job')")
            await control.admitter(await control.term()).run_once()
            assert (await control.claim(worker, other)).status == "granted"
    await control.admitter(await control.term()).run_once()
    assert await control.states(job) in (["waiting", "running"], ["running", "waiting"])


async def test_a_role_without_a_grant_may_not_and_one_with_a_grant_may_nothing_else(control: Control, user: User) -> None:
    await control.job()
    for statement in ("select * from occurrence", "insert into audit (actor, action) values ('a', 'b')", "select * from job"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await user.execute(statement)
    # What the caller's own path says is of no meaning.
    await user.execute("create temp table job (id bigint, name text); set search_path = pg_temp, public")
    assert await user.fetchval("select leveret_trigger('job')") > 0
    role = await user.fetchval("select session_user")
    await control.db.pool.execute(f"revoke execute on function leveret_trigger from {role}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await user.fetchval("select leveret_trigger('job')")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ("'nobody'", asyncpg.UndefinedObjectError, "there is no job named nobody"),
        ("null", asyncpg.UndefinedObjectError, "there is no job named null"),
        ("'job', '[1]'", asyncpg.InvalidParameterValueError, "must be a JSON object, not array"),
        ("'job', 'null'", asyncpg.InvalidParameterValueError, "must be a JSON object, not null"),
        (
            "'job', jsonb_build_object('x', repeat('x', 262144))",
            asyncpg.ProgramLimitExceededError,
            "has 262153 bytes of JSON; at most 262144",
        ),
        ("'job', '{\"x\": 1e400}'", asyncpg.InvalidParameterValueError, "a number beyond 1e308"),
        ("'job', '{\"x\": [{\"y\": -1e309}]}'", asyncpg.InvalidParameterValueError, "a number beyond 1e308"),
        ("'job', (repeat('{\"a\":', 65) || '1' || repeat('}', 65))::jsonb", asyncpg.InvalidParameterValueError, "64 levels"),
        ("'job', priority => 10", asyncpg.InvalidParameterValueError, "from 0 to 9, not 10"),
        ("'job', idempotency_key => ''", asyncpg.InvalidParameterValueError, "from 1 to 200 characters, not 0"),
        ("'job', idempotency_key => repeat('k', 201)", asyncpg.InvalidParameterValueError, "not 201"),
        ("'job', at => 'infinity'", asyncpg.InvalidParameterValueError, "more than 10 years away"),
    ],
)
async def test_a_wrong_call_says_what_is_wrong(
    control: Control, user: User, call: str, error: type[Exception], message: str
) -> None:
    job = await control.job()
    with pytest.raises(error, match=re.escape(message)) as raised:
        await user.fetchval(f"select leveret_trigger({call})")
    if error is asyncpg.UndefinedObjectError:
        assert "leveret jobs create" in raised.value.hint  # type: ignore[attr-defined]
    assert await control.states(job) == []


async def test_what_is_just_allowed_is_taken_and_the_limit_can_be_changed(control: Control, user: User) -> None:
    job = await control.job(concurrency="allow")
    await user.fetchval("select leveret_trigger('job', (repeat('{\"a\":', 64) || '1e307' || repeat('}', 64))::jsonb)")
    await user.fetchval("select leveret_trigger('job', jsonb_build_object('x', repeat('x', 262135)))")
    await user.fetchval("select leveret_trigger('job', at => '-infinity')")
    await user.execute("set leveret.payload_limit = '300000'")
    await user.fetchval("select leveret_trigger('job', jsonb_build_object('x', repeat('x', 270000)))")
    assert await control.states(job) == ["scheduled"] * 4
    await control.admitter(await control.term()).run_once()
    assert await control.states(job) == ["pending"] * 4


async def test_the_second_of_two_with_one_key_gets_the_first_ones_run_or_its_own_after_a_rollback(
    control: Control, user: User
) -> None:
    job = await control.job(concurrency="allow")
    call = "select leveret_trigger('job', idempotency_key => $1)"
    for key, commits in (("a", True), ("b", False)):
        transaction = user.transaction()
        await transaction.start()
        first = await user.fetchval(call, key)
        second = asyncio.create_task(control.db.pool.fetchval(call, key))

        async def second_waits() -> None:
            waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
            assert await control.db.pool.fetchval(waiting) == 1

        await eventually(second_waits, timeout=5, interval=0.02)
        await (transaction.commit() if commits else transaction.rollback())
        assert (await second == first) == commits
    assert await control.states(job) == ["scheduled"] * 2


async def test_the_listener_hears_of_commits_also_after_its_connection_was_lost(
    control: Control, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leveret_dispatcher.schedule.commit_listener.RETRY", 0.05)
    await control.job(concurrency="allow")
    heard = asyncio.Event()
    listening = asyncio.create_task(CommitListener(control.db.url, heard.set, Steps("listener", 60)).run())
    try:
        for _ in range(2):
            # The first call is for what was committed before.
            await asyncio.wait_for(heard.wait(), 5)
            heard.clear()
            async with user.transaction():
                await user.fetchval("select leveret_trigger('job')")
                await asyncio.sleep(0.1)
                assert not heard.is_set(), "nothing is committed yet"
            await asyncio.wait_for(heard.wait(), 5)
            heard.clear()
            ended = await control.db.pool.fetchval(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'leveret listener'"
                " and datname = current_database()"
            )
            assert ended == 1
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


# --- the page ---------------------------------------------------------------------------------------------------------


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS, re.DOTALL)


async def test_the_sql_of_the_page_runs(control: Control, user: User) -> None:
    job = await control.job("send-receipt")
    script, grant = blocks("sql")
    role = await user.fetchval("select session_user")
    await control.db.pool.execute(f"revoke execute on function leveret_trigger from {role}")
    await control.db.pool.execute(grant.replace("shop", role))
    await user.execute(script)
    assert await control.states(job) == ["scheduled"]
    assert await user.fetchval("select email from orders where id = 4711") == "ann@example.com"


async def test_the_asyncpg_example_of_the_page_runs(control: Control, user: User) -> None:
    job = await control.job("send-receipt")
    example = next(block for block in blocks("python") if "fetchval" in block)
    scope: dict[str, Any] = {"json": json}
    source = "async def example(connection, order_id, email):\n" + textwrap.indent(example, "    ")
    exec(source, scope)
    await scope["example"](user, 12, "bob@example.com")
    row = await control.db.pool.fetchrow("select payload, idempotency_key, state from occurrence where job_id = $1", job)
    assert row is not None
    assert tuple(row) == ('{"order": 12}', "receipt-12", "scheduled")


async def test_the_psycopg_example_of_the_page_sends_statements_that_run(control: Control, user: User) -> None:
    """psycopg is no dependency of the tests: what the example gives it goes to Postgres through asyncpg."""
    job = await control.job("send-receipt")
    example = next(block for block in blocks("python") if "Jsonb" in block)
    sent: list[tuple[str, tuple[Any, ...]]] = []

    class Transaction:
        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    def execute(text: str, values: tuple[Any, ...]) -> None:
        sent.append((text, values))

    connection = SimpleNamespace(transaction=Transaction, execute=execute)
    ast.parse(example)
    exec(example, {"connection": connection, "order_id": 12, "email": "cleo", "Jsonb": json.dumps})
    for text, values in sent:
        statement = text
        for number in range(1, len(values) + 1):
            statement = statement.replace("%s", f"${number}", 1)
        # psycopg sends a Jsonb as jsonb.
        statement = statement.replace("'send-receipt', $1", "'send-receipt', $1::text::jsonb")
        await user.execute(statement, *values)
    assert await control.states(job) == ["scheduled"]
