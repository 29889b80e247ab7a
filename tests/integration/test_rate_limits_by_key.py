"""Rate limits by key: a bucket of tokens for each value in the payloads, and a queue before it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import pytest

from leveret_core.broker.base import Published
from leveret_core.hints import Hint
from leveret_core.store.commands.occurrences import cancel_occurrence, trigger_job
from leveret_core.store.database import Database
from leveret_core.store.key_limits.limits import KeyLimit, delete_key_limit, put_key_limit
from leveret_core.store.rate_limits.limits import RateLimit, put_rate_limit
from leveret_dispatcher.dispatch.publisher import Publisher
from leveret_dispatcher.upkeep.pruner import Pruner
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
    stray = await database.fetch("key_limits/enqueue_lost")
    await database.stop()
    assert violations == []
    assert stray == [], "no run waits in a queue that is not there"


@pytest.fixture
async def api(database_url: str) -> AsyncGenerator[Api]:
    async with running_api(database_url) as running:
        yield running


class Runs:
    """Occurrences of one job, each for a customer."""

    def __init__(self, control: Control, job: int) -> None:
        self.control = control
        self.job = job
        self.customer: dict[int, str] = {}

    async def add(self, customers: str, priority: int | None = None) -> list[int]:
        """One occurrence for each letter."""
        made: list[int] = []
        for customer in customers:
            payload = json.dumps({"customer": {"id": customer}}).encode()
            triggered = await trigger_job(self.control.db, self.job, payload=payload, priority=priority, actor="test")
            made.append(triggered.occurrence_id)
            self.customer[triggered.occurrence_id] = customer
        return made

    @property
    def published(self) -> str:
        """Whom the dispatch messages so far are for, in their order."""
        return "".join(self.customer[d.occurrence] for d in self.control.exchange.published)


@pytest.fixture
async def runs(control: Control) -> Runs:
    return Runs(control, await control.job(concurrency="allow"))


async def limit(control: Control, count: int, per: float, key: str = "customer.id") -> None:
    await put_key_limit(control.db, KeyLimit("test.job", key, count, per), actor="test")


async def passes(control: Control, seconds: float) -> None:
    """Let time pass for the buckets: their clock is the database's."""
    for statement in (
        "update rate_bucket set filled_at = filled_at - $1 * interval '1 s', ready_at = ready_at - $1 * interval '1 s'",
        "update rate_limit set filled_at = filled_at - $1 * interval '1 s'",
    ):
        await control.db.pool.execute(statement, seconds)


async def settle(publisher: Publisher) -> float | None:
    """Run until there is nothing to do now; returns the seconds until the next look, None when there is none."""
    for _ in range(100):
        pause = await publisher.run_once()
        if pause is None or pause > 0:
            return pause
    raise AssertionError("it spins")


async def claim_all(control: Control, worker: str, outcome: str = "succeeded") -> None:
    for dispatch in control.exchange.published:
        answer = await control.claim(worker, dispatch.occurrence, dispatch.attempt)
        if answer.status == "granted":
            await control.report(worker, finished(answer, outcome))


async def test_each_value_has_a_limit_of_its_own_and_gets_the_rest_as_its_tokens_come(control: Control, runs: Runs) -> None:
    worker = await control.worker()
    await runs.add("aaaaab" + "c" * 2)
    await limit(control, 2, 3600)
    publisher = control.publisher(await control.term())
    pause = await settle(publisher)
    assert Counter(runs.published) == {"a": 2, "b": 1, "c": 2}
    await claim_all(control, worker)
    await passes(control, 1801)
    pause = await settle(publisher)
    assert runs.published[5:] == "a"
    assert pause is not None
    assert 1700 < pause <= 1800, "it sleeps until the next token"
    await claim_all(control, worker)
    await passes(control, 100 * 3600)
    await settle(publisher)
    assert runs.published[6:] == "aa", "an idle time saves up no more than one limit"
    await claim_all(control, worker)
    assert Counter(await control.states(runs.job)) == {"succeeded": 8}


