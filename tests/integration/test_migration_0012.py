"""Slots move into the rows of their holders; processes of the release before, for which they are a table, go on beside."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import asyncpg
import pytest

from leveret_core.store import migrate as migrations
from leveret_core.store.commands.occurrences import trigger_job
from leveret_core.store.database import Database
from leveret_core.store.jobs import changes as job_changes
from leveret_core.store.migrate import available, migrate
from leveret_core.store.slots.release import repair_slots
from support import last_release
from support.control import Control, finished

Connection = last_release.Connection


@pytest.fixture
async def control(database_url: str) -> AsyncGenerator[Control]:
    database = Database(database_url, pool_size=10)
    await database.start()
    yield Control(database)
    await database.stop()


@pytest.fixture
async def old(control: Control) -> AsyncGenerator[Connection]:
    """The connection of a replica of the release before."""
    opened = await asyncpg.connect(control.db.url)
    yield opened
    await opened.close()


async def triggered(control: Control, job: int) -> int:
    return (await trigger_job(control.db, job, actor="test")).occurrence_id


async def test_slots_of_the_release_before_are_held_and_given_back_after_the_migration(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: statements for name, statements in available().items() if name < "0012"}
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "available", lambda: before)
        await migrate(empty_database_url)
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute(
        """insert into job (name, type, trigger, retry, concurrency)
           select 'job-' || n, 'a.b', '{"kind": "manual"}', '{}', 'queue' from generate_series(1, 2) n"""
    )
    held = await last_release.create(connection, 1, 1)
    waits = await last_release.create(connection, 1, None, "waiting")
    assert await last_release.slots_of(connection, 1) == {1: held}
    await migrate(empty_database_url)
    # The same connection, whose statements are prepared already.
    assert await last_release.slots_of(connection, 1) == {1: held}
    other = await last_release.create(connection, 2, 1)
    with pytest.raises(asyncpg.UniqueViolationError):
        await last_release.create(connection, 2, 1)
    assert [tuple(row) for row in await connection.fetch("select * from slot order by job_id")] == [
        (1, "", 1, held),
        (2, "", 1, other),
    ]
    await connection.execute("update occurrence set state = 'cancelled', finished_at = now() where id = $1", held)
    assert [row["job_id"] for row in await connection.fetch(last_release.FREE, [held])] == [1]
    assert [row["id"] for row in await connection.fetch(last_release.ADMIT_NEXT, [1], [""])] == [waits]
    assert await last_release.slots_of(connection, 1) == {1: waits}
    await connection.close()


async def test_what_the_release_before_began_is_counted_and_ended(control: Control, old: Connection) -> None:
    worker, job = await control.worker(), await control.job(concurrency="queue")
    first = await last_release.create(old, job, 1)
    second = await triggered(control, job)
    assert (await control.row(second))["state"] == "waiting"
    await control.report(worker, finished(await control.claim(worker, first)))
    assert (await control.row(second))["state"] == "pending"
    assert await last_release.slots_of(old, job) == {1: second}
    assert await control.violations() == []


async def test_the_release_before_counts_and_ends_what_this_one_began(control: Control, old: Connection) -> None:
    worker, job = await control.worker(), await control.job(concurrency="queue")
    first, second, third = [await triggered(control, job) for _ in range(3)]
    assert await last_release.slots_of(old, job) == {1: first}
    assert await last_release.finish(old, await control.claim(worker, first)) == [second]
    assert await control.violations() == []
    await control.report(worker, finished(await control.claim(worker, second)))
    assert await control.states(job) == ["succeeded", "succeeded", "pending"]
    assert await last_release.slots_of(old, job) == {1: third}
    assert await last_release.finish(old, await control.claim(worker, third)) == []
    assert await last_release.slots_of(old, job) == {}
    assert await control.db.pool.fetchval("select count(*) from slot_of_last_release") == 0


async def test_no_slot_is_given_twice_whichever_release_gives_it(control: Control, old: Connection) -> None:
    job = await control.job(concurrency="queue", max_concurrent=2)
    first = await last_release.create(old, job, 1)
    second, third = [await triggered(control, job) for _ in range(2)]
    assert await last_release.slots_of(old, job) == {1: first, 2: second}
    assert (await control.row(third))["state"] == "waiting"
    assert await control.violations() == []


@pytest.mark.parametrize("changed_by", ["this", "before"])
async def test_a_changed_policy_finds_the_slots_of_both(control: Control, old: Connection, changed_by: str) -> None:
    job = await control.job(concurrency="queue", max_concurrent=3)
    await last_release.create(old, job, 1)
    await triggered(control, job)
    if changed_by == "this":
        changes = {"concurrency_key": "to"}
        await job_changes.edit_job(control.db, job, changes, actor="test", version=None, payload_limit=1000)
    else:
        async with old.transaction():
            await old.execute("update job set concurrency_key = 'to' where id = $1", job)
            await old.execute(last_release.REKEY, job)
            assert await last_release.slots_of(old, job) == {}
            await old.execute(last_release.GIVE_SLOTS, job)
    assert sorted(await last_release.slots_of(old, job)) == [1, 2]
    assert await control.violations() == []


@pytest.mark.parametrize("deleted_by", ["this", "before"])
async def test_a_deleted_job_gives_back_the_slots_of_both(control: Control, old: Connection, deleted_by: str) -> None:
    job = await control.job(concurrency="queue", max_concurrent=3)
    await last_release.create(old, job, 1)
    await triggered(control, job)
    if deleted_by == "this":
        await job_changes.delete_job(control.db, job, actor="test")
    else:
        assert await old.fetchval(last_release.CANCEL_UNSTARTED, job, "job deleted") == 2
    assert await control.db.pool.fetchval("select count(*) from slot") == 0
    assert await control.violations() == []


@pytest.mark.parametrize("repaired_by", ["this", "before"])
async def test_slots_that_nothing_live_holds_are_found_whoever_left_them(
    control: Control, old: Connection, repaired_by: str
) -> None:
    job = await control.job(concurrency="queue", max_concurrent=2)
    ids = [await last_release.create(old, job, 1), await triggered(control, job)]
    waits = await triggered(control, job)
    await old.execute("update occurrence set state = 'cancelled', finished_at = now() where id = any($1::bigint[])", ids)
    if repaired_by == "this":
        async with control.db.transaction() as connection:
            assert sorted(await repair_slots(connection)) == [(job, each) for each in ids]
        assert (await control.row(waits))["state"] == "pending"
    else:
        assert sorted(row["occurrence_id"] for row in await old.fetch(last_release.REPAIR)) == ids
        assert await last_release.slots_of(old, job) == {}


async def test_a_slot_has_one_holder_whatever_a_process_believes(control: Control) -> None:
    job = await control.job(concurrency="queue", max_concurrent=2)
    first, second = [await triggered(control, job) for _ in range(2)]
    with pytest.raises(asyncpg.UniqueViolationError):
        await control.db.pool.execute("update occurrence set slot = 1 where id = $1", second)
    await control.db.pool.execute("update occurrence set slot = -slot where id = $1", first)
    await control.db.pool.execute("update occurrence set slot = 1 where id = $1", second)


async def test_a_job_with_runs_is_not_deleted_from_its_table(control: Control) -> None:
    job, without = await control.job("used"), await control.job("unused")
    await triggered(control, job)
    with pytest.raises(asyncpg.ForeignKeyViolationError, match=f"job {job} has occurrences"):
        await control.db.pool.execute("delete from job where id = $1", job)
    await control.db.pool.execute("delete from job where id = $1", without)
