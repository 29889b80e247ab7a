"""`leveret schedule preview`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from support.command_line import command


def test_preview_prints_the_fire_times_across_a_clock_change_and_needs_no_server() -> None:
    done = command(
        *("schedule", "preview", "30 2 * * *", "--tz", "Europe/Berlin"),
        *("--after", "2026-03-28T00:00:00", "--count", "3", "--json"),
        env={"LEVERET_URL": "http://127.0.0.1:9", "LEVERET_DATABASE_URL": "nonsense"},
    )

    assert done.code == 0
    assert done.err == ""
    times = [
        {"utc": "2026-03-28T01:30:00Z", "local": "2026-03-28T02:30:00+01:00"},
        {"utc": "2026-03-29T01:00:00Z", "local": "2026-03-29T03:00:00+02:00", "clock": "skipped"},
        {"utc": "2026-03-30T00:30:00Z", "local": "2026-03-30T02:30:00+02:00"},
    ]
    found = done.json()
    assert found["fire_times"] == times
    assert found["description"] == "every day at 02:30 Europe/Berlin"
    assert found["notes"] == []
    assert found["next_clock_change"]["utc"] == times[1]["utc"]


def test_a_daily_schedule_shows_the_next_clock_change_without_being_asked() -> None:
    done = command("schedule", "preview", "30 2 * * *", "--tz", "Europe/Berlin", "--after", "2025-11-01", "--count", "1")

    assert "in place of a time that the clock skips" in done.out
    assert "the clock goes from 2026-03-29T02:00:00+01:00 to 2026-03-29T03:00:00+02:00" in done.err


def test_until_ends_the_list() -> None:
    done = command("schedule", "preview", "0 * * * *", "--after", "2026-01-01", "--until", "2026-01-01T12:00", "--json")

    assert [each["utc"][11:13] for each in done.json()["fire_times"]] == [f"{hour:02d}" for hour in range(1, 13)]


def test_what_is_drawn_needs_the_name_of_the_job() -> None:
    refused = command("schedule", "preview", "H 3 * * *")
    (first,), (second,) = (
        command("schedule", "preview", "H 3 * * *", "--name", name, "--count", "1", "--json").json()["fire_times"]
        for name in ("report", "backup")
    )

    assert refused.code == 2
    assert refused.err.startswith("leveret: --name: is needed")
    assert first["utc"][14:] != second["utc"][14:]


def test_it_takes_what_cron_users_write() -> None:
    zone = command("schedule", "preview", "CRON_TZ=Asia/Tokyo 0 6 15W * *", "--after", "2026-08-01", "--count", "1", "--json")
    every = command("schedule", "preview", "@every 90m", "--json")

    assert zone.json()["fire_times"][0]["local"] == "2026-08-14T06:00:00+09:00"
    assert every.json()["description"] == "every 1 hour 30 minutes"


def test_after_with_an_offset_is_an_instant_and_is_itself_excluded() -> None:
    done = command("schedule", "preview", "0 * * * *", "--after", "2026-01-01T01:00:00+01:00", "--count", "1", "--json")

    assert done.json()["fire_times"][0]["utc"] == "2026-01-01T01:00:00Z"


def test_without_after_it_counts_from_now() -> None:
    (first,) = command("schedule", "preview", "* * * * *", "--count", "1", "--json").json()["fire_times"]

    assert timedelta(0) < datetime.fromisoformat(first["utc"]) - datetime.now(UTC) <= timedelta(minutes=1)


def test_without_json_it_prints_a_table_and_puts_the_schedule_into_words() -> None:
    done = command("schedule", "preview", "0 6 * * 1", "--after", "2026-01-01", "--count", "2")

    assert "2026-01-05T06:00:00" in done.out
    assert "2026-01-12T06:00:00" in done.out
    assert "06:00" in done.err


@pytest.mark.parametrize(
    ("args", "field"),
    [
        (("* * *",), "expression"),
        (("* * * * *", "--tz", "Europe/Nowhere"), "timezone"),
        (("* * * * *", "--after", "tomorrow"), "after"),
        (("* * * * *", "--until", "tomorrow"), "until"),
        (("TZ=Asia/Tokyo * * * * *", "--tz", "UTC"), "expression"),
    ],
)
def test_what_is_wrong_is_named(args: tuple[str, ...], field: str) -> None:
    done = command("schedule", "preview", *args, "--json")

    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith(f"leveret: {field}: ")
    assert "Traceback" not in done.err
