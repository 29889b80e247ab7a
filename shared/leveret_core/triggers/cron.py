"""Cron expressions: cronsim reads them, this module finds the next match and carries it across clock changes.

cronsim's own iterator is not used. It keeps state, reads the expression anew each time (20 to 110 µs a step), and loses
or invents fire times where the clock changes by half an hour (Lord Howe) or at midnight (Cairo). Here all stepping is in
wall time, where every day has 24 hours, and only the result is laid on the real clock.
"""

from __future__ import annotations

import calendar
from bisect import bisect_right
from datetime import MAXYEAR, UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache

from cronsim import CronSim, CronSimError

from .cron_errors import NEVER, diagnose
from .model import TriggerError
from .zones import clock_change, utc_offsets

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

# Every list of every value, spelt out, fits into 460.
_LONGEST_EXPRESSION = 512
# A weekday falls on 29 February every 28 years, across 2100 after 40: what has no match in 41 years has none.
_MONTHS_AHEAD = 41 * 12
_SECOND = timedelta(seconds=1)

_month_shape = lru_cache(maxsize=4096)(calendar.monthrange)


class CronPlan:
    """A cron expression made ready: immutable to its users, cheap to ask, safe to share between threads.

    Args:
        expression: as in `Cron`.

    Attributes:
        fields: six fields in upper case, seconds first.
        wildcard: True when the second, minute or hour field begins with `*`: such a job follows real time through a
            clock change. Others run at fixed times: once, whether the hour is skipped or repeated.

    Raises:
        TriggerError: with field `expression`.
    """

    __slots__ = ("_days_by_shape", "_first", "_hours", "_match_day", "_minutes", "_months", "_seconds", "fields", "wildcard")

    def __init__(self, expression: str) -> None:
        self.fields = split_fields(expression)
        try:
            # The date only has to be naive: cronsim then leaves time zones alone.
            parsed = CronSim(" ".join(self.fields), datetime(2000, 1, 1))  # noqa: DTZ001
        except (CronSimError, ValueError, AssertionError) as error:
            raise TriggerError("expression", diagnose(self.fields)) from error
        if len(self.fields) == 5:
            self.fields.insert(0, "0")
        self.wildcard = any(field.startswith("*") for field in self.fields[:3])
        self._seconds = sorted(parsed.seconds)
        self._minutes = sorted(parsed.minutes)
        self._hours = sorted(parsed.hours)
        self._months = frozenset(parsed.months)
        self._first = (self._hours[0], self._minutes[0], self._seconds[0])
        self._match_day = parsed.match_day
        self._days_by_shape: dict[tuple[int, int], tuple[int, ...]] = {}
        # 28 years hold every pair of leap day and weekday.
        if not any(self._days(year, month) for year in range(2000, 2028) for month in self._months):
            raise TriggerError("expression", NEVER)

    def next_wall(self, wall: datetime) -> datetime | None:
        """Return the first matching wall time after a given one, or None when there is none in 41 years.

        Args:
            wall: naive wall time, whole seconds.
        """
        year, month = wall.year, wall.month
        if month in self._months:
            days = self._days(year, month)
            if wall.day in days:
                time = self._next_time(wall.hour, wall.minute, wall.second)
                if time:
                    return datetime(year, month, wall.day, *time)  # noqa: DTZ001
            index = bisect_right(days, wall.day)
            if index < len(days):
                return datetime(year, month, days[index], *self._first)  # noqa: DTZ001
        for _ in range(_MONTHS_AHEAD):
            month += 1
            if month > 12:
                year, month = year + 1, 1
                if year > MAXYEAR:
                    return None
            if month in self._months:
                days = self._days(year, month)
                if days:
                    return datetime(year, month, days[0], *self._first)  # noqa: DTZ001
        return None

    def _next_time(self, hour: int, minute: int, second: int) -> tuple[int, int, int] | None:
        """Return the first matching time of day after a given one, within that day."""
        if hour in self._hours:
            if minute in self._minutes:
                index = bisect_right(self._seconds, second)
                if index < len(self._seconds):
                    return hour, minute, self._seconds[index]
            index = bisect_right(self._minutes, minute)
            if index < len(self._minutes):
                return hour, self._minutes[index], self._seconds[0]
        index = bisect_right(self._hours, hour)
        if index < len(self._hours):
            return self._hours[index], self._minutes[0], self._seconds[0]
        return None

    def _days(self, year: int, month: int) -> tuple[int, ...]:
        """Return the matching days of a month; they depend only on its length and first weekday."""
        shape = _month_shape(year, month)
        days = self._days_by_shape.get(shape)
        if days is None:
            days = tuple(day for day in range(1, shape[1] + 1) if self._match_day(date(year, month, day)))
            self._days_by_shape[shape] = days
        return days


