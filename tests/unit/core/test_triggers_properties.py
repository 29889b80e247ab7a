"""What holds for every trigger, on random ones. `LEVERET_EXHAUSTIVE=1` tries 100,000 expressions instead of some."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from time import perf_counter
from uuid import UUID

import pytest
from cronsim import CronSim
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from leveret_core.triggers import (
    Cron,
    Interval,
    Manual,
    Once,
    Trigger,
    TriggerError,
    anchored,
    decode,
    describe,
    encode,
    fire_delay,
    fire_times,
    fire_times_between,
    latest_fire_time,
    load,
    next_fire_time,
    validate,
)

EXHAUSTIVE = os.environ.get("LEVERET_EXHAUSTIVE") == "1"
pytestmark = pytest.mark.timeout(3600 if EXHAUSTIVE else 60)
# Derandomised: a unit test that fails for somebody has to fail for everybody.
some = settings(
    max_examples=100_000 if EXHAUSTIVE else 200,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "America/Santiago"]
MONTHS = ["jan", "FEB", "mar", "APR", "may", "JUN", "jul", "AUG", "sep", "OCT", "nov", "DEC"]
WEEKDAYS = ["sun", "MON", "tue", "WED", "thu", "FRI", "sat"]


def fields(low: int, high: int, special: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[str]:
    value = st.integers(low, high)
    spans = st.tuples(value, value).map(lambda pair: f"{min(pair)}-{max(pair)}")
    steps = st.tuples(st.one_of(st.just("*"), spans, value.map(str)), st.integers(1, high)).map("{0[0]}/{0[1]}".format)
    term = st.one_of(value.map(str), spans, steps, st.just("*"), *([special] if special is not None else []))
    return st.one_of(st.just("*"), term, st.lists(term, min_size=1, max_size=3).map(",".join))


nth_weekdays = st.tuples(st.one_of(st.integers(0, 7).map(str), st.sampled_from(WEEKDAYS)), st.integers(1, 5))
weekdays = st.one_of(nth_weekdays.map("{0[0]}#{0[1]}".format), st.integers(0, 7).map("{}L".format), st.sampled_from(WEEKDAYS))
five = st.tuples(
    fields(0, 59),
    fields(0, 23),
    fields(1, 31, st.sampled_from(["L", "LW"])),
    fields(1, 12, st.sampled_from(MONTHS)),
    fields(0, 7, weekdays),
).map(" ".join)
# What cronsim does not know: days told by the end of the month or by weekdays, `?`, and what is drawn.
day_rules = st.one_of(
    st.integers(1, 31).map("{}W".format), st.integers(0, 27).map("L-{}".format), st.integers(0, 27).map("L-{}W".format)
)


def drawn(low: int, high: int) -> st.SearchStrategy[str]:
    pairs = st.tuples(st.integers(low, high), st.integers(low, high)).map(sorted)
    whole = st.one_of(st.just("H"), st.just("~"), pairs.map("H({0[0]}-{0[1]})".format), pairs.map("{0[0]}~{0[1]}".format))
    return st.one_of(whole, st.tuples(whole, st.integers(1, high)).map("{0[0]}/{0[1]}".format))


ours = st.tuples(
    st.one_of(fields(0, 59), drawn(0, 59)),
    st.one_of(fields(0, 23), drawn(0, 23)),
    st.one_of(fields(1, 31, day_rules), day_rules, st.just("?"), drawn(1, 28)),
    st.one_of(fields(1, 12), st.just("H")),
    st.one_of(fields(0, 7, weekdays), st.just("?"), st.just("H")),
).map(" ".join)
expressions = st.one_of(five, ours, st.tuples(fields(0, 59), five).map(" ".join))
# To the microsecond, over 18 years.
instants = st.integers(0, 18 * 365 * 86_400 * 10**6).map(
    lambda offset: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(microseconds=offset)
)
zones = st.sampled_from(ZONES)
seconds = st.one_of(st.integers(1, 100_000).map(float), st.floats(0.1, 100_000))
ids = st.one_of(st.uuids(), st.integers(0, 2**63))


def valid_cron(expression: str, timezone: str) -> Cron:
    trigger = Cron(expression, timezone, seed="some-job")
    error = error_of(trigger)
    # The only thing that can be wrong with what is made here.
    assert error is None or error.message.startswith("never fires"), (expression, error)
    assume(error is None)
    return trigger


def error_of(trigger: Trigger) -> TriggerError | None:
    try:
        validate(trigger)
    except TriggerError as error:
        return error
    return None


@some
@given(expressions, zones, instants)
def test_fire_times_strictly_increase_and_do_not_depend_on_where_one_starts(
    expression: str, timezone: str, after: datetime
) -> None:
    trigger = valid_cron(expression, timezone)
    times = fire_times(trigger, after, 6)
    assert times
    assert all(earlier < later for earlier, later in pairwise([after, *times]))
    assert all(time.tzinfo is UTC and time.microsecond == 0 for time in times)
    for time, following in pairwise(times):
        assert next_fire_time(trigger, following - timedelta(microseconds=1)) == following
        assert next_fire_time(trigger, time + (following - time) / 2) == following
    assert describe(trigger)


@some
@given(ours, st.text(st.sampled_from("abc-19"), min_size=1, max_size=6), instants)
def test_what_is_drawn_depends_on_the_seed_alone(expression: str, seed: str, after: datetime) -> None:
    # What draws a day that its month does not have is refused.
    assume(error_of(Cron(expression)) is None and error_of(Cron(expression, seed=seed)) is None)
    trigger = anchored(validate(Cron(expression)), after, seed)
    assert isinstance(trigger, Cron)
    assert trigger.seed == (seed if "H" in expression or "~" in expression else None)
    assert decode(encode(trigger)) == trigger, "a seed is kept where it is stored"
    again = anchored(validate(Cron(expression)), after + timedelta(days=1), seed)
    assert fire_times(again, after, 3) == fire_times(trigger, after, 3)


@pytest.mark.parametrize(
    ("expression", "minutes"),
    [
        ("H * * * *", range(60)),
        ("~ * * * *", range(60)),
        ("H(10-19) * * * *", range(10, 20)),
        ("10~19 * * * *", range(10, 20)),
        ("~4 * * * *", range(5)),
        ("55~ * * * *", range(55, 60)),
    ],
)
def test_names_are_spread_over_all_that_may_be_drawn_and_no_further(expression: str, minutes: range) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    drawn = {
        fire_times(anchored(Cron(expression), start, f"job-{number}"), start - timedelta(seconds=1), 1)[0].minute
        for number in range(600)
    }
    assert drawn == set(minutes)


def test_a_step_keeps_its_distance_from_where_it_was_drawn_to_begin() -> None:
    start = datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)
    firsts = set[int]()
    for number in range(100):
        times = fire_times(anchored(Cron("H(0-29)/10 * * * *"), start, f"job-{number}"), start, 3)
        assert [later - earlier for earlier, later in pairwise(times)] == [timedelta(minutes=10)] * 2
        assert times[-1].minute < 30
        firsts.add(times[0].minute)
    assert firsts == set(range(10))


def test_a_drawn_day_is_one_that_every_month_has() -> None:
    start = datetime(2026, 2, 1, tzinfo=UTC) - timedelta(seconds=1)
    triggers = [anchored(Cron("0 0 H * *"), start, f"job-{number}") for number in range(300)]
    assert {fire_times(trigger, start, 1)[0].day for trigger in triggers} == set(range(1, 29))
    assert {fire_times(trigger, start, 1)[0].month for trigger in triggers} == {2}


def test_without_a_seed_there_is_nothing_to_go_by() -> None:
    with pytest.raises(ValueError, match="without a seed"):
        next_fire_time(Cron("H * * * *"), datetime(2026, 1, 1, tzinfo=UTC))
    assert describe(Cron("H * * * *")).endswith("the job's name decides what H and ~ stand for")


@some
@given(five, instants)
def test_in_utc_the_fire_times_are_those_of_cronsim(expression: str, after: datetime) -> None:
    trigger = valid_cron(expression, "UTC")
    theirs = CronSim(expression, after)
    assert fire_times(trigger, after, 3) == [next(theirs) for _ in range(3)]


@some
@given(expressions, zones, instants, st.integers(1, 200_000))
def test_the_latest_fire_time_is_the_last_of_those_between(expression: str, timezone: str, after: datetime, reach: int) -> None:
    trigger, until = valid_cron(expression, timezone), after + timedelta(seconds=reach)
    latest = latest_fire_time(trigger, after, until)
    between = fire_times_between(trigger, after, until, 500)
    if len(between) < 500:
        assert latest == (between[-1] if between else None)
    else:
        assert latest is not None
        assert between[-1] <= latest <= until
        assert (next_fire_time(trigger, latest) or datetime.max.replace(tzinfo=UTC)) > until


@some
@given(seconds, instants, st.integers(0, 10**9))
def test_an_interval_does_not_drift(every: float, start: datetime, later: int) -> None:
    trigger, step = Interval(every, start_at=start), timedelta(seconds=every)
    after = start + timedelta(seconds=later)
    fire = next_fire_time(trigger, after)
    assert fire is not None
    assert after < fire <= after + step
    assert (fire - start) % step == timedelta(0)
    assert latest_fire_time(trigger, start - step, fire) == fire
    assert fire_times(trigger, start - step, 3) == [start, start + step, start + 2 * step]


@some
@given(st.floats(0.001, 3600), ids, instants)
def test_jitter_is_never_early_and_always_the_same(jitter: float, job_id: UUID | int, scheduled_for: datetime) -> None:
    trigger = Cron("0 6 * * *", jitter=jitter)
    delay = fire_delay(trigger, job_id, scheduled_for)
    assert 0 <= delay < jitter
    assert fire_delay(trigger, job_id, scheduled_for.astimezone()) == delay


def test_jitter_spreads_jobs_and_occurrences() -> None:
    at = datetime(2026, 1, 1, 6, tzinfo=UTC)
    trigger = Cron("0 6 * * *", jitter=60)
    by_job = sorted(fire_delay(trigger, job, at) for job in range(1000))
    assert len({int(delay) for delay in by_job}) == 60
    assert 25 < by_job[500] < 35
    assert len({fire_delay(trigger, 1, at + timedelta(days=day)) for day in range(100)}) == 100
    assert fire_delay(Manual(), 1, at) == fire_delay(Once(at), 1, at) == 0


@some
@given(
    st.one_of(
        st.builds(Cron, st.just("0 6 * * *"), zones, st.none() | instants, st.none(), st.floats(0, 60)),
        st.builds(Interval, st.integers(61, 10_000), st.none() | instants, st.none(), st.floats(0, 60)),
        st.builds(Once, instants, st.none() | zones, st.floats(0, 60)),
        st.just(Manual()),
    )
)
def test_the_json_form_holds_all_of_a_trigger(trigger: Trigger) -> None:
    assert decode(encode(trigger)) == load(encode(trigger)) == validate(trigger) == trigger


@some
@given(st.text(st.sampled_from("0123456789*/,-#LW? @SUNJAfriH~()=TZevry"), max_size=40) | st.text(max_size=40))
def test_any_text_is_an_expression_or_an_error_that_names_the_field(text: str) -> None:
    error = error_of(Cron(text))
    assert error is None or (error.field in ("expression", "every") and len(error.message) < 200)


HOSTILE = [
    "0 0 31 2 *",
    "0 0 30 FEB *",
    "0 0 31 2,4,6,9,11 *",
    "0 0 */31 * 1#5",
    "0 0 */29 2 1#5",
    "*/0 * * * *",
    "1--100000000 * * * *",
    "0-100000000 * * * *",
    "*/100000000000000000000 * * *",
    "x" * 10_000,
    "* " * 5_000,
    "0," * 5_000 + "0 * * * *",
    "9" * 10_000 + " * * * *",
    "9" * 500 + " * * * *",
    "0/" * 250,
    "H(" * 250,
    "~," * 250 + " * * * *",
    "H/99999999999 * * * *",
    "999999999~ * * * *",
    "@every " + "9" * 400 + "h",
    "@every " + "1h" * 250 + "x",
    "CRON_TZ=" + "x" * 500,
    "TZ=UTC " * 60,
    "٣ * * * *",
    "* * * * *\x00",
]


@pytest.mark.parametrize("expression", HOSTILE, ids=lambda text: repr(text[:24]))
def test_a_hostile_expression_is_refused_at_once(expression: str) -> None:
    took: list[float] = []
    for _ in range(5):
        start = perf_counter()
        with pytest.raises(TriggerError) as caught:
            decode({"kind": "cron", "expression": expression})
        took.append(perf_counter() - start)
        assert caught.value.field == "expression"
        assert len(str(caught.value)) < 250
    assert min(took) < 0.005  # the best of five: the machine may be busy with other tests


def test_the_next_fire_time_is_cheap_enough_for_a_burst() -> None:
    # 3 to 6 µs on the machine it was written on. Ten times that is still within the budget of a burst of 60,000 jobs.
    after = datetime(2026, 3, 1, 5, 5, tzinfo=UTC)
    for expression in ("0 6 * * *", "*/5 * * * *", "0 0 29 2 *", "* * * * * *", "30 2 * * 1-5"):
        trigger = Cron(expression, "Europe/Berlin")
        took: list[float] = []
        for _ in range(5):
            start = perf_counter()
            for _ in range(100):
                next_fire_time(trigger, after)
            took.append(perf_counter() - start)
        assert min(took) / 100 < 60e-6, expression


def test_an_interval_is_anchored_when_it_is_made() -> None:
    now = datetime(2026, 1, 1, 6, 0, 0, 250_000, tzinfo=UTC)
    whole = anchored(Interval(60), now, "job")
    assert whole == Interval(60, start_at=now.replace(microsecond=0))
    assert next_fire_time(whole, now) == datetime(2026, 1, 1, 6, 1, tzinfo=UTC)
    assert anchored(Interval(0.5), now, "job") == Interval(0.5, start_at=now)
    assert anchored(whole, now + timedelta(days=1), "job") == whole
    assert anchored(Manual(), now, "job") == Manual()
    with pytest.raises(ValueError, match="anchored"):
        next_fire_time(Interval(60), now)
