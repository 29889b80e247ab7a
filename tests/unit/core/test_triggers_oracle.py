"""Fire times against an oracle that knows no arithmetic: it walks through every minute and looks at the clock.

A sample of zones by default. `LEVERET_EXHAUSTIVE=1` takes every zone around each of its clock changes from 2020 to 2037.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo

import pytest

from leveret_core.triggers import Cron, fire_times_between, next_fire_time, zone, zone_names

EXHAUSTIVE = os.environ.get("LEVERET_EXHAUSTIVE") == "1"
SAMPLE = {
    "Europe/Berlin": 2027,
    "America/New_York": 2027,
    "Australia/Lord_Howe": 2027,
    "Africa/Cairo": 2026,
    "Africa/Casablanca": 2024,
    "America/Santiago": 2027,
    "America/Havana": 2026,
    "America/Nuuk": 2026,
    "Antarctica/Casey": 2020,
    "Antarctica/Troll": 2027,
    "Asia/Beirut": 2026,
    "Atlantic/Azores": 2026,
}
MINUTE, AROUND = timedelta(minutes=1), timedelta(hours=6)


def clock_changes(place: tzinfo, first_year: int, last_year: int) -> Iterator[datetime]:
    """Yield the instants at which the zone's offset changes, found by looking at each day and then between."""
    low, end = datetime(first_year, 1, 1, tzinfo=UTC), datetime(last_year + 1, 1, 1, tzinfo=UTC)
    while low < end:
        high = low + timedelta(days=1)
        if low.astimezone(place).utcoffset() != high.astimezone(place).utcoffset():
            near, far = low, high
            while far - near > timedelta(seconds=1):
                middle = (near + (far - near) / 2).replace(microsecond=0)
                same = middle.astimezone(place).utcoffset() == low.astimezone(place).utcoffset()
                near, far = (middle, far) if same else (near, middle)
            yield far
        low = high


def numbers(field: str, low: int, high: int) -> set[int]:
    """Read a list of numbers, ranges, `*` and `*/n`: all that the expressions below use."""
    found: set[int] = set()
    for term in field.split(","):
        if term.startswith("*"):
            found.update(range(low, high + 1, int(term[2:] or 1)))
        else:
            first, _, last = term.partition("-")
            found.update(range(int(first), int(last or first) + 1))
    return found


class Oracle:
    def __init__(self, expression: str) -> None:
        minute, hour, day, month, weekday = expression.split()
        self.minutes, self.hours = numbers(minute, 0, 59), numbers(hour, 0, 23)
        self.days, self.months = numbers(day, 1, 31), numbers(month, 1, 12)
        self.weekdays = {number % 7 for number in numbers(weekday, 0, 7)}
        self.either_day = not (day.startswith("*") or weekday.startswith("*"))
        self.wildcard = minute.startswith("*") or hour.startswith("*")

    def matches(self, wall: datetime) -> bool:
        if wall.minute not in self.minutes or wall.hour not in self.hours or wall.month not in self.months:
            return False
        by_day, by_weekday = wall.day in self.days, wall.isoweekday() % 7 in self.weekdays
        return by_day or by_weekday if self.either_day else by_day and by_weekday

    def fire_times(self, clock: list[tuple[datetime, datetime]]) -> list[datetime]:
        """Return the instants at which the job runs, given each minute's instant and wall time."""
        fired: list[datetime] = []
        shown = clock[0][1].replace(tzinfo=None)
        for instant, local in clock[1:]:
            wall = local.replace(tzinfo=None, fold=0)
            if self.wildcard:
                due = self.matches(wall)
            else:
                # All that the hand passed over since it last stood furthest; nothing while it runs through again.
                due = False
                while shown < wall:
                    shown += MINUTE
                    due = due or self.matches(shown)
            if due:
                fired.append(instant)
        return fired


def expressions_near(wall: datetime, dice: random.Random, count: int) -> Iterator[str]:
    """Yield expressions whose times are likely to be skipped or repeated by a change at this wall time."""
    for _ in range(count):
        hour = (wall.hour + dice.randint(-3, 3)) % 24
        hours = ",".join(str((hour + more) % 24) for more in range(dice.randint(1, 3)))
        first, second = sorted(dice.sample(range(60), 2))
        minutes = dice.choice([f"{first}", f"{first},{second}", f"{first}-{second}", "0", "30", "0-59"])
        step = dice.randint(2, 40)
        time = dice.choice(
            [f"{minutes} {hour}", f"{minutes} {hours}"] * 2
            + [f"{minutes} *", f"{minutes} */{dice.randint(2, 5)}", f"*/{step} {hours}", f"*/{step} *", f"* {hour}"]
        )
        days = (
            ["* * *"] * 3
            + [f"{wall.day} * *", f"{wall.day} {wall.month} *", f"* * {wall.isoweekday()}"]
            + [f"{wall.day} * {dice.randint(0, 7)}", f"*/2 * {wall.isoweekday()}"]
        )
        yield f"{time} {dice.choice(days)}"


