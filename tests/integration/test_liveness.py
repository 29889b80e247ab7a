"""What is not over and has nobody who is responsible for it is found, said, and mended where that is safe."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from types import SimpleNamespace

import pytest

from leveret_core.messages import Ask, HandlerInfo, Heartbeat, Hello
from leveret_core.store.backfills.commands import Wanted as WantedBackfill
from leveret_core.store.backfills.commands import start_backfill
from leveret_core.store.commands.occurrences import trigger_job
from leveret_core.store.database import Database
from leveret_core.store.key_limits.limits import KeyLimit, put_key_limit
from leveret_core.store.liveness.ownerless import Place, find_ownerless
from leveret_core.store.planned.runs import Wanted, schedule_runs
from leveret_dispatcher.upkeep import liveness
from leveret_dispatcher.upkeep.pruner import Pruner
from support.api import running_api
from support.control import LONG_AGO, Control, finished
from support.liveness import assert_everything_owned, everything_ownerless

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


async def triggered(control: Control, job: int, payload: str | None = None) -> int:
    body = None if payload is None else payload.encode()
    return (await trigger_job(control.db, job, payload=body, actor="test")).occurrence_id


async def by_hand(control: Control, statement: str, *args: object) -> None:
    """What no code of ours does."""
    await control.db.pool.execute(statement, *args)


async def found(control: Control) -> list[tuple[str, int]]:
    return [(each.kind, each.id) for each in await everything_ownerless(control.db, late=60, silent=60)]


async def test_what_goes_its_way_is_never_nobodys(control: Control) -> None:
    """In each state it has somebody, and in a backlog, a line, a limit, a backfill too."""
    await put_key_limit(control.db, KeyLimit("keyed.job", "to", 1, 3600), actor="test")
    queue, keyed = await control.job(concurrency="queue"), await control.job("keyed", type="keyed.job", concurrency="allow")
    failing = await control.job(
        "failing", retry={"max_attempts": 2, "delay": 600, "factor": 1, "max_delay": 600, "max_lost": 2}
    )
    worker, term = await control.worker(), await control.term()
    publisher = control.publisher(term, window=2)
    await publisher.begin()
    running = await triggered(control, queue)
    await control.claim(worker, running)
    for _ in range(3):
        await triggered(control, queue)
    for to in ("ada", "ada", "bob"):
        await triggered(control, keyed, json.dumps({"to": to}))
    await control.report(worker, finished(await control.claim(worker, await triggered(control, failing)), "failed"))
    await schedule_runs(control.db, [Wanted(job=failing, delay=3600)], actor="test")
    await control.job("free", concurrency="allow")
    for _ in range(5):
        await triggered(control, await control.db.pool.fetchval("select id from job where name = 'free'"))
    await publisher.run_once()
    assert {row["state"] for row in await control.db.pool.fetch("select distinct state::text from occurrence")} == {
        "running",
        "waiting",
        "pending",
        "retrying",
        "scheduled",
    }
    assert await found(control) == []
    checker = control.liveness(term)
    assert [await checker.run_once() for _ in range(2)] == [[], []]


Break = Callable[[Control], Awaitable[int]]


async def without_a_worker(control: Control) -> int:
    occurrence = await triggered(control, await control.job(concurrency="queue"))
    worker = await control.worker()
    await control.claim(worker, occurrence)
    await by_hand(control, "delete from worker")
    return occurrence


async def of_a_worker_that_ended(control: Control) -> int:
    occurrence = await without_a_worker(control)
    worker = await control.worker()
    await by_hand(control, "update occurrence set worker_id = $1", uuid.UUID(worker))
    await by_hand(control, "update worker set stopped_at = now(), state = 'stopped'")
    return occurrence


async def behind_a_free_place(control: Control) -> int:
    job = await control.job(concurrency="queue", concurrency_key="to")
    first, second = [await triggered(control, job, '{"to": "ada"}') for _ in range(2)]
    await by_hand(control, "delete from slot where occurrence_id = $1", first)
    await by_hand(control, "update occurrence set state = 'cancelled', finished_at = now() where id = $1", first)
    return second


async def without_a_time(control: Control) -> int:
    worker, job = await control.worker(), await control.job()
    occurrence = await triggered(control, job)
    await control.report(worker, finished(await control.claim(worker, occurrence), "failed"))
    await by_hand(control, "update occurrence set retry_at = null")
    return occurrence


async def published_next_year(control: Control) -> int:
    occurrence = await triggered(control, await control.job())
    await by_hand(control, "update occurrence set rings = 1, ring_at = now() + interval '1 year'")
    return occurrence


async def in_no_line(control: Control) -> int:
    await put_key_limit(control.db, KeyLimit("test.job", "to", 1, 3600), actor="test")
    occurrence = await triggered(control, await control.job())
    await by_hand(control, "update occurrence set ring_at = 'infinity'")
    return occurrence


async def in_a_line_that_stands_still(control: Control) -> int:
    await put_key_limit(control.db, KeyLimit("test.job", "to", 1, 3600), actor="test")
    job = await control.job(concurrency="allow")
    occurrences = [await triggered(control, job, '{"to": "ada"}') for _ in range(2)]
    publisher = control.publisher(await control.term())
    await publisher.begin()
    await publisher.run_once()
    await control.claim(await control.worker(), occurrences[0])
    await by_hand(control, "update rate_bucket set ready_at = null, tokens = 1")
    return occurrences[1]


@pytest.mark.parametrize(
    ("broken", "kind"),
    [
        (without_a_worker, "worker"),
        (of_a_worker_that_ended, "worker"),
        (behind_a_free_place, "line"),
        (without_a_time, "retry"),
        (published_next_year, "far"),
        (in_no_line, "token"),
        (in_a_line_that_stands_still, "bucket"),
    ],
)
async def test_what_is_nobodys_is_said_and_goes_on(
    control: Control, broken: Break, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    occurrence = await broken(control)
    assert await found(control) == [(kind, occurrence)]
    term = await control.term()
    checker = control.liveness(term)
    with caplog.at_level(logging.ERROR):
        looks = [*await checker.run_once(), *await checker.run_once()]
    assert [(each.kind, each.id) for each in looks] == [(kind, occurrence)]
    assert f"occurrence {occurrence} (" in caplog.text
    assert await found(control) == []
    publisher = control.publisher(term)
    await publisher.begin()
    await control.retrier(term).run_once()
    await publisher.run_once()
    assert occurrence in [each.occurrence for each in control.exchange.published]
    assert (await control.row(occurrence))["state"] == "pending"


async def test_what_is_long_past_its_time_is_said_at_the_second_look(control: Control) -> None:
    job = await control.job(concurrency="allow", retry={"max_attempts": 9, "delay": 0, "max_lost": 9}, timeout=5)
    worker = await control.worker()
    retrying, late, silent, unanswered = [await triggered(control, job) for _ in range(4)]
    await control.report(worker, finished(await control.claim(worker, retrying), "failed"))
    for each in (late, silent):
        await control.claim(worker, each)
    other = await control.worker()
    due = (await schedule_runs(control.db, [Wanted(job=job)], actor="test"))[0].occurrence_id
    await by_hand(control, "update occurrence set worker_id = $2 where id = $1", silent, uuid.UUID(other))
    await by_hand(control, "update worker set lease_until = now() - interval '2 hours' where id = $1", uuid.UUID(other))
    await by_hand(control, "update occurrence set started_at = now() - interval '1 hour' where id = $1", late)
    await control.desk.answer([Heartbeat(worker=worker, running=1, holding=[Ask(late, 1)])])
    await by_hand(control, "update occurrence set retry_at = now() - interval '1 hour' where id = $1", retrying)
    await by_hand(control, "update occurrence set ring_at = now() - interval '1 hour', rings = 1 where id = $1", unanswered)
    await by_hand(control, "update occurrence set scheduled_for = now() - interval '1 hour' where id = $1", due)
    expected = {
        ("retry", retrying),
        ("timeout", late),
        ("lease", silent),
        ("ring", unanswered),
        ("due", due),
    }
    assert set(await found(control)) == expected
    checker = control.liveness(await control.term())
    # Each of them may be what somebody is just dealing with.
    assert await checker.run_once() == []
    assert {(each.kind, each.id) for each in await checker.run_once()} == expected
    # Nobody can be heard, nor told anything, while RabbitMQ is away.
    away = control.liveness(await control.term(), reachable=False)
    await away.run_once()
    assert {each.kind for each in await away.run_once()} == {"retry", "due"}


@pytest.mark.parametrize("holding", [[], None], ids=["names nothing", "does not say"])
async def test_what_a_live_worker_does_not_name_is_nobodys_after_a_while(
    control: Control, holding: list[Ask] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease is renewed all the time. The reconciler, which ends such runs in time, does not run here."""
    job, worker = await control.job(concurrency="allow"), await control.worker()
    unnamed, named = [await control.claim(worker, await triggered(control, job)) for _ in range(2)]
    of_another = await control.claim(other := await control.worker(), await triggered(control, job))
    term = await control.term()
    checker = control.liveness(term, unnamed=60)
    naming = None if holding is None else [*holding, Ask(named.occurrence, 1)]

    async def beats(after: float) -> None:
        await by_hand(control, "update occurrence set started_at = now() - $1 * interval '1 second'", after)
        await control.desk.answer([Heartbeat(worker=worker, running=2, holding=naming)])
        await control.desk.answer([Heartbeat(worker=other, running=1, holding=[Ask(of_another.occurrence, 1)])])

    await beats(59)
    assert await found(control) == [], "its claim may be on its way to it"
    await beats(61)
    expected = [("unnamed", each.occurrence) for each in ([unnamed, named] if holding is None else [unnamed])]
    assert await found(control) == expected
    assert await checker.run_once() == []
    began = time.monotonic()
    monkeypatch.setattr(liveness, "time", SimpleNamespace(monotonic=lambda: began + 179))
    assert await checker.run_once() == [], "the reconciler may still be at it"
    monkeypatch.setattr(liveness, "time", SimpleNamespace(monotonic=lambda: began + 181))
    assert [(each.kind, each.id) for each in await checker.run_once()] == expected
    assert await control.db.pool.fetchval("select ownerless from dispatcher_finding") == len(expected)
    assert {(await control.row(occurrence))["state"] for _, occurrence in expected} == {"running"}, "it may run after all"
    away = control.liveness(term, unnamed=0, reachable=False)
    assert await away.run_once() == await away.run_once() == []