async def test_one_with_a_long_backlog_keeps_no_other_waiting(
    control: Control, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leveret_dispatcher.dispatch.publisher.BATCH", 10)
    await runs.add("a" * 50)
    await limit(control, 1, 3600)
    publisher = control.publisher(await control.term())
    await settle(publisher)
    assert runs.published == "a"
    await runs.add("bc")
    assert publisher.room("test.job") == 0, "what is new waits in the queue"
    await settle(publisher)
    assert runs.published == "abc"


async def test_of_one_value_the_highest_priority_goes_first_also_when_it_comes_later(control: Control, runs: Runs) -> None:
    worker = await control.worker()
    await runs.add("aaa")
    await limit(control, 1, 3600)
    publisher = control.publisher(await control.term())
    await settle(publisher)
    (urgent,) = await runs.add("a", priority=9)
    await settle(publisher)
    await claim_all(control, worker)
    await passes(control, 3601)
    await settle(publisher)
    assert [d.occurrence for d in control.exchange.published][1:] == [urgent]


async def test_what_nobody_answers_does_not_become_a_heap(control: Control, runs: Runs) -> None:
    await runs.add("a" * 10)
    await limit(control, 2, 1)
    publisher = control.publisher(await control.term())
    pause: float | None = None
    for _ in range(5):
        pause = await settle(publisher)
        await passes(control, 10)
    assert runs.published == "aa"
    assert pause is not None
    assert pause > 0.15, "and it does not look all the time"


async def test_every_attempt_is_a_start_and_publishing_again_is_not(control: Control, runs: Runs) -> None:
    worker = await control.worker()
    (first,) = await runs.add("a")
    await limit(control, 1, 3600)
    term = await control.term()
    publisher = control.publisher(term)
    for _ in range(3):
        await settle(publisher)
        await control.db.pool.execute("update occurrence set ring_at = now() where ring_at < 'infinity'")
    await settle(publisher)
    assert runs.published == "aaaa"
    await control.report(worker, finished(await control.claim(worker, first), "failed"))
    await control.retrier(term).run_once()
    await settle(publisher)
    assert runs.published == "aaaa"
    await passes(control, 3601)
    await settle(publisher)
    assert [d.attempt for d in control.exchange.published] == [1, 1, 1, 1, 2]


async def test_what_reached_no_queue_has_had_its_token(control: Control, runs: Runs) -> None:
    await runs.add("aa")
    await limit(control, 1, 3600)
    publisher = control.publisher(await control.term())
    control.exchange.outcome = Published.UNROUTABLE
    await publisher.run_once()
    control.exchange.outcome, control.exchange.published = Published.CONFIRMED, []
    publisher.worker_came()
    await settle(publisher)
    await settle(publisher)
    assert runs.published == "a"


async def test_cancelled_ones_cost_no_token_and_hold_up_nobody(control: Control, runs: Runs) -> None:
    worker = await control.worker()
    ids = await runs.add("aaaa")
    await limit(control, 1, 3600)
    publisher = control.publisher(await control.term())
    await settle(publisher)
    for id_ in ids[1:3]:
        await cancel_occurrence(control.db, id_, reason="no", actor="test")
    await claim_all(control, worker)
    await passes(control, 3601)
    await settle(publisher)
    assert [d.occurrence for d in control.exchange.published] == [ids[0], ids[3]]
    await claim_all(control, worker)
    await passes(control, 3601)
    assert await settle(publisher) is None, "nobody is in line any more"


async def test_both_limits_hold_together(control: Control, runs: Runs) -> None:
    worker = await control.worker()
    await runs.add("aaabbbccc")
    await put_rate_limit(control.db, RateLimit("test.job", 4, 3600), actor="test")
    await limit(control, 2, 3600)
    publisher = control.publisher(await control.term())
    pause = await settle(publisher)
    assert len(runs.published) == 4
    assert max(Counter(runs.published).values()) <= 2
    assert pause is not None
    assert pause > 800, "it sleeps until the type has a token"
    await claim_all(control, worker)
    await passes(control, 3601)
    await settle(publisher)
    await claim_all(control, worker)
    assert len(runs.published) == 8
    await passes(control, 3601)
    await settle(publisher)
    assert Counter(runs.published) == {"a": 3, "b": 3, "c": 3}


async def test_ticks_stand_in_line_also_those_with_jitter(control: Control, runs: Runs) -> None:
    await limit(control, 1, 3600)
    term = await control.term()
    publisher = control.publisher(term)
    await publisher.begin()
    assert publisher.room("test.job") == 0
    now = datetime.now(UTC).replace(microsecond=0)
    for name in ("one", "two"):
        await control.job(name, trigger={**EVERY_HOUR, "jitter": 3000}, next_fire_at=now)
    await control.scheduler(term).run_once()
    await control.db.pool.execute("update occurrence set ring_at = now() where ring_at is not null")
    await settle(publisher)
    assert len(control.exchange.published) == 1, "both lack a customer, which is a value too"


async def test_other_types_are_not_limited_and_a_lifted_limit_lets_all_go(control: Control, runs: Runs) -> None:
    await runs.add("aaaaa")
    other = Runs(control, await control.job("other", type="other.job", concurrency="allow"))
    await other.add("aaaaa")
    await limit(control, 1, 3600)
    publisher = control.publisher(await control.term())
    await settle(publisher)
    assert Counter(d.type for d in control.exchange.published) == {"test.job": 1, "other.job": 5}
    await delete_key_limit(control.db, "test.job", actor="test")
    await settle(publisher)
    assert Counter(d.type for d in control.exchange.published) == {"test.job": 5, "other.job": 5}
    assert await control.db.pool.fetchval("select (select count(*) from rate_line) + (select count(*) from rate_bucket)") == 0


async def test_a_changed_limit_holds_at_once_and_a_repeated_one_fills_no_bucket(control: Control, runs: Runs) -> None:
    worker = await control.worker()
    await runs.add("a" * 12)
    await limit(control, 2, 3600)
    publisher = control.publisher(await control.term())
    await settle(publisher)
    await claim_all(control, worker)
    await limit(control, 2, 3600)
    await settle(publisher)
    assert len(runs.published) == 2
    await limit(control, 4, 4)
    await passes(control, 3)
    await settle(publisher)
    assert len(runs.published) == 5
    await claim_all(control, worker)
    await limit(control, 3, 3600, key="customer.name")
    await settle(publisher)
    assert len(runs.published) == 8, "another key begins with full buckets"


async def test_lines_and_buckets_that_mean_nothing_any_more_are_pruned(control: Control, runs: Runs) -> None:
    worker = await control.worker()
    await runs.add("aab")
    await limit(control, 1, 3600)
    term = await control.term()
    publisher = control.publisher(term)
    await settle(publisher)
    await claim_all(control, worker)
    await settle(publisher)
    await passes(control, 1800)
    await Pruner(term, 30).run_once()
    assert await control.db.pool.fetchval("select count(*) from rate_line") == 1
    assert await control.db.pool.fetchval("select count(*) from rate_bucket") == 2
    await passes(control, 3600)
    await settle(publisher)
    await claim_all(control, worker)
    await passes(control, 7200)
    await settle(publisher)
    await Pruner(term, 30).run_once()
    assert await control.db.pool.fetchval("select (select count(*) from rate_line) + (select count(*) from rate_bucket)") == 0
    assert runs.published == "aba"


async def test_a_new_term_goes_on_with_the_same_buckets_and_finds_whoever_was_lost(control: Control, runs: Runs) -> None:
    ids = await runs.add("aaab")
    await limit(control, 1, 3600)
    await settle(control.publisher(await control.term()))
    await control.db.pool.execute("delete from rate_line where occurrence_id = $1", ids[1])
    control.exchange.published = []
    publisher = control.publisher(await control.term())
    await publisher.begin()
    await settle(publisher)
    assert runs.published == "ab", "what the last term published is published again, and nothing more"
    assert await control.db.pool.fetchval("select count(*) from rate_line where not told") == 2


async def test_ten_thousand_in_line_cost_a_look_at_those_whose_time_has_come(control: Control, runs: Runs) -> None:
    await limit(control, 1, 3600)
    await control.db.pool.execute(
        """insert into occurrence (job_id, job_name, job_version, type, payload, origin, scheduled_for, state, retry)
        select $1, 'job', 1, 'test.job', jsonb_build_object('customer', jsonb_build_object('id', n % 100)), 'manual',
               now() + n * interval '1 s', 'pending', '{}'
        from generate_series(1, 10000) n""",
        runs.job,
    )
    publisher = control.publisher(await control.term())
    pause = await settle(publisher)
    assert len(control.exchange.published) == 100
    assert pause is not None
    assert 50 < pause <= 60, "only the dispatch messages that are out have to be looked after"
    began = time.monotonic()
    for _ in range(5):
        assert await publisher.run_once() == pytest.approx(pause, abs=10)
    print(f"a look at 9,900 in line: {(time.monotonic() - began) / 5 * 1000:.1f} ms")
    await control.db.pool.execute("delete from rate_line; delete from occurrence")


# --- REST -------------------------------------------------------------------------------------------------------------


async def test_limits_by_key_are_put_read_listed_and_lifted(api: Api) -> None:
    body = {"key": "customer.id", "count": 5, "per": 60}
    made = await api.ok("PUT", "/rate-limits/sendemail.welcome/by-key", json=body)
    assert made == {"type": "sendemail.welcome", **body}
    assert Hint("wake") in api.hints
    assert await api.ok("GET", "/rate-limits/sendemail.welcome/by-key") == made
    whole = await api.ok("PUT", "/rate-limits/sendemail.welcome", json={"count": 100})
    assert await api.ok("GET", "/rate-limits") == {"items": [whole], "by_key": [made]}
    await api.ok("DELETE", "/rate-limits/sendemail.welcome/by-key", 204)
    await api.refused("GET", "/rate-limits/sendemail.welcome/by-key", 404)
    await api.refused("DELETE", "/rate-limits/sendemail.welcome/by-key", 404)
    assert await api.ok("GET", "/rate-limits/sendemail.welcome") == whole


@pytest.mark.parametrize(
    ("type_", "body", "field"),
    [
        ("a.b", {"count": 1}, "key"),
        ("a.b", {"key": "", "count": 1}, "key"),
        ("a.b", {"key": "a..b", "count": 1}, "key"),
        ("a.b", {"key": "a\x00", "count": 1}, "key"),
        ("a.b", {"key": "a", "count": 0}, "count"),
        ("a.b", {"key": "a", "count": 1, "per": 0.5}, "per"),
        ("a.*", {"key": "a", "count": 1}, "type"),
    ],
)
async def test_what_is_no_limit_by_key_is_refused(api: Api, type_: str, body: dict[str, Any], field: str) -> None:
    assert (await api.refused("PUT", f"/rate-limits/{type_}/by-key", 422, json=body)).keys() == {field}
