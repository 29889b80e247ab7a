"""Triggers as JSON, in words, and as a preview."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from importlib.resources import files
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from leveret_core.triggers import (
    Cron,
    Interval,
    Manual,
    Once,
    Trigger,
    TriggerError,
    decode,
    describe,
    encode,
    fire_times,
    load,
    next_fire_time,
    parse_after,
    preview,
    validate,
    zone,
    zone_names,
)

JUMP = datetime(2026, 3, 29, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("trigger", "data"),
    [
        (
            Cron("0 6 * * *", "Europe/Berlin"),
            {"kind": "cron", "expression": "0 6 * * *", "timezone": "Europe/Berlin"},
        ),
        (
            Cron("@daily", start_at=JUMP, jitter=30.0),
            {
                "kind": "cron",
                "expression": "@daily",
                "timezone": "UTC",
                "start_at": "2026-03-29T01:00:00Z",
                "jitter": 30.0,
            },
        ),
        (
            Interval(900.0, start_at=JUMP),
            {"kind": "interval", "every": 900.0, "start_at": "2026-03-29T01:00:00Z"},
        ),
        (Once(JUMP), {"kind": "once", "at": "2026-03-29T01:00:00Z"}),
        (Manual(), {"kind": "manual"}),
    ],
)
def test_a_trigger_has_a_json_form(trigger: Trigger, data: dict[str, Any]) -> None:
    assert encode(trigger) == data
    assert decode(data) == trigger


def test_a_time_without_offset_is_wall_time_in_the_zone_and_is_stored_in_utc() -> None:
    def once(at: str) -> dict[str, Any]:
        return encode(decode({"kind": "once", "at": at, "timezone": "Europe/Berlin"}))

    assert once("2026-07-01T12:00:00") == {"kind": "once", "at": "2026-07-01T10:00:00Z", "timezone": "Europe/Berlin"}
    assert once("2026-03-29T02:30:00")["at"] == "2026-03-29T01:00:00Z"  # skipped: the moment of the jump
    assert once("2026-10-25T02:30:00")["at"] == "2026-10-25T00:30:00Z"  # repeated: the first
    assert once("2026-10-25T02:30:00+01:00")["at"] == "2026-10-25T01:30:00Z"
    cron = {"kind": "cron", "expression": "@daily", "timezone": "Europe/Berlin", "start_at": "2026-07-01T00:00:00"}
    assert encode(decode(cron))["start_at"] == "2026-06-30T22:00:00Z"


def test_start_and_end_belong_to_the_window() -> None:
    window = {"kind": "cron", "expression": "0 * * * *", "start_at": "2026-01-01T05:00:00", "end_at": "2026-01-01T07:00Z"}
    before = datetime(2025, 1, 1, tzinfo=UTC)
    assert [time.hour for time in fire_times(decode(window), before, 9)] == [5, 6, 7]
    interval = {**window, "kind": "interval", "every": 1800, "start_at": "2026-01-01T05:45:00Z"}
    del interval["expression"]
    assert [f"{time:%H:%M}" for time in fire_times(decode(interval), before, 9)] == ["05:45", "06:15", "06:45"]
    assert next_fire_time(decode(interval), datetime(2026, 1, 1, 7, tzinfo=UTC)) is None


def test_once_is_due_once_and_manual_never() -> None:
    once = Once(JUMP)
    assert next_fire_time(once, JUMP - timedelta(microseconds=1)) == JUMP
    assert next_fire_time(once, JUMP) is None
    assert next_fire_time(Manual(), JUMP) is None


def test_a_stored_trigger_of_a_newer_release_can_be_loaded_but_not_sent() -> None:
    newer = {"kind": "cron", "expression": "@daily", "holidays": "DE"}
    assert load(newer) == Cron("@daily")
    with pytest.raises(TriggerError, match="holidays: is not a field"):
        decode(newer)


ERRORS: list[tuple[dict[str, Any], str]] = [
    ({}, "kind: expected one of cron, interval, once, manual"),
    ({"kind": "crn"}, "kind: expected one of"),
    ({"kind": ["cron"]}, "kind: expected one of"),
    ({"kind": "cron"}, "expression: is required"),
    ({"kind": "cron", "expression": 5}, "expression: Expected str, got int"),
    ({"kind": "cron", "expression": "* * * * *", "time_zone": "UTC"}, "did you mean timezone?"),
    ({"kind": "interval", "every": 60, "timezone": "UTC"}, "timezone: is not a field of a trigger of kind interval"),
    ({"kind": "cron", "expression": "61 * * * *"}, "expression: minute: 61 is above 59"),
    ({"kind": "cron", "expression": "0 0 0 * *"}, "expression: day of month: 0 is below 1"),
    ({"kind": "cron", "expression": "0 24 * * *"}, "expression: hour: 24 is above 23"),
    ({"kind": "cron", "expression": "60 0 0 * * *"}, "expression: second: 60 is above 59"),
    ({"kind": "cron", "expression": "0 0 * FOO *"}, "month: 'FOO' is not a number from 1 to 12 or a name JAN to DEC"),
    ({"kind": "cron", "expression": "0 0 * * 8"}, "expression: weekday: 8 is above 7"),
    ({"kind": "cron", "expression": "0 0 * * fri-mon"}, "weekday: 'FRI-MON' runs backwards, split it in two"),
    ({"kind": "cron", "expression": "0 0 * * sat-sun"}, "runs backwards, Sunday at the end is 7"),
    ({"kind": "cron", "expression": "0 0 * * FRIL"}, "write the last Friday as 5L"),
    ({"kind": "cron", "expression": "0 0 * * 1#6"}, "which one in the month, 1 to 5"),
    ({"kind": "cron", "expression": "0 0 ? * *"}, "day of month: ? is not known here, write *"),
    ({"kind": "cron", "expression": "*/0 * * * *"}, "minute: '*/0': a step is a whole number from 1"),
    ({"kind": "cron", "expression": "*/x * * * *"}, "minute: '*/X': a step is a whole number from 1"),
    ({"kind": "cron", "expression": "1,,2 * * * *"}, "minute: a comma needs a value on both sides"),
    ({"kind": "cron", "expression": "0 0 31 2 *"}, "expression: never fires"),
    ({"kind": "cron", "expression": "* * * *"}, "expected 5 fields (minute hour day month weekday)"),
    ({"kind": "cron", "expression": "0 0 * * * * 2026"}, "got 7"),
    ({"kind": "cron", "expression": "@reboot"}, "@reboot is not supported, use one of @hourly"),
    ({"kind": "cron", "expression": "@daily", "timezone": "Europe/Berln"}, "did you mean Europe/Berlin"),
    ({"kind": "cron", "expression": "@daily", "timezone": "berlin"}, "did you mean Europe/Berlin?"),
    ({"kind": "cron", "expression": "@daily", "timezone": "new york"}, "did you mean America/New_York?"),
    ({"kind": "cron", "expression": "@daily", "timezone": ""}, "timezone: expected an IANA zone name"),
    ({"kind": "cron", "expression": "@daily", "timezone": "Europe"}, "timezone: 'Europe' is not a known time zone"),
    ({"kind": "cron", "expression": "@daily", "timezone": "../../etc/passwd"}, "is not a known time zone"),
    ({"kind": "cron", "expression": "@daily", "timezone": "x" * 10_000}, "timezone: expected an IANA zone name"),
    ({"kind": "cron", "expression": "@daily", "start_at": "soon"}, "start_at: expected an ISO 8601 time"),
    (
        {"kind": "cron", "expression": "@daily", "start_at": "2026-01-02T00:00Z", "end_at": "2026-01-01T00:00Z"},
        "end_at: is before start_at",
    ),
    ({"kind": "cron", "expression": "@daily", "jitter": -1}, "jitter: expected 0 to 86400 seconds, got -1"),
    ({"kind": "cron", "expression": "@daily", "jitter": float("nan")}, "jitter: expected 0 to 86400 seconds"),
    ({"kind": "interval"}, "every: is required"),
    ({"kind": "interval", "every": 0}, "every: expected 0.1 to"),
    ({"kind": "interval", "every": float("inf")}, "every: expected 0.1 to"),
    ({"kind": "interval", "every": "1h"}, "every: Expected float, got str"),
    ({"kind": "interval", "every": 60, "jitter": 60}, "jitter: has to be less than every (60 s)"),
    ({"kind": "interval", "every": 60, "start_at": "2026-01-01T00:00:00"}, "start_at: needs an offset from UTC"),
    ({"kind": "once"}, "at: is required"),
    ({"kind": "once", "at": "2026-01-01T00:00:00"}, "at: needs an offset from UTC, e.g. 2026-01-01T00:00:00Z"),
    ({"kind": "once", "at": "9999-12-31T23:59:59-10:00"}, "at: is outside the years 1 to 9999"),
    ({"kind": "once", "at": "2026-13-01T00:00:00Z"}, "at: expected an ISO 8601 time"),
]


@pytest.mark.parametrize(("data", "message"), ERRORS, ids=lambda value: str(value)[:60])
def test_a_wrong_trigger_is_refused_with_the_field_and_what_to_do(data: dict[str, Any], message: str) -> None:
    errors: list[TriggerError] = []
    took: list[float] = []
    for _ in range(5):
        start = perf_counter()
        with pytest.raises(TriggerError) as caught:
            decode(data)
        took.append(perf_counter() - start)
        errors.append(caught.value)
    assert message in str(errors[0])
    assert min(took) < 0.005  # the best of five: the machine may be busy with other tests
    assert str(pickle.loads(pickle.dumps(errors[0]))) == str(errors[0])


def test_zone_rules_do_not_come_from_the_machine(tmp_path: Path) -> None:
    # A machine whose own files say that Berlin keeps Tokyo's time.
    (tmp_path / "Europe").mkdir()
    tokyo = files("tzdata").joinpath("zoneinfo", "Asia", "Tokyo").read_bytes()
    (tmp_path / "Europe" / "Berlin").write_bytes(tokyo)
    script = (
        "from datetime import UTC, datetime\n"
        "from zoneinfo import ZoneInfo\n"
        "from leveret_core.triggers import zone\n"
        "for place in ZoneInfo('Europe/Berlin'), zone('Europe/Berlin'):\n"
        "    print(datetime(2026, 1, 1, tzinfo=UTC).astimezone(place).hour)\n"
    )
    environment = {**os.environ, "PYTHONTZPATH": str(tmp_path)}
    hours = subprocess.run([sys.executable, "-c", script], check=True, env=environment, capture_output=True, text=True)
    assert hours.stdout.split() == ["9", "1"]


def test_zone_names_are_those_of_iana() -> None:
    assert {"UTC", "Europe/Berlin", "US/Eastern"} <= zone_names()
    assert not zone_names() & {"Factory", "localtime", "right/UTC", "posix/UTC"}
    assert all(str(zone(name)) == name for name in sorted(zone_names())[::50])


WORDS = {
    "* * * * *": "every minute",
    "* * * * * *": "every second",
    "*/10 * * * * *": "every 10 seconds",
    "*/5 * * * *": "every 5 minutes",
    "0 * * * *": "every hour",
    "5 * * * *": "every hour at :05",
    "@hourly": "every hour",
    "0 */6 * * *": "every 6 hours",
    "0 6 * * *": "every day at 06:00 Europe/Berlin",
    "15 30 6 * * *": "cron 15 30 6 * * * Europe/Berlin",
    "30 6,18 * * *": "every day at 06:30 and 18:30 Europe/Berlin",
    "0 6 * * 1-5": "every weekday (Monday to Friday) at 06:00 Europe/Berlin",
    "0 6 * * sun": "every Sunday at 06:00 Europe/Berlin",
    "0 6 * * 0,3,1": "every Monday, Wednesday and Sunday at 06:00 Europe/Berlin",
    "0 6 * * 2#1": "on the first Tuesday of every month at 06:00 Europe/Berlin",
    "0 6 * * 5L": "on the last Friday of every month at 06:00 Europe/Berlin",
    "0 6 1,15 * *": "on day 1 and 15 of every month at 06:00 Europe/Berlin",
    "0 6 L * *": "on the last day of every month at 06:00 Europe/Berlin",
    "0 6 LW * *": "on the last weekday of every month at 06:00 Europe/Berlin",
    "@yearly": "every year on 1 January at 00:00 Europe/Berlin",
    "0 6 24 dec *": "every year on 24 December at 06:00 Europe/Berlin",
    # What has no short true description is shown as it is.
    "*/7 * * * *": "cron */7 * * * * Europe/Berlin",
    "0 6 * * 2#1,5": "cron 0 6 * * 2#1,5 Europe/Berlin",
    "0 6 * * 5L,1": "cron 0 6 * * 5L,1 Europe/Berlin",
    "0 6 1 * 1": "cron 0 6 1 * 1 Europe/Berlin",
    "0-30/10 6 * 1-3 *": "cron 0-30/10 6 * 1-3 * Europe/Berlin",
}


@pytest.mark.parametrize("expression", WORDS)
def test_a_cron_trigger_is_put_into_words(expression: str) -> None:
    trigger = validate(Cron(expression, "Europe/Berlin"))
    assert describe(trigger) == WORDS[expression]


def test_other_triggers_are_put_into_words() -> None:
    assert describe(Interval(60)) == "every minute"
    assert describe(Interval(900)) == "every 15 minutes"
    assert describe(Interval(5400, jitter=30)) == "every 1 hour 30 minutes, spread over 30 seconds"
    assert describe(Interval(0.5)) == "every 0.5 seconds"
    assert describe(Once(JUMP, "Europe/Berlin")) == "once at 2026-03-29 03:00 Europe/Berlin"
    assert describe(Manual()) == "only when triggered by hand"
    assert describe(Cron("@daily", end_at=JUMP)) == "every day at 00:00 UTC, until 2026-03-29 01:00 UTC"


def test_a_preview_tells_utc_and_the_time_on_the_wall() -> None:
    after = parse_after("2026-03-28T00:00:00", "Europe/Berlin")
    assert preview(Cron("30 2 * * *", "Europe/Berlin"), after, 3) == [
        {"utc": "2026-03-28T01:30:00Z", "local": "2026-03-28T02:30:00+01:00"},
        {"utc": "2026-03-29T01:00:00Z", "local": "2026-03-29T03:00:00+02:00"},
        {"utc": "2026-03-30T00:30:00Z", "local": "2026-03-30T02:30:00+02:00"},
    ]
    assert preview(Once(JUMP, "Europe/Berlin"), after, 3) == [
        {"utc": "2026-03-29T01:00:00Z", "local": "2026-03-29T03:00:00+02:00"}
    ]
    assert preview(Interval(60, start_at=JUMP), JUMP, 1) == [
        {"utc": "2026-03-29T01:01:00Z", "local": "2026-03-29T01:01:00+00:00"}
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-28T00:00:00", "2026-03-27T23:00:00+00:00"),
        ("2026-03-28", "2026-03-27T23:00:00+00:00"),
        ("2026-03-28 00:00", "2026-03-27T23:00:00+00:00"),
        ("2026-03-28T00:00:00Z", "2026-03-28T00:00:00+00:00"),
        ("2026-03-28T00:00:00-05:00", "2026-03-28T05:00:00+00:00"),
        ("2026-03-29T02:30:00", "2026-03-29T01:00:00+00:00"),
        ("2026-10-25T02:30:00", "2026-10-25T00:30:00+00:00"),
    ],
)
def test_a_time_given_by_hand_is_wall_time_unless_it_has_an_offset(text: str, expected: str) -> None:
    assert parse_after(text, "Europe/Berlin").isoformat() == expected


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01", "0001-01-01T00:00:00+10:00", "x" * 1000])
def test_a_time_that_is_none_is_refused_in_words(text: str) -> None:
    with pytest.raises(TriggerError, match="write 2026-03-28T00:00:00 for wall time in Europe/Berlin") as caught:
        parse_after(text, "Europe/Berlin")
    assert caught.value.field == "after"


def test_a_naive_instant_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="time zone"):
        next_fire_time(Manual(), datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None))


def test_any_aware_instant_will_do() -> None:
    there = datetime(2026, 1, 1, 6, tzinfo=timezone(timedelta(hours=9)))
    assert next_fire_time(Cron("0 0 * * *"), there) == datetime(2026, 1, 1, tzinfo=UTC)
    assert next_fire_time(Cron("0 0 * * *"), there.astimezone(zone("America/New_York"))) == datetime(2026, 1, 1, tzinfo=UTC)
