"""Rate limits of job types: a bucket of tokens in Postgres that the publisher pays its first rings from."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import pytest

from leveret_core.broker.base import Published
from leveret_core.hints import Hint
from leveret_core.store.commands.occurrences import trigger_job
from leveret_core.store.database import Database
from leveret_core.store.rate_limits.limits import RateLimit, delete_rate_limit, put_rate_limit
from leveret_dispatcher.dispatch.publisher import Publisher
from support.api import Api, running_api
from support.control import LONG_AGO, Control, finished

EVERY_HOUR = {"kind": "interval", "every": 3600, "start_at": LONG_AGO.isoformat()}


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
async def api(database_url: str) -> AsyncGenerator[Api]:
    async with running_api(database_url) as running:
        yield running


async def backlog(control: Control, count: int, **job: Any) -> list[int]:
    job_id = await control.job(**({"concurrency": "allow"} | job))
    return [(await trigger_job(control.db, job_id, actor="test")).occurrence_id for _ in range(count)]


async def limit(control: Control, count: int, per: float) -> None:
    await put_rate_limit(control.db, RateLimit("test.job", count, per), actor="test")


async def passes(control: Control, seconds: float) -> None:
    """Let time pass for the buckets: their clock is the database's."""
    await control.db.pool.execute("update rate_limit set filled_at = filled_at - $1 * interval '1 s'", seconds)


async def settle(publisher: Publisher) -> float:
    """Run until there is nothing to do now; returns the seconds until the next look."""
    while True:
        pause = await publisher.run_once()
        assert pause is not None
        if pause > 0:
            return pause


async def claim_all(control: Control, worker: str) -> None:
    for dispatch in control.exchange.published:
        answer = await control.claim(worker, dispatch.occurrence, dispatch.attempt)
        if answer.status == "granted":
            await control.report(worker, finished(answer))


async def test_no_more_start_at_once_than_the_limit_and_the_rest_as_tokens_come(control: Control) -> None:
    worker = await control.worker()
    ids = await backlog(control, 10)
    await limit(control, 3, 3600)
    publisher = control.publisher(await control.term())
    pause = await settle(publisher)
    assert [d.occurrence for d in control.exchange.published] == ids[:3]
    await claim_all(control, worker)
    pause = await settle(publisher)
    assert len(control.exchange.published) == 3
    assert 1100 < pause <= 1200, "it sleeps until the next token"
    await passes(control, 1201)
    await settle(publisher)
    assert [d.occurrence for d in control.exchange.published] == ids[:4]
    await claim_all(control, worker)
    await passes(control, 100 * 3600)
    await settle(publisher)
    await claim_all(control, worker)
    await settle(publisher)
    assert [d.occurrence for d in control.exchange.published] == ids[:7], "an idle time saves up no more than one limit"


async def test_publishing_again_costs_nothing(control: Control) -> None:
    await backlog(control, 1)
    await limit(control, 2, 3600)
    publisher = control.publisher(await control.term())
    for _ in range(4):
        await publisher.run_once()
        await control.db.pool.execute("update occurrence set ring_at = now()")
    assert len(control.exchange.published) == 4
    assert await control.db.pool.fetchval("select round(tokens) from rate_limit") == 1


async def test_every_attempt_is_a_start(control: Control) -> None:
    worker = await control.worker()
    (occurrence,) = await backlog(control, 1)
    await limit(control, 1, 3600)
    term = await control.term()
    publisher = control.publisher(term)
    await settle(publisher)
    await control.report(worker, finished(await control.claim(worker, occurrence), "failed"))
    await control.retrier(term).run_once()
    await settle(publisher)
    assert len(control.exchange.published) == 1
    await passes(control, 3601)
    await settle(publisher)
    assert [d.attempt for d in control.exchange.published] == [1, 2]


async def test_what_reached_no_queue_is_not_paid_for(control: Control) -> None:
    await backlog(control, 1)
    await limit(control, 1, 3600)
    publisher = control.publisher(await control.term())
    control.exchange.outcome = Published.UNROUTABLE
    await publisher.run_once()
    control.exchange.outcome, control.exchange.published = Published.CONFIRMED, []
    publisher.worker_came()
    await settle(publisher)
    assert len(control.exchange.published) == 1


