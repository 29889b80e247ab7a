"""What surprises people about a trigger that is valid all the same."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from .cron import CronPlan, plan
from .dialect import split_fields
from .model import Cron, Trigger
from .zones import clock_change_after, zone

_SIZES = {0: (60, "minute"), 1: (60, "hour"), 2: (24, "day")}


def notes(trigger: Trigger) -> list[str]:
    """Return sentences for the user of a valid trigger; empty when there is nothing to say.

    Args:
        trigger: as `validate` returns it; with a seed where it needs one, see `anchored`.
    """
    if not isinstance(trigger, Cron):
        return []
    ready = plan(trigger.expression, trigger.seed)
    written = split_fields(trigger.expression)
    found = [_either(ready), _short_months(ready), *_uneven_steps(ready), _quartz(written), _no_summer_time(trigger.timezone)]
    if ready.drawn and trigger.seed is not None:
        found.append(
            f"H and ~ are drawn from {trigger.seed!r}, and stay as they are: {' '.join(ready.fields[-len(written) :])}"
        )
    return [each for each in found if each]


def _either(ready: CronPlan) -> str | None:
    if not ready.either_day:
        return None
    day, weekday = ready.fields[3], ready.fields[5]
    week = {"1-7": 1, "8-14": 2, "15-21": 3, "22-28": 4}.get(day)
    if week and re.fullmatch(r"[0-7]|[A-Z]{3}", weekday):
        meant = f"write * for the day and {weekday}#{week} for the weekday"
    else:
        meant = "write * in one of them, or begin one with */ to have both match"
    return f"day of month and weekday are both given, and either is enough; if both have to match, {meant}"


def _short_months(ready: CronPlan) -> str | None:
    if ready.either_day or ready.rules or ready.fields[3].startswith("*"):
        return None
    first = min(ready.parsed.days)
    if first < 29 or ready.parsed.months == {2}:
        return None
    return f"months without a day {first} are left out; L is the last day of every month"


def _uneven_steps(ready: CronPlan) -> list[str]:
    found: list[str] = []
    for index, (size, unit) in _SIZES.items():
        step = re.fullmatch(r"\*/(\d+)", ready.fields[index])
        if step and size % int(step[1]) and int(step[1]) < size:
            found.append(f"*/{step[1]} begins anew each {unit}, after a shorter step; an interval does not")
    return found


def _quartz(written: list[str]) -> str | None:
    if "?" in (written[-3], written[-1]) and re.search(r"(?<![#\d])[1-7](?!\d)", written[-1]):
        return "weekday 1 is Monday here, as in cron; in Quartz it is Sunday"
    return None


def _no_summer_time(timezone: str) -> str | None:
    # Three letters, no place: a user who writes EST may expect New York's summer time.
    if re.fullmatch(r"EST|MST|HST", timezone) and clock_change_after(zone(timezone), datetime(2026, 1, 1, tzinfo=UTC)) is None:
        return f"{timezone} has the same offset all year; a place such as America/New_York changes its clocks"
    return None
