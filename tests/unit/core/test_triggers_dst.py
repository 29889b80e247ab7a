"""Fire times around clock changes, against times worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from cronsim import CronSim

from leveret_core.triggers import Cron, fire_times, next_fire_time, preview, zone

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"

# expression, zone, after (UTC), the next times on the wall there
CASES = {
    "berlin: a time in the skipped hour is due right after the jump": (
        "30 2 * * *", BERLIN, "2026-03-27T23:00:00",
        ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"],
    ),
    "berlin: two times in the skipped hour and one at its end are due together, once": (
        "0,30 2,3 * * *", BERLIN, "2026-03-28T23:00:00",
        ["2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00", "2026-03-30T02:00:00+02:00"],
    ),
    "berlin: a time in the repeated hour is due once, in the first pass": (
        "30 2 * * *", BERLIN, "2026-10-24T12:00:00",
        ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
    ),
    "berlin: asked in the second pass, the first is over": (
        "30 2 * * *", BERLIN, "2026-10-25T01:15:00",
        ["2026-10-26T02:30:00+01:00"],
    ),
    "berlin: a wildcard job does not run in the skipped hour": (
        "*/30 2 * * *", BERLIN, "2026-03-28T12:00:00",
        ["2026-03-30T02:00:00+02:00", "2026-03-30T02:30:00+02:00"],
    ),
    "berlin: a wildcard job runs in both passes of the repeated hour": (
        "*/30 2 * * *", BERLIN, "2026-10-24T12:00:00",
        ["2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-25T02:00:00+01:00",
         "2026-10-25T02:30:00+01:00", "2026-10-26T02:00:00+01:00"],
    ),
    "berlin: an hourly job follows real time in autumn": (
        "0 * * * *", BERLIN, "2026-10-24T23:00:00",
        ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"],
    ),
    "berlin: an hourly job follows real time in spring": (
        "0 * * * *", BERLIN, "2026-03-28T23:30:00",
        ["2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"],
    ),
    "berlin: seconds do not change the rule for a fixed time": (
        "15 30 2 * * *", BERLIN, "2026-10-24T12:00:00",
        ["2026-10-25T02:30:15+02:00", "2026-10-26T02:30:15+01:00"],
    ),
    "berlin: seconds in the skipped hour are due right after the jump": (
        "15 30 2 * * *", BERLIN, "2026-03-28T12:00:00",
        ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:15+02:00"],
    ),
    "berlin: a star for the seconds is a wildcard too": (
        "*/30 59 2 * * *", BERLIN, "2026-10-24T12:00:00",
        ["2026-10-25T02:59:00+02:00", "2026-10-25T02:59:30+02:00", "2026-10-25T02:59:00+01:00",
         "2026-10-25T02:59:30+01:00", "2026-10-26T02:59:00+01:00"],
    ),
    "new york: spring": (
        "30 2 * * *", NEW_YORK, "2026-03-07T12:00:00",
        ["2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"],
    ),
    "new york: autumn, every half hour": (
        "*/30 * * * *", NEW_YORK, "2026-11-01T05:00:00",
        ["2026-11-01T01:30:00-04:00", "2026-11-01T01:00:00-05:00", "2026-11-01T01:30:00-05:00",
         "2026-11-01T02:00:00-05:00"],
    ),
    "new york: a Sunday job on the Sunday of the change": (
        "30 1 * * 7", NEW_YORK, "2026-10-30T00:00:00",
        ["2026-11-01T01:30:00-04:00", "2026-11-08T01:30:00-05:00"],
    ),
    "lord howe: half an hour is skipped": (
        "15 2 * * *", LORD_HOWE, "2026-10-03T00:00:00",
        ["2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"],
    ),
    "lord howe: half an hour is repeated": (
        "45 1 * * *", LORD_HOWE, "2026-04-04T00:00:00",
        ["2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"],
    ),
    "lord howe: the hour after the repeated half is whole": (
        "*/20 2 * * *", LORD_HOWE, "2026-04-04T14:45:00",
        ["2026-04-05T02:00:00+10:30", "2026-04-05T02:20:00+10:30", "2026-04-05T02:40:00+10:30"],
    ),
    "lord howe: only the repeated half of an hour runs again": (
        "*/15 1 * * *", LORD_HOWE, "2026-04-04T14:10:00",
        ["2026-04-05T01:15:00+11:00", "2026-04-05T01:30:00+11:00", "2026-04-05T01:45:00+11:00",
         "2026-04-05T01:30:00+10:30", "2026-04-05T01:45:00+10:30", "2026-04-06T01:00:00+10:30"],
    ),
    "lord howe: the first pass has no more, the second begins before the wall time that was asked for": (
        "*/35 1 * * *", LORD_HOWE, "2026-04-04T14:40:00",
        ["2026-04-05T01:35:00+10:30", "2026-04-06T01:00:00+10:30"],
    ),
    "cairo: midnight is skipped": (
        "0 0 * * *", "Africa/Cairo", "2026-04-23T12:00:00",
        ["2026-04-24T01:00:00+03:00", "2026-04-25T00:00:00+03:00"],
    ),
    "cairo: a wildcard job has no midnight hour to run in": (
        "*/30 0 * * 5", "Africa/Cairo", "2026-04-23T12:00:00",
        ["2026-05-01T00:00:00+03:00", "2026-05-01T00:30:00+03:00"],
    ),
    "apia: a whole day is skipped": (
        "0 6 * * *", "Pacific/Apia", "2011-12-29T10:00:00",
        ["2011-12-29T06:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T06:00:00+14:00"],
    ),
    "apia: a wildcard job loses the day": (
        "*/30 6 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00",
        ["2012-12-30T06:00:00+14:00"],
    ),
    "casey: three hours are skipped": (
        "0 1 4 10 *", "Antarctica/Casey", "2020-10-01T00:00:00",
        ["2020-10-04T03:01:00+11:00"],
    ),
    "leap day": (
        "0 0 29 2 *", BERLIN, "2026-01-01T00:00:00",
        ["2028-02-29T00:00:00+01:00", "2032-02-29T00:00:00+01:00"],
    ),
    "leap day across the year 2100, which has none": (
        "0 0 29 2 *", "UTC", "2096-03-01T00:00:00",
        ["2104-02-29T00:00:00+00:00"],
    ),
    "leap day on a Sunday, the rarest of days": (
        "0 0 29 2 */7", "UTC", "2072-03-01T00:00:00",
        ["2088-02-29T00:00:00+00:00", "2128-02-29T00:00:00+00:00"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_fire_times_around_a_clock_change(name: str) -> None:
    expression, timezone, after, expected = CASES[name]
    times = preview(Cron(expression, timezone), datetime.fromisoformat(after).replace(tzinfo=UTC), len(expected))
    assert [time["local"] for time in times] == expected


# The days to read these by: 1 January 2026 is a Thursday.
DIALECT = {
    "0 6 * * *": ["2026-01-01T06:00", "2026-01-02T06:00"],
    "5 6 7 * * *": ["2026-01-01T07:06:05"],
    "0 12 * * 0": ["2026-01-04T12:00"],
    "0 12 * * 7": ["2026-01-04T12:00"],
    "0 12 * * sun": ["2026-01-04T12:00"],
    "0 12 * * Mon-Wed": ["2026-01-05T12:00", "2026-01-06T12:00", "2026-01-07T12:00", "2026-01-12T12:00"],
    "0 12 * * 5-7": ["2026-01-02T12:00", "2026-01-03T12:00", "2026-01-04T12:00", "2026-01-09T12:00"],
    "0 0 1 mar,Jul *": ["2026-03-01T00:00", "2026-07-01T00:00"],
    "10-20/5 3 * * *": ["2026-01-01T03:10", "2026-01-01T03:15", "2026-01-01T03:20", "2026-01-02T03:10"],
    "50/4 3 * * *": ["2026-01-01T03:50", "2026-01-01T03:54", "2026-01-01T03:58", "2026-01-02T03:50"],
    "*/25 * * * *": ["2026-01-01T00:25", "2026-01-01T00:50", "2026-01-01T01:00"],
    "0 0 L * *": ["2026-01-31T00:00", "2026-02-28T00:00", "2026-03-31T00:00"],
    "0 0 LW * *": ["2026-01-30T00:00", "2026-02-27T00:00"],
    "0 0 * * 5L": ["2026-01-30T00:00", "2026-02-27T00:00"],
    "0 0 * * 2#1": ["2026-01-06T00:00", "2026-02-03T00:00"],
    "0 0 * * MON#5": ["2026-03-30T00:00", "2026-06-29T00:00"],
    # Both day fields given: either is enough; one beginning with a star: both have to match.
    "0 0 13 * 5": ["2026-01-02T00:00", "2026-01-09T00:00", "2026-01-13T00:00", "2026-01-16T00:00"],
    "0 0 */2 * 5": ["2026-01-09T00:00", "2026-01-23T00:00", "2026-02-13T00:00"],
    "@hourly": ["2026-01-01T01:00"],
    "@daily": ["2026-01-02T00:00"],
    "@midnight": ["2026-01-02T00:00"],
    "@weekly": ["2026-01-04T00:00"],
    "@Monthly": ["2026-02-01T00:00"],
    "@yearly": ["2027-01-01T00:00"],
    "@annually": ["2027-01-01T00:00"],
}


@pytest.mark.parametrize("expression", DIALECT)
def test_an_expression_means_what_the_dialect_says(expression: str) -> None:
    expected = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in DIALECT[expression]]
    assert fire_times(Cron(expression), datetime(2026, 1, 1, tzinfo=UTC), len(expected)) == expected


def test_a_fire_time_is_strictly_after_even_by_a_microsecond() -> None:
    six = datetime(2026, 1, 1, 6, tzinfo=UTC)
    daily = Cron("0 6 * * *")
    assert next_fire_time(daily, six - timedelta(microseconds=1)) == six
    assert next_fire_time(daily, six) == six + timedelta(days=1)
    assert next_fire_time(daily, six + timedelta(microseconds=1)) == six + timedelta(days=1)


def test_a_cron_job_ends_with_the_calendar() -> None:
    assert next_fire_time(Cron("0 6 * * *", BERLIN), datetime(9999, 12, 31, 12, tzinfo=UTC)) is None


@pytest.mark.parametrize("expression", ["30 2 * * *", "0 0 * * 1-5", "*/7 * * * *", "0 */3 * * *", "15 4 L * *"])
def test_away_from_odd_clock_changes_cronsim_says_the_same(expression: str) -> None:
    after = datetime(2026, 3, 1, tzinfo=UTC)
    for timezone in (BERLIN, NEW_YORK, "Asia/Kolkata"):
        expected = list(islice(CronSim(expression, after.astimezone(zone(timezone))), 100))
        assert fire_times(Cron(expression, timezone), after, 100) == expected
