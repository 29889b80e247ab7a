from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leveret_core.planning import MAX_TICKS, ON_TIME, DueJob, plan
from leveret_core.triggers import Cron, Interval, Trigger

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EVERY_MINUTE = Interval(every=60, start_at=NOON)


def due(
    next_fire_at: datetime = NOON,
    *,
    trigger: Trigger = EVERY_MINUTE,
    catch_up: str = "latest",
    window: timedelta = timedelta(hours=1),
    runs_left: int | None = None,
    limit: int = 1_000,
    together: int | None = None,
) -> DueJob:
    return DueJob(trigger, next_fire_at, catch_up, window, runs_left, limit, together)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def test_a_tick_on_time_fires_and_the_next_one_follows() -> None:
    made = plan(due(), NOON + timedelta(milliseconds=5))
    assert made.fire == [NOON]
    assert made.missed is None
    assert made.next_fire_at == at(1)


@pytest.mark.parametrize("catch_up", ["latest", "all"])
def test_ticks_of_a_change_of_leadership_all_fire(catch_up: str) -> None:
    every_second = Interval(every=1, start_at=NOON)
    made = plan(due(trigger=every_second, catch_up=catch_up), NOON + timedelta(seconds=20))
    assert len(made.fire) == 21
    assert made.missed is None


@pytest.mark.parametrize("catch_up", ["latest", "all"])
def test_of_ticks_that_would_skip_each_other_only_the_newest_are_decided_about(catch_up: str) -> None:
    every_ten = Interval(every=10, start_at=NOON)
    made = plan(due(trigger=every_ten, catch_up=catch_up, together=1), NOON + timedelta(seconds=35))
    assert made.fire == [NOON + timedelta(seconds=30)]
    assert made.missed == (3, NOON, NOON + timedelta(seconds=20))
    made = plan(due(trigger=every_ten, catch_up=catch_up, together=2), NOON + timedelta(seconds=35))
    assert made.fire == [NOON + timedelta(seconds=s) for s in (20, 30)]
    assert made.missed == (2, NOON, NOON + timedelta(seconds=10))


def test_the_steps_of_a_long_outage_leave_what_would_skip_itself_to_the_last_one() -> None:
    every_second, now = Interval(every=1, start_at=NOON), NOON + timedelta(seconds=1200)
    fired, missed, tick = list[datetime](), 0, NOON
    while tick <= now:
        made = plan(due(tick, trigger=every_second, catch_up="all", together=1), now)
        fired += made.fire
        missed += made.missed[0] if made.missed else 0
        assert made.next_fire_at is not None
        tick = made.next_fire_at
    assert fired == [now]
    assert missed == 1200


def test_latest_runs_the_newest_late_tick_and_records_the_others() -> None:
    hourly = Interval(every=3600, start_at=NOON)
    made = plan(due(trigger=hourly, window=timedelta(hours=2)), NOON + timedelta(hours=5, minutes=30))
    assert made.fire == [NOON + timedelta(hours=5)]
    assert made.missed == (5, NOON, NOON + timedelta(hours=4))


def test_latest_runs_nothing_older_than_its_window() -> None:
    daily = Interval(every=86400, start_at=NOON)
    made = plan(due(trigger=daily, window=timedelta(hours=1)), NOON + timedelta(hours=3))
    assert made.fire == []
    assert made.missed == (1, NOON, NOON)


def test_all_runs_every_late_tick_within_its_window() -> None:
    made = plan(due(catch_up="all", window=timedelta(minutes=5)), at(10))
    assert made.fire == [at(m) for m in range(5, 11)]
    assert made.missed == (5, NOON, at(4))


def test_all_runs_no_more_than_the_newest_so_many_late_ticks() -> None:
    made = plan(due(catch_up="all", limit=3), at(10))
    # Late are those before at(9).
    assert made.fire == [at(m) for m in range(6, 11)]
    assert made.missed == (6, NOON, at(5))


def test_the_limit_counts_late_ticks_that_this_step_does_not_reach() -> None:
    every_second, now = Interval(every=1, start_at=NOON), NOON + timedelta(hours=1)
    job, missed, fired = due(trigger=every_second, catch_up="all", window=timedelta(days=1), limit=700), 0, list[datetime]()
    while job.next_fire_at <= now:
        made = plan(job, now)
        # Nothing is missed any more once the first has run.
        assert not (fired and made.missed)
        fired += made.fire
        missed += made.missed[0] if made.missed else 0
        assert made.next_fire_at is not None
        job = due(made.next_fire_at, trigger=every_second, catch_up="all", window=timedelta(days=1), limit=700)
    assert len(fired) == 700 + 61
    assert missed == 3601 - 761
    assert fired == [now - timedelta(seconds=s) for s in range(760, -1, -1)]


def test_none_runs_the_newest_tick_if_it_is_hardly_late_and_nothing_else() -> None:
    made = plan(due(catch_up="none"), at(10) + timedelta(seconds=50))
    assert made.fire == [at(10)]
    assert made.missed == (10, NOON, at(9))
    hourly = Interval(every=3600, start_at=NOON)
    made = plan(due(trigger=hourly, catch_up="none"), at(90))
    assert made.fire == []
    assert made.missed == (2, NOON, at(60))


def test_max_runs_ends_the_schedule() -> None:
    made = plan(due(catch_up="all", runs_left=2), at(5))
    assert made.fire == [NOON, at(1)]
    assert made.next_fire_at is None


def test_a_job_whose_trigger_ends_is_due_no_more() -> None:
    made = plan(due(trigger=Cron(expression="0 12 1 3 *", end_at=at(1))), NOON)
    assert made.fire == [NOON]
    assert made.next_fire_at is None


def test_a_long_outage_is_worked_off_in_bounded_steps_and_every_tick_is_accounted_for() -> None:
    every_second = Interval(every=1, start_at=NOON)
    now = NOON + timedelta(hours=1)
    job, steps, fired, missed = due(trigger=every_second), 0, 0, 0
    while job.next_fire_at <= now:
        made = plan(job, now)
        assert len(made.fire) + (made.missed[0] if made.missed else 0) <= MAX_TICKS
        fired += len(made.fire)
        missed += made.missed[0] if made.missed else 0
        assert made.next_fire_at is not None
        job = due(made.next_fire_at, trigger=every_second)
        steps += 1
    assert steps == 8
    assert fired == 61
    assert fired + missed == 3601


@settings(deadline=None)
@given(
    minutes=st.integers(0, 3000),
    catch_up=st.sampled_from(["latest", "all", "none"]),
    window=st.integers(0, 4000),
    limit=st.integers(1, 1200),
    together=st.sampled_from([None, 1, 2]),
)
def test_no_tick_is_lost_and_none_is_counted_twice(
    minutes: int, catch_up: str, window: int, limit: int, together: int | None
) -> None:
    now = at(minutes)
    seen: list[datetime] = []
    ran: list[datetime] = []
    next_fire_at: datetime | None = NOON
    while next_fire_at is not None and next_fire_at <= now:
        job = due(next_fire_at, catch_up=catch_up, window=timedelta(minutes=window), limit=limit, together=together)
        made = plan(job, now)
        seen += made.fire
        ran += [tick for tick in made.fire if now - tick > ON_TIME]
        if made.missed:
            count, first, last = made.missed
            seen += [t for t in (at(m) for m in range(minutes + 1)) if first <= t <= last and t not in made.fire]
            assert count <= MAX_TICKS
        next_fire_at = made.next_fire_at
    assert sorted(seen) == [at(m) for m in range(minutes + 1)]
    assert len(ran) <= (limit if catch_up == "all" else 1)
