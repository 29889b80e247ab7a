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
from .days import split_days
from .dialect import plain_fields, split_fields
from .drawn import has_draw
from .model import TriggerError
from .zones import clock_change, utc_offsets

# A weekday falls on 29 February every 28 years, across 2100 after 40: what has no match in 41 years has none.
_MONTHS_AHEAD = 41 * 12
_SECOND = timedelta(seconds=1)

_month_shape = lru_cache(maxsize=4096)(calendar.monthrange)


class CronPlan:
    """A cron expression made ready: immutable to its users, cheap to ask, safe to share between threads.

    Args:
        expression: as in `Cron`, as `validate` leaves it.
        seed: as in `Cron`; without one, `H` and `~` stand for the least value they may have.

    Attributes:
        fields: six fields in upper case, seconds first, with plain numbers for what is drawn.
        drawn: True when the fire times depend on the seed.
        either_day: True when the day of month or the weekday is enough; otherwise both have to match.
        wildcard: True when the second, minute or hour field begins with `*`: such a job follows real time through a
            clock change. Others run at fixed times: once, whether the hour is skipped or repeated.
        parsed: what the parser made of the fields, except `rules`.
        rules: days of the month that the parser does not know.
        only_rules: True when there are no other days of the month; `parsed` then has one that does not count.

    Raises:
        TriggerError: with field `expression`.
    """

    __slots__ = (
        "_days_by_shape",
        "_first",
        "_hours",
        "_minutes",
        "_months",
        "_seconds",
        "drawn",
        "either_day",
        "fields",
        "only_rules",
        "parsed",
        "rules",
        "wildcard",
    )

    def __init__(self, expression: str, seed: str | None = None) -> None:
        self.fields = plain_fields(expression, seed)
        self.drawn = has_draw(split_fields(expression))
        days, self.rules = split_days(self.fields[-3]) if len(self.fields) in (5, 6) else ("", ())
        self.only_rules = days is None
        # With rules alone, the parser gets a day that is not asked for.
        known = [*self.fields[:-3], days or "1", *self.fields[-2:]] if self.rules else self.fields
        try:
            # The date only has to be naive: cronsim then leaves time zones alone.
            self.parsed = CronSim(" ".join(known), datetime(2000, 1, 1))  # noqa: DTZ001
        except (CronSimError, ValueError, AssertionError) as error:
            raise TriggerError("expression", diagnose(self.fields)) from error
        if len(self.fields) == 5:
            self.fields.insert(0, "0")
        self.wildcard = any(field.startswith("*") for field in self.fields[:3])
        self.either_day = not (self.fields[3].startswith("*") or self.fields[5].startswith("*"))
        self._seconds = sorted(self.parsed.seconds)
        self._minutes = sorted(self.parsed.minutes)
        self._hours = sorted(self.parsed.hours)
        self._months = frozenset(self.parsed.months)
        self._first = (self._hours[0], self._minutes[0], self._seconds[0])
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
            ruled = {rule.day(shape[1], shape[0]) for rule in self.rules}
            days = tuple(day for day in range(1, shape[1] + 1) if self._match_day(date(year, month, day), day in ruled))
            self._days_by_shape[shape] = days
        return days

    def _match_day(self, day: date, ruled: bool) -> bool:
        by_day = ruled or (not self.only_rules and self.parsed.match_dom(day))
        if self.either_day:
            return by_day or self.parsed.match_dow(day)
        return by_day and self.parsed.match_dow(day)


# At most 20 MB.
plan = lru_cache(maxsize=4096)(CronPlan)
"""`CronPlan` of an expression and a seed; the most recently used ones are kept."""


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
