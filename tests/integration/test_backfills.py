"""Backfills step by step, on a real Postgres."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leveret_core.errors import Conflict, InvalidInput, NotFound, TermOver
from leveret_core.messages import JobError
from leveret_core.store.backfills import commands as backfills
from leveret_core.store.backfills.commands import Wanted, cancel_backfill, get_backfill, start_backfill
from leveret_core.store.commands.occurrences import cancel_occurrence, requeue_occurrence, trigger_job
from leveret_core.store.database import Database
from leveret_core.store.jobs.changes import delete_job, edit_job, pause_job
from leveret_core.triggers import Cron, Interval, encode
from leveret_dispatcher.schedule.backfiller import Backfiller
from leveret_dispatcher.upkeep.pruner import Pruner
from support.control import LONG_AGO, Control, finished

EVERY_HOUR = {"kind": "interval", "every": 3600, "start_at": LONG_AGO.isoformat()}
FIRST = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
async def control(database_url: str) -> AsyncGenerator[Control]:
    database = Database(database_url, pool_size=10)
    await database.start()
    made = Control(database)
    yield made
    violations = await made.violations()
    await database.stop()
    assert violations == []


def hours(count: int) -> list[datetime]:
    return [FIRST + timedelta(hours=n) for n in range(count)]


async def hourly(control: Control, **columns: Any) -> int:
    due = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    given: dict[str, Any] = {"trigger": EVERY_HOUR, "next_fire_at": due}
    return await control.job(**(given | columns))


async def start(control: Control, job: int, count: int, **wanted: Any) -> int:
    """A backfill of `count` hours."""
    times: dict[str, Any] = {"start_at": FIRST.isoformat(), "end_at": (FIRST + timedelta(hours=count, minutes=-1)).isoformat()}
    return await start_backfill(control.db, job, Wanted(**(times | wanted)), limit=100, actor="test")


async def counts(control: Control, backfill: int) -> dict[str, Any]:
    row = await get_backfill(control.db, backfill)
    found: dict[str, Any] = {name: getattr(row, name) for name in ("state", "total", "created", "existing")}
    return found


async def made_of(control: Control, backfill: int) -> list[datetime]:
    """The fire times of its occurrences, in order."""
    rows = await control.db.pool.fetch(
        "select scheduled_for from occurrence where backfill_id = $1 order by scheduled_for", backfill
    )
    return [row["scheduled_for"] for row in rows]


async def run_all(control: Control, backfiller: Backfiller, outcome: str = "succeeded") -> list[datetime]:
    """Step and run until there is nothing left to run; returns the fire times in the order they ran."""
    worker, ran = await control.worker(), list[datetime]()
    while True:
        await backfiller.run_once()
        rows = await control.db.pool.fetch("select id, attempt from occurrence where state = 'pending' order by id")
        if not rows:
            return ran
        for row in rows:
            answer = await control.claim(worker, row["id"], row["attempt"] + 1)
            ran.append((await control.row(row["id"]))["scheduled_for"])
            error = None if outcome == "succeeded" else JobError(type="ValueError", message="no", traceback="")
            await control.report(worker, finished(answer, outcome, error=error, retry=False))


# Creating


async def test_each_fire_time_of_the_range_runs_once_and_in_order(control: Control) -> None:
    job = await hourly(control, payload={"a": 1})
    backfill = await start(control, job, 50)
    backfiller = control.backfiller(await control.term())
    assert await run_all(control, backfiller) == hours(50)
    assert await counts(control, backfill) == {"state": "completed", "total": 50, "created": 50, "existing": 0}
    assert await backfiller.run_once() is None
    rows = await control.db.pool.fetch("select distinct origin, payload::text, epoch from occurrence")
    assert [tuple(row) for row in rows] == [("backfill", '{"a": 1}', 1)]


async def test_both_ends_belong_to_the_range(control: Control) -> None:
    job = await hourly(control)
    backfill = await start(control, job, 0, end_at=hours(3)[2].isoformat())
    await control.backfiller(await control.term()).run_once()
    assert await made_of(control, backfill) == hours(3)


async def test_no_more_than_so_many_are_ahead_of_those_that_have_begun(control: Control) -> None:
    backfill = await start(control, await hourly(control), 50, concurrency="allow")
    backfiller = control.backfiller(await control.term(), ahead=4)
    for _ in range(3):
        await backfiller.run_once()
    assert await made_of(control, backfill) == hours(4)
    worker = await control.worker()
    for row in await control.db.pool.fetch("select id from occurrence order by id limit 3"):
        await control.claim(worker, row["id"])
    await backfiller.run_once()
    assert await made_of(control, backfill) == hours(7)


async def test_queue_runs_so_many_at_once_in_a_line_of_its_own(control: Control) -> None:
    job = await hourly(control, concurrency="skip")
    await start(control, job, 5, max_concurrent=2)
    await control.backfiller(await control.term()).run_once()
    assert await control.states(job) == ["pending", "pending", "waiting", "waiting", "waiting"]
    worker = await control.worker()
    first = await control.db.pool.fetchval("select min(id) from occurrence")
    await control.report(worker, finished(await control.claim(worker, first)))
    assert await control.states(job) == ["succeeded", "pending", "pending", "waiting", "waiting"]


async def test_skip_passes_over_what_comes_while_another_of_the_backfill_is_live(control: Control) -> None:
    job = await hourly(control, concurrency="allow")
    backfill = await start(control, job, 3, concurrency="skip")
    backfiller = control.backfiller(await control.term())
    await backfiller.run_once()
    assert await control.states(job) == ["pending", "skipped", "skipped"]
    await run_all(control, backfiller)
    assert (await counts(control, backfill))["state"] == "completed"


async def test_the_payload_can_be_another(control: Control) -> None:
    job = await hourly(control, payload={"a": 1})
    await start(control, job, 2, payload='{"b": 2}')
    await control.backfiller(await control.term()).run_once()
    assert await control.db.pool.fetchval("select count(*) from occurrence where payload = '{\"b\": 2}'") == 2


# What is there already


async def test_a_fire_time_that_ran_is_not_run_again_and_one_that_was_only_recorded_is(control: Control) -> None:
    job = await hourly(control)
    ran, missed, skipped, cancelled = hours(4)
    await control.db.pool.executemany(
        """insert into occurrence (job_id, job_name, job_version, type, payload, origin, scheduled_for, state, retry,
                                   finished_at, attempt, missed_count)
           values ($1, 'job', 1, 'test.job', '{}', 'schedule', $2, $3::text::occurrence_state, '{}', now(), $4, $5)""",
        [
            (job, ran, "succeeded", 1, None),
            (job, missed, "missed", 0, 2),
            (job, skipped, "skipped", 0, None),
            (job, cancelled, "cancelled", 0, None),
        ],
    )
    backfill = await start(control, job, 6)
    backfiller = control.backfiller(await control.term())
    await run_all(control, backfiller)
    assert await made_of(control, backfill) == [missed, skipped, *hours(6)[4:]]
    assert await counts(control, backfill) == {"state": "completed", "total": 6, "created": 4, "existing": 2}
    # The records are still there, a microsecond aside.
    rows = await control.db.pool.fetch(
        "select scheduled_for, state::text, missed_count from occurrence where state in ('missed', 'skipped') order by 1"
    )
    aside = timedelta(microseconds=1)
    assert [tuple(row) for row in rows] == [(missed + aside, "missed", 2), (skipped + aside, "skipped", None)]


async def test_a_record_that_cannot_be_moved_counts_as_existing_and_hides_no_other(control: Control) -> None:
    job = await hourly(control)
    stuck, free, _ = hours(3)
    aside = timedelta(microseconds=1)
    await control.db.pool.executemany(
        """insert into occurrence (job_id, job_name, job_version, type, payload, origin, scheduled_for, state, retry,
                                   finished_at)
           values ($1, 'job', 1, 'test.job', '{}', 'schedule', $2, 'skipped', '{}', now())""",
        [(job, at) for at in (stuck, stuck + aside, free)],
    )
    backfill = await start(control, job, 3)
    await run_all(control, control.backfiller(await control.term(), ahead=1))
    assert await made_of(control, backfill) == hours(3)[1:]
    assert await counts(control, backfill) == {"state": "completed", "total": 3, "created": 2, "existing": 1}


async def test_a_second_backfill_of_the_same_range_runs_nothing(control: Control) -> None:
    job = await hourly(control)
    first, second = await start(control, job, 10), await start(control, job, 10)
    backfiller = control.backfiller(await control.term())
    assert await run_all(control, backfiller) == hours(10)
    await backfiller.run_once()
    assert await counts(control, first) == {"state": "completed", "total": 10, "created": 10, "existing": 0}
    assert await counts(control, second) == {"state": "completed", "total": 10, "created": 0, "existing": 10}


async def test_a_tick_that_the_schedule_has_yet_to_handle_is_left_to_it(control: Control) -> None:
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    job = await hourly(
        control, next_fire_at=now - timedelta(hours=1), catch_up="all", catch_up_window=86_400.0, concurrency="allow"
    )
    wanted = Wanted(start_at=(now - timedelta(hours=3)).isoformat(), end_at=now.isoformat(), concurrency="allow")
    backfill = await start_backfill(control.db, job, wanted, limit=10, actor="test")
    term = await control.term()
    backfiller = control.backfiller(term)
    await backfiller.run_once()
    assert await made_of(control, backfill) == [now - timedelta(hours=3), now - timedelta(hours=2)]
    await control.scheduler(term).run_once()
    await backfiller.run_once()
    assert await counts(control, backfill) == {"state": "running", "total": 4, "created": 2, "existing": 2}


# Beside the schedule


async def test_a_backfill_does_not_hold_up_the_schedule_of_its_job(control: Control) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    job = await hourly(control, concurrency="skip", next_fire_at=now)
    term = await control.term()
    await start(control, job, 20)
    await control.backfiller(term).run_once()
    await control.scheduler(term).run_once()
    (tick,) = await control.db.pool.fetch("select state::text, priority from occurrence where origin = 'schedule'")
    assert tick["state"] == "pending"
    manual = await trigger_job(control.db, job, actor="test")
    assert (await control.row(manual.occurrence_id))["state"] == "skipped"
    # Of a backlog, what is due now goes first.
    assert (
        await control.db.pool.fetchval("select max(priority) from occurrence where origin = 'backfill'") == 0 < tick["priority"]
    )


async def test_failures_in_a_backfill_do_not_disable_the_job_and_its_successes_excuse_nothing(control: Control) -> None:
    job = await hourly(control, disable_after=2, failures=1)
    backfiller = control.backfiller(await control.term())
    await start(control, job, 5)
    await run_all(control, backfiller, "failed")
    assert await control.states(job) == ["failed"] * 5
    await start(control, job, 5, start_at=(FIRST - timedelta(hours=3)).isoformat())
    await run_all(control, backfiller)
    row = await control.db.pool.fetchrow("select failures, paused_at from job")
    assert row is not None
    assert tuple(row) == (1, None)


@pytest.mark.parametrize("changes", [{"concurrency": "allow"}, {"max_concurrent": 9}, {"concurrency_key": "a"}])
async def test_an_edit_of_the_job_leaves_the_line_of_a_backfill_as_it_is(control: Control, changes: dict[str, Any]) -> None:
    job = await hourly(control, concurrency="queue", payload={"a": "x"})
    own = [(await trigger_job(control.db, job, actor="test")).occurrence_id for _ in range(2)]
    backfill = await start(control, job, 4)
    await control.backfiller(await control.term()).run_once()
    await edit_job(control.db, job, changes, actor="test", version=None, payload_limit=1000)
    states = [(await control.row(id_))["state"] for id_ in own]
    assert states == (["pending", "waiting"] if "concurrency_key" in changes else ["pending", "pending"])
    rows = await control.db.pool.fetch("select state::text from occurrence where backfill_id = $1 order by id", backfill)
    assert [row["state"] for row in rows] == ["pending", "waiting", "waiting", "waiting"]


async def test_no_payload_can_join_the_line_of_a_backfill(control: Control) -> None:
    job = await hourly(control, concurrency="queue", concurrency_key="who")
    backfill = await start(control, job, 2)
    made = await trigger_job(control.db, job, payload=f'{{"who": "backfill:{backfill}"}}'.encode(), actor="test")
    assert (await control.row(made.occurrence_id))["concurrency_key"].startswith("md5:")
    await control.backfiller(await control.term()).run_once()


async def test_a_paused_job_is_backfilled_and_a_deleted_one_ends_its_backfills(control: Control) -> None:
    job = await hourly(control)
    await pause_job(control.db, job, reason=None, actor="test")
    backfill = await start(control, job, 50)
    backfiller = control.backfiller(await control.term())
    await backfiller.run_once()
    assert len(await made_of(control, backfill)) == 20
    await delete_job(control.db, job, actor="test")
    await backfiller.run_once()
    row = await get_backfill(control.db, backfill)
    assert (row.state, row.reason) == ("cancelled", "job deleted")
    assert set(await control.states(job)) == {"cancelled"}


# Terms


async def test_a_stale_term_creates_nothing_and_the_next_goes_on_where_it_was(control: Control) -> None:
    job = await hourly(control)
    backfill = await start(control, job, 60, concurrency="allow")
    old = control.backfiller(await control.term(), ahead=25)
    await old.run_once()
    new = control.backfiller(await control.term(), ahead=1000)
    with pytest.raises(TermOver):
        await old.run_once()
    assert len(await made_of(control, backfill)) == 25
    await new.run_once()
    assert await made_of(control, backfill) == hours(60)
    assert await counts(control, backfill) == {"state": "running", "total": 60, "created": 60, "existing": 0}


async def test_one_that_cannot_be_evaluated_is_cancelled_and_stops_no_other(control: Control) -> None:
    bad, good = await hourly(control, name="bad"), await hourly(control, name="good")
    first, second = await start(control, bad, 3), await start(control, good, 3)
    martian = '{"kind": "cron", "expression": "* * * * *", "timezone": "Mars/Olympus"}'
    await control.db.pool.execute("update backfill set trigger = $2::text::jsonb where id = $1", first, martian)
    await control.backfiller(await control.term()).run_once()
    row = await get_backfill(control.db, first)
    assert row.state == "cancelled"
    assert "Mars/Olympus" in (row.reason or "")
    assert await made_of(control, second) == hours(3)


async def test_a_job_that_another_transaction_holds_comes_with_the_next_look(control: Control) -> None:
    job = await hourly(control)
    backfill = await start(control, job, 3)
    backfiller = control.backfiller(await control.term())
    async with control.db.transaction() as connection:
        await connection.execute("select from job where id = $1 for no key update", job)
        await backfiller.run_once()
    assert await made_of(control, backfill) == []
    await backfiller.run_once()
    assert await made_of(control, backfill) == hours(3)


# Cancelling


async def test_cancelling_stops_it_and_what_runs_goes_on(control: Control) -> None:
    job = await hourly(control)
    backfill = await start(control, job, 50, max_concurrent=2)
    backfiller = control.backfiller(await control.term())
    await backfiller.run_once()
    worker = await control.worker()
    first = await control.db.pool.fetchval("select min(id) from occurrence")
    granted = await control.claim(worker, first)
    cancelled = await cancel_backfill(control.db, backfill, running=False, reason="wrong range", actor="test")
    assert (cancelled.changed, cancelled.tell) == (19, ())
    await backfiller.run_once()
    assert await control.states(job) == ["running"] + ["cancelled"] * 19
    await control.report(worker, finished(granted))
    assert (await control.states(job))[0] == "succeeded"
    row = await get_backfill(control.db, backfill)
    assert (row.state, row.reason, row.created) == ("cancelled", "wrong range", 20)
    # Again does no harm.
    assert (await cancel_backfill(control.db, backfill, running=True, reason=None, actor="test")).changed == 0
    assert (await get_backfill(control.db, backfill)).reason == "wrong range"


async def test_cancelling_can_end_what_runs(control: Control) -> None:
    job = await hourly(control)
    backfill = await start(control, job, 3)
    await control.backfiller(await control.term()).run_once()
    worker = await control.worker()
    first = await control.db.pool.fetchval("select min(id) from occurrence")
    granted = await control.claim(worker, first)
    cancelled = await cancel_backfill(control.db, backfill, running=True, reason=None, actor="test")
    assert [(word.worker, word.occurrence) for word in cancelled.tell] == [(worker, first)]
    assert await control.states(job) == ["cancelling", "cancelled", "cancelled"]
    await control.report(worker, finished(granted, "cancelled"))


async def test_what_is_completed_cannot_be_cancelled_nor_what_there_is_not(control: Control) -> None:
    job = await hourly(control)
    backfill = await start(control, job, 1)
    backfiller = control.backfiller(await control.term())
    await run_all(control, backfiller)
    with pytest.raises(Conflict, match="is completed"):
        await cancel_backfill(control.db, backfill, running=False, reason=None, actor="test")
    with pytest.raises(NotFound):
        await cancel_backfill(control.db, 4711, running=False, reason=None, actor="test")


async def test_one_of_its_occurrences_can_be_cancelled_or_requeued_alone(control: Control) -> None:
    job = await hourly(control, concurrency="queue")
    backfill = await start(control, job, 3)
    await control.backfiller(await control.term()).run_once()
    first = await control.db.pool.fetchval("select min(id) from occurrence")
    await cancel_occurrence(control.db, first, reason="", actor="test")
    assert await control.states(job) == ["cancelled", "pending", "waiting"]
    again = await control.row((await requeue_occurrence(control.db, first, actor="test")).occurrence_id)
    # It stands in the job's own line.
    assert (again["state"], again["concurrency_key"], again["backfill_id"]) == ("pending", "", None)
    assert len(await made_of(control, backfill)) == 3


# At the edge


@pytest.mark.parametrize(
    ("trigger", "wanted", "field", "message"),
    [
        ({"kind": "manual"}, {}, "", "manual trigger"),
        ({"kind": "once", "at": "2026-02-01T00:00:00Z"}, {}, "", "once trigger"),
        (EVERY_HOUR, {"end_at": "2100-01-01T00:00:00Z"}, "end_at", "is not in the past"),
        (EVERY_HOUR, {"start_at": "2026-02-02T00:00:00Z", "end_at": "2026-02-01T00:00:00Z"}, "start_at", "before end_at"),
        (EVERY_HOUR, {"start_at": "2026-02-01T00:00:00Z", "end_at": "2026-02-01T00:00:00Z"}, "start_at", "before end_at"),
        (EVERY_HOUR, {"start_at": "yesterday"}, "start_at", "is not a time"),
        (EVERY_HOUR, {"start_at": "2026-02-01T00:01:00Z", "end_at": "2026-02-01T00:59:00Z"}, "start_at", "has no fire time"),
        (
            EVERY_HOUR,
            {"start_at": "2025-01-01T00:00:00Z", "end_at": "2025-02-01T00:00:00Z"},
            "start_at",
            "begins at 2026-01-01",
        ),
        (EVERY_HOUR, {"end_at": "2026-02-06T00:00:00Z"}, "end_at", "more than 100 fire times"),
    ],
)
async def test_what_cannot_be_backfilled_is_refused_with_the_reason(
    control: Control, trigger: dict[str, Any], wanted: dict[str, Any], field: str, message: str
) -> None:
    job = await control.job(trigger=trigger)
    with pytest.raises(InvalidInput) as refused:
        await start(control, job, 2, **wanted)
    (problem,) = refused.value.problems
    assert problem.field == field
    assert message in problem.message


async def test_exactly_as_many_fire_times_as_allowed_are_allowed(control: Control) -> None:
    backfill = await start(control, await hourly(control), 100)
    assert (await counts(control, backfill))["total"] == 100


async def test_times_without_an_offset_are_wall_time_in_the_zone_of_the_job(control: Control) -> None:
    job = await control.job(trigger=encode(Cron("0 6 * * *", "Europe/Berlin")))
    backfill = await start(control, job, 0, start_at="2026-03-28T06:00", end_at="2026-03-29T06:00")
    await control.backfiller(await control.term()).run_once()
    assert await made_of(control, backfill) == [
        datetime(2026, 3, 28, 5, tzinfo=UTC),
        datetime(2026, 3, 29, 4, tzinfo=UTC),
    ]


async def test_a_job_has_no_more_than_so_many_running_backfills(control: Control) -> None:
    job = await hourly(control)
    for _ in range(backfills.MAX_RUNNING):
        await start(control, job, 1)
    with pytest.raises(Conflict, match="backfills of job job are running"):
        await start(control, job, 1)


async def test_the_fire_times_are_those_of_the_trigger_when_somebody_asked(control: Control) -> None:
    job = await hourly(control)
    backfill = await start(control, job, 30)
    backfiller = control.backfiller(await control.term(), ahead=10)
    await backfiller.run_once()
    daily = encode(Interval(every=86_400, start_at=LONG_AGO))
    await edit_job(control.db, job, {"trigger": daily}, actor="test", version=None, payload_limit=1000)
    await run_all(control, backfiller)
    assert await made_of(control, backfill) == hours(30)


async def test_old_backfills_are_pruned_with_their_occurrences(control: Control) -> None:
    backfill = await start(control, await hourly(control), 2)
    term = await control.term()
    backfiller = control.backfiller(term)
    await run_all(control, backfiller)
    await control.db.pool.execute("update occurrence set started_at = null, finished_at = now() - interval '31 days'")
    await Pruner(term, 30).run_once()
    assert (await get_backfill(control.db, backfill)).counts == "{}"
    await control.db.pool.execute("update backfill set finished_at = now() - interval '31 days'")
    await Pruner(term, 30).run_once()
    with pytest.raises(NotFound):
        await get_backfill(control.db, backfill)
