"""Priorities: of what no worker was told of yet, the most important goes first."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import asyncpg
import pytest

from leveret_core.store.commands.occurrences import cancel_occurrence, requeue_occurrence, trigger_job
from leveret_core.store.database import Database
from support.control import LONG_AGO, Control, finished


@pytest.fixture
async def control(database_url: str) -> AsyncGenerator[Control]:
    database = Database(database_url, pool_size=10)
    await database.start()
    made = Control(database)
    yield made
    violations = await made.violations()
    await database.stop()
    assert violations == []


async def trigger(control: Control, job: int, priority: int | None = None) -> int:
    return (await trigger_job(control.db, job, priority=priority, actor="test")).occurrence_id


async def test_higher_priorities_are_published_first_and_equal_ones_in_order(control: Control) -> None:
    low, usual, high = [
        await control.job(name, type="one.type", concurrency="allow", **more)
        for name, more in (("low", {"priority": 0}), ("usual", {}), ("high", {"priority": 9}))
    ]
    made = [(job, await trigger(control, job)) for job in (low, usual, high, low, usual, high)]
    await control.publisher(await control.term()).run_once()
    expected = [id_ for wanted in (high, usual, low) for job, id_ in made if job == wanted]
    assert [d.occurrence for d in control.exchange.published] == expected


async def test_a_trigger_may_have_a_priority_of_its_own_which_a_requeue_keeps(control: Control) -> None:
    job = await control.job(concurrency="allow")
    plain, urgent = await trigger(control, job), await trigger(control, job, 9)
    await cancel_occurrence(control.db, urgent, reason="no", actor="test")
    again = (await requeue_occurrence(control.db, urgent, actor="test")).occurrence_id
    await control.publisher(await control.term()).run_once()
    assert [d.occurrence for d in control.exchange.published] == [again, plain]


async def test_the_most_important_takes_the_next_place(control: Control) -> None:
    worker = await control.worker()
    job = await control.job(concurrency="allow")
    for _ in range(4):
        await trigger(control, job)
    publisher = control.publisher(await control.term(), window=2)
    await publisher.run_once()
    await publisher.run_once()
    urgent = await trigger(control, job, 9)
    first = control.exchange.published[0].occurrence
    await control.report(worker, finished(await control.claim(worker, first)))
    await publisher.run_once()
    assert control.exchange.published[-1].occurrence == urgent


async def test_ticks_do_not_overtake_a_backlog_that_is_being_published(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leveret_dispatcher.dispatch.publisher.BATCH", 2)
    job = await control.job(concurrency="allow")
    for _ in range(3):
        await trigger(control, job)
    publisher = control.publisher(await control.term(), window=100)
    await publisher.run_once()
    assert publisher.room("test.job") == 0
    await publisher.run_once()
    assert publisher.room("test.job") == 97


async def test_ticks_have_the_priority_of_their_job(control: Control) -> None:
    trigger_ = {"kind": "interval", "every": 3600, "start_at": LONG_AGO.isoformat()}
    await control.job(trigger=trigger_, next_fire_at=datetime.now(UTC).replace(microsecond=0), priority=8)
    await control.scheduler(await control.term()).run_once()
    assert (await control.row(control.created[0].id))["priority"] == 8


async def test_there_is_no_priority_beyond_nine(control: Control) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await control.job(priority=10)


async def test_the_backlog_is_read_through_its_index(control: Control) -> None:
    job = await control.job(concurrency="allow")
    await control.db.pool.execute(
        """insert into occurrence (job_id, job_name, job_version, type, payload, origin, scheduled_for, state, retry, priority)
        select $1, 'job', 1, 'test.job', '{}', 'manual', now() + n * interval '1 s', 'pending', '{}', n % 10
        from generate_series(1, 20000) n""",
        job,
    )
    await control.db.pool.execute("analyze occurrence")
    plan = await control.db.pool.fetch(
        """explain select id from occurrence where state = 'pending' and ring_at is null and type = 'test.job'
        order by priority desc, id limit 1000 for update skip locked"""
    )
    text = "\n".join(row[0] for row in plan)
    assert "occurrence_unrung" in text
    assert "Sort" not in text
    await control.db.pool.execute("delete from occurrence")