async def test_ticks_stand_in_line_also_those_with_jitter(control: Control) -> None:
    await limit(control, 1, 3600)
    term = await control.term()
    publisher = control.publisher(term)
    await publisher.begin()
    assert publisher.room("test.job") == 0
    assert publisher.room("other.job") > 0
    await backlog(control, 1)
    now = datetime.now(UTC).replace(microsecond=0)
    await control.job("jittered", trigger={**EVERY_HOUR, "jitter": 3000}, next_fire_at=now)
    await control.scheduler(term).run_once()
    await control.db.pool.execute("update occurrence set ring_at = now() where ring_at is not null")
    await settle(publisher)
    assert len(control.exchange.published) == 1
    assert await control.db.pool.fetchval("select tokens from rate_limit") < 1, "the first to be published paid for it"


async def test_while_no_worker_answers_no_heap_piles_up(control: Control) -> None:
    await backlog(control, 10)
    await limit(control, 2, 1)
    publisher = control.publisher(await control.term())
    for _ in range(5):
        await settle(publisher)
        await passes(control, 10)
    assert len(control.exchange.published) == 2


async def test_the_highest_priority_gets_the_next_token(control: Control) -> None:
    await backlog(control, 2)
    (urgent,) = await backlog(control, 1, name="urgent", priority=9)
    await limit(control, 1, 3600)
    await settle(control.publisher(await control.term()))
    assert [d.occurrence for d in control.exchange.published] == [urgent]


async def test_other_types_are_not_limited_and_a_lifted_limit_lets_all_go(control: Control) -> None:
    await backlog(control, 5)
    await backlog(control, 5, name="other", type="other.job")
    await limit(control, 1, 3600)
    publisher = control.publisher(await control.term())
    await settle(publisher)
    assert sorted(d.type for d in control.exchange.published) == ["other.job"] * 5 + ["test.job"]
    await delete_rate_limit(control.db, "test.job", actor="test")
    await settle(publisher)
    assert len(control.exchange.published) == 10


async def test_a_smaller_limit_holds_at_once_and_repeating_one_fills_no_bucket(control: Control) -> None:
    worker = await control.worker()
    await backlog(control, 10)
    await limit(control, 5, 3600)
    publisher = control.publisher(await control.term())
    await settle(publisher)
    await claim_all(control, worker)
    await limit(control, 5, 3600)
    await settle(publisher)
    assert len(control.exchange.published) == 5
    await passes(control, 3601)
    await limit(control, 2, 3600)
    await settle(publisher)
    assert len(control.exchange.published) == 7


# --- REST -------------------------------------------------------------------------------------------------------------


async def test_limits_are_put_read_listed_and_lifted(api: Api) -> None:
    made = await api.ok("PUT", "/rate-limits/sendemail.welcome", json={"count": 100, "per": 60})
    assert made == {"type": "sendemail.welcome", "count": 100, "per": 60}
    assert Hint("wake") in api.hints
    assert await api.ok("PUT", "/rate-limits/a.b", json={"count": 5}) == {"type": "a.b", "count": 5, "per": 1}
    assert await api.ok("GET", "/rate-limits/sendemail.welcome") == made
    listed = await api.ok("GET", "/rate-limits")
    assert [item["type"] for item in listed["items"]] == ["a.b", "sendemail.welcome"]
    await api.ok("DELETE", "/rate-limits/a.b", 204)
    await api.refused("GET", "/rate-limits/a.b", 404)
    await api.refused("DELETE", "/rate-limits/a.b", 404)


@pytest.mark.parametrize(
    ("type_", "body", "field"),
    [
        ("a.b", {"count": 0}, "count"),
        ("a.b", {}, "count"),
        ("a.b", {"count": 1, "per": 0.5}, "per"),
        ("a.b", {"count": 1, "per": 1e9}, "per"),
        ("a.b", {"count": 1, "burst": 1}, "burst"),
        ("a.*", {"count": 1}, "type"),
    ],
)
async def test_what_is_no_limit_is_refused(api: Api, type_: str, body: dict[str, Any], field: str) -> None:
    assert (await api.refused("PUT", f"/rate-limits/{type_}", 422, json=body)).keys() == {field}


async def test_what_is_given_back_fills_the_bucket_and_no_more(control: Control) -> None:
    await control.db.pool.execute("insert into rate_limit (type, count, per, tokens) values ('test.job', 5, 60, 4)")
    await control.db.execute("rate_limits/refund", ["test.job"], [3])
    assert await control.db.pool.fetchval("select tokens from rate_limit") == 5
