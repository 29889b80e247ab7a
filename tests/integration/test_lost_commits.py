"""A commit whose answer is lost: nobody knows whether it happened, everybody tries again, and it counts once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime

import pytest

from leveret_core.messages import Ask, Claim
from leveret_core.store.commands import occurrences as commands
from leveret_core.store.database import Database
from leveret_core.store.errors import is_unavailable
from support.control import LONG_AGO, Control, finished
from support.proxy import Direction, Proxy

EVERY_HOUR = {"kind": "interval", "every": 3600, "start_at": LONG_AGO.isoformat()}


@pytest.fixture
async def proxy(database_url: str) -> AsyncGenerator[Proxy]:
    async with Proxy(database_url) as made:
        yield made


@pytest.fixture
async def control(proxy: Proxy) -> AsyncGenerator[Control]:
    database = Database(proxy.url, pool_size=10)
    await database.start()
    made = Control(database)
    yield made
    violations = await made.violations()
    await database.stop()
    assert violations == []


async def twice(proxy: Proxy, step: Callable[[], Awaitable[object]]) -> None:
    """The step, when the answer to its commit gets lost, and again."""
    lost = proxy.cut_after(rb"COMMIT\x00", Direction.TO_CLIENT, reset=True)
    with pytest.raises(Exception) as failure:  # noqa: PT011
        await step()
    assert is_unavailable(failure.value)
    assert lost.fired.is_set()
    await step()


async def test_a_tick_is_created_once(control: Control, proxy: Proxy) -> None:
    job = await control.job(trigger=EVERY_HOUR, next_fire_at=datetime.now(UTC).replace(microsecond=0))
    scheduler = control.scheduler(await control.term())
    await twice(proxy, scheduler.run_once)
    # Created, though its scheduler never knew: no worker was told of it, and the sweeper does when the time is over.
    assert await control.states(job) == ["pending"]
    assert control.exchange.published == []
    overdue = "update occurrence set ring_at = now() - interval '1 second' where ring_at is not null"
    await control.db.pool.execute(overdue)
    await control.publisher(await control.term()).run_once()
    assert len(control.exchange.published) == 1


async def test_an_end_counts_once_and_frees_its_place_once(control: Control, proxy: Proxy) -> None:
    job = await control.job(concurrency="queue")
    worker = await control.worker()
    for _ in range(3):
        await commands.trigger_job(control.db, job, actor="test")
    first = await control.claim(worker, 1)
    await twice(proxy, lambda: control.report(worker, finished(first)))
    assert await control.states(job) == ["succeeded", "pending", "waiting"]


async def test_a_failure_is_charged_once(control: Control, proxy: Proxy) -> None:
    job = await control.job(retry={"max_attempts": 3, "delay": 60, "max_lost": 3})
    worker = await control.worker()
    await commands.trigger_job(control.db, job, actor="test")
    answer = await control.claim(worker, 1)
    await twice(proxy, lambda: control.report(worker, finished(answer, "failed")))
    row = await control.row(1)
    assert (row["state"], row["attempt"]) == ("retrying", 1)
    assert await control.db.pool.fetchval("select count(*) from attempt") == 1


async def test_a_lost_worker_s_attempt_is_charged_once(control: Control, proxy: Proxy) -> None:
    job = await control.job(retry={"max_attempts": 3, "delay": 60, "max_lost": 3})
    await commands.trigger_job(control.db, job, actor="test")
    await control.claim(await control.worker(), 1)
    await control.db.pool.execute("update worker set lease_until = now() - interval '1 second'")
    reaper = control.reaper(await control.term())
    await twice(proxy, reaper.run_once)
    assert (await control.row(1))["lost_count"] == 1


async def test_a_trigger_with_an_idempotency_key_makes_one_occurrence(control: Control, proxy: Proxy) -> None:
    job = await control.job(concurrency="allow")
    await twice(proxy, lambda: commands.trigger_job(control.db, job, idempotency_key="once", actor="test"))
    assert await control.states(job) == ["pending"]


async def test_a_claim_is_answered_the_same_when_its_first_answer_was_lost(control: Control, proxy: Proxy) -> None:
    await control.job()
    await commands.trigger_job(control.db, 1, actor="test")
    worker = await control.worker()
    # The claim commits by itself: its command tag is the answer.
    lost = proxy.cut_after(rb"UPDATE 1\x00", Direction.TO_CLIENT, reset=True)
    (unanswered,) = await control.desk.answer([_claim(worker)])
    assert lost.fired.is_set()
    assert unanswered is None
    row = await control.row(1)
    assert (row["state"], str(row["worker_id"])) == ("running", worker)
    answer = await control.claim(worker, 1)
    assert (answer.status, answer.token) == ("granted", str(row["claim_token"]))


def _claim(worker: str) -> Claim:
    return Claim(worker=worker, asks=[Ask(1, 1)])
