"""Triggers in plain words."""

from __future__ import annotations

from datetime import datetime

from .cron import plan
from .describe_cron import describe_cron
from .model import Cron, Interval, Manual, Once, Trigger
from .zones import zone

_UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))


def describe(trigger: Trigger) -> str:
    """Return a short sentence for a valid trigger, e.g. `"every day at 06:00 Europe/Berlin"`.

    A cron expression without the seed it needs is shown as it is.
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
    ready = plan(trigger.expression, trigger.seed)
    if ready.drawn and trigger.seed is None:
        return f"cron {trigger.expression} {trigger.timezone}, where the job's name decides what H and ~ stand for"
    return describe_cron(ready, trigger.timezone)