def check_around(name: str, change: datetime, dice: random.Random, count: int) -> None:
    place = zone(name)
    start = change.replace(second=0) - AROUND
    clock = [(at, at.astimezone(place)) for at in (start + index * MINUTE for index in range(2 * 6 * 60 + 1))]
    for expression in expressions_near(change.astimezone(place), dice, count):
        expected = Oracle(expression).fire_times(clock)
        trigger = Cron(expression, name)
        where = f"{expression} {name} around {change}"
        assert fire_times_between(trigger, start, clock[-1][0], 10_000) == expected, where
        # A restart at any moment goes on with the same times.
        for after in (dice.choice(clock)[0] for _ in range(12)):
            following = next_fire_time(trigger, after)
            assert following == next((at for at in expected if at > after), following), f"{where}, after {after}"


@pytest.mark.parametrize("name", sorted(zone_names()) if EXHAUSTIVE else SAMPLE)
def test_fire_times_are_those_of_the_clock_on_the_wall(name: str) -> None:
    first_year, last_year = (2020, 2037) if EXHAUSTIVE else (SAMPLE[name], SAMPLE[name])
    changes = list(clock_changes(zone(name), first_year, last_year))
    assert changes or EXHAUSTIVE
    dice = random.Random(name)
    for change in changes if EXHAUSTIVE else changes[:2]:
        check_around(name, change, dice, count=10 if EXHAUSTIVE else 25)


def days_told_by_the_calendar(term: str, year: int, month: int) -> set[int]:
    """The days of `15W`, `L-3`, `L-3W` or `LW`: of all working days of the month, the one with the least distance."""
    in_month = [date(year, month, 1) + timedelta(days=more) for more in range(31)]
    in_month = [day for day in in_month if day.month == month]
    bare = term.removesuffix("W")
    number = len(in_month) - int(bare[2:] or 0) if bare.startswith("L") else int(bare)
    if not 1 <= number <= len(in_month):
        return set()
    if not term.endswith("W"):
        return {number}
    return {min((day for day in in_month if day.isoweekday() <= 5), key=lambda day: abs(day.day - number)).day}


@pytest.mark.parametrize(
    "term", [*(f"{day}W" for day in range(1, 32)), *(f"L-{n}" for n in range(31)), "L-1W", "L-2W", "L-30W", "LW"]
)
def test_days_told_by_the_end_of_the_month_or_by_weekdays_are_those_of_the_calendar(term: str) -> None:
    first, last = 2024, 2052
    months = [(year, month) for year in range(first, last) for month in range(1, 13)]
    expected = [
        datetime(year, month, day, 7, 5, tzinfo=UTC)
        for year, month in months
        for day in sorted(days_told_by_the_calendar(term, year, month))
    ]
    until = datetime(last, 1, 1, tzinfo=UTC)
    assert fire_times_between(Cron(f"5 7 {term} * *"), datetime(first, 1, 1, tzinfo=UTC), until, 10_000) == expected
    # Beside plain days, and with a weekday of which either is enough.
    both = fire_times_between(Cron(f"5 7 {term},10 * TUE#2"), datetime(first, 1, 1, tzinfo=UTC), until, 10_000)
    assert both == [
        datetime(year, month, day, 7, 5, tzinfo=UTC)
        for year, month in months
        for day in sorted(days_told_by_the_calendar(term, year, month) | {10} | second_tuesday(year, month))
    ]


def second_tuesday(year: int, month: int) -> set[int]:
    return {day for day in range(8, 15) if date(year, month, day).isoweekday() == 2}


# 2026: 15 August is a Saturday, 15 November a Sunday, 1 August a Saturday, 31 May a Sunday.
@pytest.mark.parametrize(
    ("expression", "day"),
    [
        ("0 0 15W 8 *", 14),
        ("0 0 15W 11 *", 16),
        ("0 0 1W 8 *", 3),
        ("0 0 31W 5 *", 29),
        ("0 0 LW 5 *", 29),
        ("0 0 L-3 2 *", 25),
    ],
)
def test_the_weekday_nearest_to_a_day_stays_in_the_month(expression: str, day: int) -> None:
    (fire,) = fire_times_between(Cron(expression), datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), 9)
    assert fire.day == day
