"""Durations and times as people type them."""

from __future__ import annotations

import pytest

from leveret.cli.times import duration, instant
from leveret_core.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        (" 0.5 ", 0.5),
        ("90s", 90),
        ("10m", 600),
        ("1h30m", 5400),
        ("1h 30m 5s", 5405),
        ("2d", 172_800),
        ("1.5h", 5400),
    ],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert duration(text, "--delay") == seconds


@pytest.mark.parametrize("text", ["", "m", "10 minutes", "1h30", "30m1h", "-5m", "1e9", "٣m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="--delay: must be a duration such as"):
        duration(text, "--delay")


def test_a_time_without_an_offset_is_in_utc() -> None:
    assert instant("2030-01-01T08:00", "--at") == "2030-01-01T08:00:00+00:00"
    assert instant("2030-01-01 08:00:00+02:00", "--at") == "2030-01-01T08:00:00+02:00"
    with pytest.raises(InvalidInput, match="--at: must be an ISO 8601 time"):
        instant("tomorrow", "--at")
