"""Fire times for people: in UTC and on the wall, from any moment, with what a clock change does to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from datetime import timezone as fixed_offset
from typing import NotRequired, TypedDict

from .cron import plan
from .fire import fire_times, fire_times_between, latest_fire_time
from .model import Cron, Once, Trigger, TriggerError
from .zones import clock_change_after, instant, zone

_AROUND = 3
"""Fire times shown before a clock change, and from it on."""
_TICK = timedelta(microseconds=1)


class FireTime(TypedDict):
    """A fire time as text.

    Args:
        utc: as in `"2026-03-29T01:00:00Z"`.
        local: the same in the trigger's own zone (UTC where it has none), as in `"2026-03-29T03:00:00+02:00"`.
        clock: set where a clock change is near: `skipped`, the clock passes over the time that was asked for, and this is right
            after the jump; `first` or `second`, the clock shows this time twice, and this is which.
    """

    utc: str
    local: str
    clock: NotRequired[str]


class ClockChange(TypedDict):
    """A change of the clocks, and what is due around it.

    Args:
        utc: the instant.
        before: what the clock would show then without the change.
        after: what it shows.
        fire_times: the last before it, and the first from it on.
    """

    utc: str
    before: str
    after: str
    fire_times: list[FireTime]


def preview(trigger: Trigger, after: datetime, count: int, until: datetime | None = None) -> list[FireTime]:
    """Return the next fire times as text.

    Args:
        trigger: a valid trigger that can be stored, see `anchored`.
        after: an aware instant, excluded.
        count: how many, at most.
        until: an aware instant, included; None for no end.
    """
    times = fire_times(trigger, after, count) if until is None else fire_times_between(trigger, after, until, count)
    return _shown(trigger, times)


def next_clock_change(trigger: Trigger, after: datetime) -> ClockChange | None:
    """Return the next change of the clocks in a cron trigger's zone, and what is due around it; None when none is near.

    Args:
        trigger: as in `preview`.
        after: an aware instant.
    """
    if not isinstance(trigger, Cron):
        return None
    place = zone(trigger.timezone)
    change = clock_change_after(place, after)
    if change is None:
        return None
    earlier: list[datetime] = []
    before: datetime | None = change
    for _ in range(_AROUND):
        before = None if before is None else latest_fire_time(trigger, after, before - _TICK)
        earlier += [] if before is None else [before]
    there = change.astimezone(place)
    offset = (change - _TICK).astimezone(place).utcoffset() or timedelta()
    return ClockChange(
        utc=_utc(change),
        before=change.astimezone(fixed_offset(offset)).isoformat(),
        after=there.isoformat(),
        fire_times=_shown(trigger, earlier[::-1] + fire_times(trigger, change - _TICK, _AROUND)),
    )


def _shown(trigger: Trigger, times: Sequence[datetime]) -> list[FireTime]:
    place = zone(timezone_of(trigger))
    shown: list[FireTime] = []
    for fire in times:
        local = fire.astimezone(place)
        each = FireTime(utc=_utc(fire), local=local.isoformat())
        other = local.replace(fold=1 - local.fold)
        jump = (fire - _TICK).astimezone(place).utcoffset() != local.utcoffset()
        if isinstance(trigger, Cron) and jump and _stands_for_skipped(trigger, fire):
            each["clock"] = "skipped"
        elif local.utcoffset() != other.utcoffset():
            each["clock"] = "second" if local.fold else "first"
        shown.append(each)
    return shown


def _stands_for_skipped(trigger: Cron, fire: datetime) -> bool:
    """Whether a fire time at the moment of a jump is there for a time that the clock passes over."""
    ready, place = plan(trigger.expression, trigger.seed), zone(trigger.timezone)
    before = (fire - _TICK).astimezone(place).utcoffset() or timedelta()
    skipped_from, skipped_to = (fire + before).replace(tzinfo=None), fire.astimezone(place).replace(tzinfo=None)
    if ready.wildcard or skipped_to <= skipped_from:
        return False
    match = ready.next_wall(skipped_from - timedelta(seconds=1))
    return match is not None and match < skipped_to


def timezone_of(trigger: Trigger) -> str:
    """Return the IANA name of the zone that a reader of this trigger thinks in; `"UTC"` where it has none."""
    if isinstance(trigger, Cron | Once):
        return trigger.timezone or "UTC"
    return "UTC"


def parse_after(text: str, timezone: str = "UTC", field: str = "after") -> datetime:
    """Return the instant (UTC) that a user wrote, e.g. as `--after`.

    Args:
        text: ISO 8601. Without an offset it is wall time in `timezone`: the first of two in a repeated hour, the moment of
            the jump in a skipped one. A date alone is its midnight.
        timezone: IANA name.
        field: named in the error.

    Raises:
        TriggerError: with `field`, or `timezone`.
    """
    place = zone(timezone)
    try:
        at = datetime.fromisoformat(text.strip())
        return instant(at, place) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        shown = text if len(text) <= 40 else text[:37] + "..."
        raise TriggerError(
            field, f"{shown!r} is not a time; write 2026-03-28T00:00:00 for wall time in {timezone}, or add an offset"
        ) from error


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
