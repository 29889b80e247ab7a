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
    assert done.json() == {
        "fire_times": [
            {"utc": "2026-03-28T01:30:00Z", "local": "2026-03-28T02:30:00+01:00"},
            {"utc": "2026-03-29T01:00:00Z", "local": "2026-03-29T03:00:00+02:00"},
            {"utc": "2026-03-30T00:30:00Z", "local": "2026-03-30T02:30:00+02:00"},
        ]
    }


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
    ],
)
def test_what_is_wrong_is_named(args: tuple[str, ...], field: str) -> None:
    done = command("schedule", "preview", *args, "--json")

    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith(f"leveret: {field}: ")
    assert "Traceback" not in done.err