def split_fields(expression: str) -> list[str]:
    """Return the fields of an expression in upper case, aliases resolved; their number is not checked.

    Raises:
        TriggerError: for what cannot be an expression at all: too long, not ASCII, an unknown alias.
    """
    if len(expression) > _LONGEST_EXPRESSION:
        raise TriggerError("expression", f"has {len(expression)} characters, at most {_LONGEST_EXPRESSION} are allowed")
    if not expression.isascii():
        raise TriggerError("expression", "has characters outside ASCII")
    text = expression.strip()
    if text.startswith("@"):
        known = ALIASES.get(text.lower())
        if known is None:
            raise TriggerError("expression", f"{text[:24]} is not supported, use one of {', '.join(ALIASES)}")
        text = known
    return text.upper().split()


# At most 20 MB.
plan = lru_cache(maxsize=4096)(CronPlan)
"""`CronPlan` of an expression; the most recently used ones are kept."""


def next_match(expression: CronPlan, place: tzinfo, after: datetime) -> datetime | None:
    """Return the first instant (UTC) after a given one at which an expression fires, or None.

    Args:
        expression: the plan.
        place: the zone whose wall time counts.
        after: an aware instant.
    """
    local = after.astimezone(place)
    wall = local.replace(tzinfo=None, microsecond=0, fold=0)
    if place is UTC:
        match = expression.next_wall(wall)
        return match.replace(tzinfo=UTC) if match else None
    if expression.wildcard:
        return _follow_clock(expression, place, after, wall, second_pass=local.fold == 1)
    return _fixed_time(expression, place, after, wall)


def _fixed_time(expression: CronPlan, place: tzinfo, after: datetime, wall: datetime) -> datetime | None:
    match = expression.next_wall(wall)
    while match is not None:
        offset, offset_later = utc_offsets(match, place)
        if offset < offset_later:
            # Skipped: due right after the jump, whose wall time is past all that it skipped.
            return clock_change(match, place)
        fire = (match - offset).replace(tzinfo=UTC)
        if fire > after:
            return fire
        # `after` is in the second pass of a repeated hour, whose times were due in the first: go on behind it.
        match = expression.next_wall(_wall_at(clock_change(match, place), offset) - _SECOND)
    return None


def _follow_clock(
    expression: CronPlan, place: tzinfo, after: datetime, wall: datetime, *, second_pass: bool
) -> datetime | None:
    fire = None
    match = expression.next_wall(wall)
    while match is not None:
        offset, offset_later = utc_offsets(match, place)
        if offset < offset_later:
            # Skipped: the clock never shows it. Go on from the far side of the jump.
            match = expression.next_wall(_wall_at(clock_change(match, place), offset_later) - _SECOND)
            continue
        fire = (match - offset).replace(tzinfo=UTC)
        if fire <= after:
            fire = (match - offset_later).replace(tzinfo=UTC)
        break
    offset, offset_later = utc_offsets(wall, place)
    if offset <= offset_later or second_pass:
        return fire
    # `after` is in the first pass of a repeated hour: when that has no more matches, the second may have earlier ones.
    change = clock_change(wall, place)
    if fire is not None and fire < change:
        return fire
    match = expression.next_wall(_wall_at(change, offset_later) - _SECOND)
    if match is not None and match < _wall_at(change, offset):
        return (match - offset_later).replace(tzinfo=UTC)
    return fire


def _wall_at(at: datetime, offset: timedelta) -> datetime:
    return (at + offset).replace(tzinfo=None)
