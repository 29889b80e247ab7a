"""Cron expressions in plain words: all of them, from the values the parser found and not from how they are written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import pairwise
from typing import cast

from cronsim import CronSim

from .cron import CronPlan
from .days import DayRule

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_NTH = ("first", "second", "third", "fourth", "fifth")
_MOST_TIMES = 4
EITHER = "(either is enough)"


def describe_cron(plan: CronPlan, timezone: str) -> str:
    """Return a phrase such as `every day at 06:00 Europe/Berlin`.

    Args:
        plan: the expression made ready, with its seed.
        timezone: IANA name; left out where it makes no difference.
    """
    seconds, minutes, hours = (sorted(each) for each in (plan.parsed.seconds, plan.parsed.minutes, plan.parsed.hours))
    days = _days(plan)
    if days is None and minutes == seconds == [0] and _step(hours, 24):
        return _every(hours, 24, "hour") or ""
    if len(seconds) == 1 and len(minutes) * len(hours) <= _MOST_TIMES:
        return f"{days or 'every day'} at {_times(seconds[0], minutes, hours)} {timezone}"
    often = _within_a_day(seconds, minutes, hours)
    if days is None and len(hours) == 24:
        return often
    return f"{often}, {days} {timezone}" if days else f"{often} {timezone}"


def _times(second: int, minutes: Sequence[int], hours: Sequence[int]) -> str:
    tail = f":{second:02d}" if second else ""
    return join([f"{hour:02d}:{minute:02d}{tail}" for hour in hours for minute in minutes])


def _within_a_day(seconds: list[int], minutes: list[int], hours: list[int]) -> str:
    if seconds != [0]:
        often = _every(seconds, 60, "second") or f"at {_named('second', seconds)}"
        if len(minutes) == 60:
            return often + (" of every minute" if often.startswith("at ") else "") + _in_hours(hours)
        return f"{often} of {_every(minutes, 60, 'minute') or _named('minute', minutes)}{_in_hours(hours)}"
    if each := _every(minutes, 60, "minute"):
        return each + _in_hours(hours)
    if minutes == [0] and _step(hours, 24):
        return f"every {_step(hours, 24)} hours" if len(hours) < 24 else "every hour"
    at = f"at {join([f':{minute:02d}' for minute in minutes])}" if len(minutes) <= 6 else f"at {_named('minute', minutes)}"
    if len(hours) == 24:
        return f"every hour {at}"
    return f"{at} of {_named('hour', hours)}" if len(minutes) == 1 else f"{at}{_in_hours(hours)}"


def _in_hours(hours: list[int]) -> str:
    if len(hours) == 24:
        return ""
    if len(hours) > 1 and hours[-1] - hours[0] == len(hours) - 1:
        return f" from {hours[0]:02d}:00 to {hours[-1]:02d}:59"
    if len(hours) == 1:
        return f" from {hours[0]:02d}:00 to {hours[0]:02d}:59"
    return f" in {_named('hour', hours)}"


def _every(values: list[int], size: int, unit: str) -> str | None:
    step = _step(values, size)
    # */7 begins anew each hour, which "every 7 minutes" would hide.
    return None if step is None else f"every {unit}" if step == 1 else f"every {step} {unit}s"


def _step(values: list[int], size: int) -> int | None:
    """The step with which the values go around without a break, if they do."""
    if len(values) < 2 or size % len(values):
        return None
    step = size // len(values)
    return step if values == list(range(0, size, step)) else None


def _named(unit: str, values: list[int]) -> str:
    return f"{unit} {values[0]}" if len(values) == 1 else f"{unit}s {spoken(values, str)}"


def _days(plan: CronPlan) -> str | None:
    """What the three fields for days say together; None when it is every day."""
    of_month, weekday = _days_of_month(plan), _weekdays(plan)
    months = sorted(plan.parsed.months)
    named = None if len(months) == 12 else spoken(months, lambda number: _MONTHS[number - 1])
    if (of_month is None and weekday is None) or (plan.either_day and (of_month is None or weekday is None)):
        return f"every day in {named}" if named else None
    of_months, in_months = f" of {named or 'every month'}", f" in {named}" if named else ""
    if weekday is None:
        numbers = _plain_numbers(plan)
        if len(months) == 1 and numbers and not plan.rules and len(numbers) == len(plan.parsed.days):
            return f"every year on {spoken(numbers, str)} {named}"
        return f"on {of_month}{of_months}"
    nth = weekday.startswith("on the ")
    weekday += of_months if nth else in_months
    if of_month is None:
        return weekday
    if plan.either_day:
        return f"on {of_month}{of_months} or {weekday if nth else f'on {weekday}'} {EITHER}"
    return (
        f"on {of_month}{of_months} that is also {weekday.removeprefix('on ')}"
        if nth
        else (f"on {of_month}{of_months} where that is {_weekday_names(plan)}")
    )


def _plain_numbers(plan: CronPlan) -> list[int]:
    return [] if plan.only_rules else sorted(day for day in plan.parsed.days if day > 0)


def _days_of_month(plan: CronPlan) -> str | None:
    numbers = _plain_numbers(plan)
    if len(numbers) == 31:
        return None
    words: list[str] = []
    if numbers:
        text = spoken(numbers, str)
        words.append(f"days {text}" if " to " in text or len(numbers) > _MOST_TIMES else f"day {text}")
    if not plan.only_rules:
        words += ["the last day"] if CronSim.LAST in plan.parsed.days else []
        words += ["the last weekday"] if CronSim.LAST_WEEKDAY in plan.parsed.days else []
    words += [_rule(rule) for rule in plan.rules]
    return join(words)


def _rule(rule: DayRule) -> str:
    if not rule.from_end:
        return f"the weekday nearest to day {rule.number}"
    before = f"{rule.number} day{'s' if rule.number > 1 else ''} before " if rule.number else ""
    return f"the weekday nearest to {before}the last day" if rule.to_weekday else f"{before}the last day"


def _weekday_names(plan: CronPlan) -> str:
    return spoken(_plain_weekdays(plan), _WEEKDAYS.__getitem__)


def _plain_weekdays(plan: CronPlan) -> list[int]:
    items = cast("Collection[int | tuple[int, int]]", plan.parsed.weekdays)
    return sorted({(item - 1) % 7 for item in items if isinstance(item, int)})


def _weekdays(plan: CronPlan) -> str | None:
    items = cast("Collection[int | tuple[int, int]]", plan.parsed.weekdays)
    plain = _plain_weekdays(plan)
    if len(plain) == 7:
        return None
    special = sorted({((item[0] - 1) % 7, item[1]) for item in items if isinstance(item, tuple)}, key=lambda pair: pair[::-1])
    if plain == [0, 1, 2, 3, 4] and not special:
        return "every weekday (Monday to Friday)"
    words = [
        f"the {'last' if nth == CronSim.LAST else _NTH[nth - 1]} {_WEEKDAYS[day]}"
        for day, nth in sorted(special, key=lambda pair: (pair[1] if pair[1] > 0 else 9, pair[0]))
    ]
    if plain and words:
        return f"on {join(words)} and every {spoken(plain, _WEEKDAYS.__getitem__)}"
    return f"on {join(words)}" if words else f"every {spoken(plain, _WEEKDAYS.__getitem__)}"


def spoken(values: Sequence[int], word: Callable[[int], str]) -> str:
    """Return numbers as words, runs of three and more as `1 to 7`.

    Args:
        values: in order, each once.
        word: for one of them.
    """
    steps = {later - earlier for earlier, later in pairwise(values)}
    if len(values) > 4 and len(steps) == 1 and steps != {1}:
        return f"{word(values[0])}, {word(values[1])}, {word(values[2])} ... {word(values[-1])}"
    runs: list[list[int]] = []
    for value in values:
        if runs and runs[-1][-1] == value - 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    parts: list[str] = []
    for run in runs:
        parts += [f"{word(run[0])} to {word(run[-1])}"] if len(run) > 2 else [word(value) for value in run]
    return join(parts)


def join(items: Iterable[str]) -> str:
    """Return `a, b and c`."""
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last
