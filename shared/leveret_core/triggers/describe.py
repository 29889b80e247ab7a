"""Triggers in plain words."""

from __future__ import annotations

from datetime import datetime

from .cron import plan
from .model import Cron, Interval, Manual, Once, Trigger
from .zones import zone

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SHORT = {name[:3].upper(): number for number, name in enumerate(_WEEKDAYS[:7])}
_NTH = ("first", "second", "third", "fourth", "fifth")
_UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))


def describe(trigger: Trigger) -> str:
    """Return a short sentence for a valid trigger, e.g. `"every day at 06:00 Europe/Berlin"`.

    Common cron expressions are put into words; others are shown as they are.
    """
    if isinstance(trigger, Manual):
        return "only when triggered by hand"
    if isinstance(trigger, Once):
        words = f"once at {_moment(trigger.at, trigger.timezone or 'UTC')}"
    elif isinstance(trigger, Interval):
        words = _interval(trigger.every)
    else:
        words = _cron(trigger)
    if isinstance(trigger, Cron | Interval):
        timezone = trigger.timezone if isinstance(trigger, Cron) else "UTC"
        if isinstance(trigger, Cron) and trigger.start_at is not None:
            words += f", from {_moment(trigger.start_at, timezone)}"
        if trigger.end_at is not None:
            words += f", until {_moment(trigger.end_at, timezone)}"
    if trigger.jitter:
        words += f", spread over {_duration(trigger.jitter)}"
    return words


def _moment(at: datetime, timezone: str) -> str:
    local = at.astimezone(zone(timezone))
    return f"{local:%Y-%m-%d %H:%M}{f':{local:%S}' if local.second else ''} {timezone}"


def _duration(seconds: float) -> str:
    if seconds != int(seconds):
        return f"{seconds:g} seconds"
    left, parts = int(seconds), list[str]()
    for unit, size in _UNITS:
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number} {unit}{'s' if number > 1 else ''}")
    return " ".join(parts)


def _interval(seconds: float) -> str:
    single = {float(size): unit for unit, size in _UNITS}
    return f"every {single.get(seconds) or _duration(seconds)}"


def _cron(trigger: Cron) -> str:
    second, minute, hour, day, month, weekday = plan(trigger.expression).fields
    words = None
    if second == "0" or second.startswith("*"):
        if (day, month, weekday) == ("*", "*", "*"):
            words = _within_a_day(second, minute, hour)
        if words is None and second == "0":
            time, days = _times(minute, hour), _days(day, month, weekday)
            if time and days:
                return f"{days} at {time} {trigger.timezone}"
    return words or f"cron {trigger.expression} {trigger.timezone}"


def _within_a_day(second: str, minute: str, hour: str) -> str | None:
    """Describe what repeats by the second, minute or hour all day long."""
    if minute == hour == "*" and second != "0":
        return _every(second, 60, "second")
    if second == "0" and hour == "*" and minute.startswith("*"):
        return _every(minute, 60, "minute")
    if second == minute == "0" and hour.startswith("*"):
        return _every(hour, 24, "hour")
    if second == "0" and hour == "*" and minute.isdigit():
        return f"every hour at :{int(minute):02d}"
    return None


def _every(field: str, size: int, unit: str) -> str | None:
    if field in ("*", "*/1"):
        return f"every {unit}"
    step = field[2:]
    # */7 begins anew each hour, which "every 7 minutes" would hide.
    return f"every {int(step)} {unit}s" if field.startswith("*/") and step.isdigit() and size % int(step) == 0 else None


def _times(minute: str, hour: str) -> str | None:
    minutes, hours = _numbers(minute), _numbers(hour)
    if not minutes or not hours or len(minutes) * len(hours) > 4:
        return None
    return _and([f"{h:02d}:{m:02d}" for h in hours for m in minutes])


def _days(day: str, month: str, weekday: str) -> str | None:
    if day == weekday == "*":
        return "every day" if month == "*" else None
    if day == month == "*":
        return _weekdays(weekday)
    if weekday != "*":
        return None
    if day in ("L", "LW") and month == "*":
        return f"on the last {'weekday' if day == 'LW' else 'day'} of every month"
    days, months = _numbers(day), _months(month)
    if not days or len(days) > 4:
        return None
    if month == "*":
        return f"on day {_and([str(number) for number in days])} of every month"
    return f"every year on {_and([str(number) for number in days])} {months}" if months else None


def _weekdays(field: str) -> str | None:
    if field in ("1-5", "MON-FRI"):
        return "every weekday (Monday to Friday)"
    head, mark, nth = field.partition("#")
    if mark:
        number = _weekday(head)
        if number is None or not nth.isdigit():
            return None
        return f"on the {_NTH[int(nth) - 1]} {_WEEKDAYS[number]} of every month"
    if field.endswith("L") and field[:-1].isdigit():
        return f"on the last {_WEEKDAYS[int(field[:-1])]} of every month"
    numbers = [_weekday(item) for item in field.split(",")]
    known = sorted({(number - 1) % 7 for number in numbers if number is not None})
    return None if None in numbers else f"every {_and([_WEEKDAYS[number + 1] for number in known])}"


def _weekday(text: str) -> int | None:
    return int(text) if text.isdigit() else _SHORT.get(text)


def _months(field: str) -> str | None:
    if field.isdigit():
        return _MONTHS[int(field) - 1]
    return next((name for name in _MONTHS if name[:3].upper() == field), None)


def _numbers(field: str) -> list[int]:
    """Return the values of a plain list such as `0,30`; empty for everything else."""
    items = field.split(",")
    return sorted({int(item) for item in items}) if all(item.isdigit() for item in items) else []


def _and(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