async def test_a_type_without_a_dispatch_message_is_said_where_a_worker_serves_it(control: Control) -> None:
    occurrence = await triggered(control, await control.job())
    assert await found(control) == []
    hello = Hello(
        worker=str(uuid.uuid4()),
        name="w",
        host="h",
        pid=1,
        sdk="test",
        concurrency=1,
        handlers=[HandlerInfo(pattern="other.#", concurrency=1)],
    )
    await control.desk.answer([hello])
    assert await found(control) == []
    await control.worker()
    assert await found(control) == [("unrung", occurrence)]
    publisher = control.publisher(await control.term())
    await publisher.begin()
    await publisher.run_once()
    assert await found(control) == []


async def test_a_backfill_that_does_not_move_is_said(control: Control) -> None:
    job = await control.job(trigger=EVERY_HOUR)
    wanted = WantedBackfill(start_at="2026-01-01T00:00:00Z", end_at="2026-01-01T03:00:00Z")
    await start_backfill(control.db, job, wanted, limit=100, actor="test")
    assert await found(control) == []
    await by_hand(control, "update backfill set created_at = now() - interval '1 hour'")
    assert await found(control) == [("backfill", 1)]
    await control.backfiller(await control.term()).run_once()
    assert await found(control) == []


async def test_looks_go_through_everything_in_parts(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leveret_core.store.liveness.ownerless.QUEUES", 2)
    monkeypatch.setattr("leveret_core.store.liveness.ownerless.PENDING", 2)
    job = await control.job(concurrency="queue", concurrency_key="to")
    last = [[await triggered(control, job, json.dumps({"to": to})) for _ in range(2)][1] for to in "abcde"][-1]
    await by_hand(control, "delete from slot where key = 'e'")
    await by_hand(control, "update occurrence set state = 'cancelled', finished_at = now() where id = $1", last - 1)
    place = Place()
    seen = [await find_ownerless(control.db, place, late=60, silent=60, unnamed=60) for _ in range(3)]
    assert [[each.id for each in look] for look in seen] == [[], [], [last]]
    assert await found(control) == [("line", last)]
    with pytest.raises(AssertionError, match="it waits although a place is free"):
        await assert_everything_owned(control.db.url, timeout=0.1)
    await control.liveness(await control.term()).run_once()
    for _ in range(2):
        await control.liveness(await control.term()).run_once()
    assert await found(control) == [("line", last)], "a new holder begins at the beginning"
    checker = control.liveness(await control.term())
    for _ in range(3):
        await checker.run_once()
    assert await found(control) == []


async def test_a_place_that_nobody_holds_is_given_back(control: Control) -> None:
    job = await control.job(concurrency="queue")
    first, second = [await triggered(control, job) for _ in range(2)]
    await by_hand(control, "delete from occurrence where id = $1", first)
    term = await control.term()
    assert await Pruner(term, 30).repair() == 0, "a slot goes with the row of its holder"
    await control.liveness(term).run_once()
    assert (await control.row(second))["state"] == "pending"


async def test_the_last_look_can_be_asked_of_every_replica(control: Control, database_url: str) -> None:
    occurrence = await behind_a_free_place(control)
    async with running_api(database_url) as api:
        before = await api.ok("GET", "/dispatcher")
        assert (before["ownerless"], before["ownerless_examples"], before["ownerless_looked_at"]) == (0, [], None)
        checker = control.liveness(await control.term())
        await checker.run_once()
        now = await api.ok("GET", "/dispatcher")
        assert now["ownerless"] == 1
        (shown,) = now["ownerless_examples"]
        assert (shown["kind"], shown["id"], shown["state"]) == ("line", occurrence, "waiting")
        assert now["ownerless_looked_at"] is not None
        await checker.run_once()
        assert (await api.ok("GET", "/dispatcher"))["ownerless"] == 0
