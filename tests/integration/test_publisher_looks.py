"""What the publisher knows without counting: what claim desks tell of claims, and looks that cost the same behind a backlog."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

import pytest

from leveret_core.hints import MAX_IDS, Hint
from leveret_core.store.commands.occurrences import trigger_job
from leveret_core.store.database import Database, sql
from leveret_dispatcher.dispatch.publisher import Publisher
from support.control import Control

NEVER = 3600.0


@pytest.fixture
async def control(database_url: str) -> AsyncGenerator[Control]:
    database = Database(database_url, pool_size=10)
    await database.start()
    yield Control(database)
    await database.stop()


async def with_window_full(control: Control, *, count_every: tuple[float, float]) -> Publisher:
    job = await control.job(concurrency="allow")
    for _ in range(5):
        await trigger_job(control.db, job, actor="test")
    publisher = control.publisher(await control.term(), window=3, count_every=count_every)
    await publisher.begin()
    await publisher.run_once()
    await publisher.run_once()
    assert len(control.exchange.published) == 3
    return publisher


async def test_what_desks_tell_of_claims_makes_room(control: Control) -> None:
    publisher = await with_window_full(control, count_every=(NEVER, NEVER))
    control.hints.subscribe(lambda hint: publisher.claimed(hint.claimed))
    worker = await control.worker()
    for message in control.exchange.published[:2]:
        await control.claim(worker, message.occurrence)

    await publisher.run_once()

    assert len(control.exchange.published) == 5


@pytest.mark.parametrize(("count_every", "published"), [((NEVER, NEVER), 3), ((0.0, NEVER), 5)])
async def test_where_hints_are_lost_the_rows_are_counted(
    control: Control, count_every: tuple[float, float], published: int
) -> None:
    publisher = await with_window_full(control, count_every=count_every)
    worker = await control.worker()
    for message in control.exchange.published[:2]:
        await control.claim(worker, message.occurrence)

    await publisher.run_once()

    assert len(control.exchange.published) == published


async def test_claims_of_a_large_batch_are_told_whole(control: Control) -> None:
    job = await control.job(concurrency="allow")
    for _ in range(MAX_IDS + 50):
        await trigger_job(control.db, job, actor="test")
    await control.publisher(await control.term()).run_once()
    worker = await control.worker()
    control.sent.clear()

    await control.claims(worker, [message.occurrence for message in control.exchange.published])

    told = [hint for hint in control.sent if hint.claimed]
    assert [len(hint.ids) for hint in told] == [MAX_IDS, 50]
    assert sum(hint.claimed["test.job"] for hint in told) == MAX_IDS + 50


async def test_a_hint_of_before_that_tells_no_claims_is_understood(control: Control) -> None:
    assert Hint("occurrences", (1,)).claimed == {}


BACKLOG = """
insert into occurrence (job_id, job_name, job_version, type, payload, origin, scheduled_for, state, retry, ring_at, rings)
select $1, 'job', 1, 'type.' || n % 3, '{}', 'manual', timestamptz '2020-01-01' + n * interval '1 second', 'pending', '{}',
       case when n % 2 = 0 then now() + interval '1 minute' end, (n % 2 = 0)::int
from generate_series($2::int, $3::int) as n
"""


async def test_a_look_reads_no_more_behind_a_long_backlog(control: Control) -> None:
    job = await control.job()
    read: list[int] = []
    for first, last in ((1, 1_000), (1_001, 40_000)):
        await control.db.pool.execute(BACKLOG, job, first, last)
        await control.db.pool.execute("vacuum analyze occurrence")
        explained = await control.db.pool.fetchval(f"explain (analyze, buffers, format json) {sql('dispatch/to_publish')}")
        plan = json.loads(explained)[0]["Plan"]
        read.append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
    assert read[1] < read[0] + 25
