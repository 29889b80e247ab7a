"""Time zones by IANA name, and the way from wall time to an instant across clock changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from importlib import import_module
from importlib.resources import files
from zoneinfo import ZoneInfo

from .model import TriggerError
from .zone_hints import hint_for

TZDATA_VERSION: str = import_module("tzdata").IANA_VERSION
"""Release of the zone rules in use, e.g. `"2026a"`: fire times are a function of it too."""


_DAYS_AHEAD = 2 * 366
# Any zone's wall time is then still within the year 9999.
_LAST_SECOND = int(datetime(9999, 12, 30, tzinfo=UTC).timestamp())


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Return every IANA zone name that a trigger may carry."""
    return frozenset(files("tzdata").joinpath("zones").read_text().split()) - {"Factory"}


@lru_cache(maxsize=1024)
def zone(name: str) -> tzinfo:
    """Return the zone of an IANA name.

    The rules come from the tzdata distribution and not from the machine's own files, so that replicas with the same
    locked versions agree on every fire time, whatever their hosts' packages say.

    Raises:
        TriggerError: for an unknown name, with the names that are close to it.
    """
    if name == "UTC":
        return UTC
    if name not in zone_names():
        raise TriggerError("timezone", hint_for(name, zone_names()))
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=name)


def utc_offsets(wall: datetime, place: tzinfo) -> tuple[timedelta, timedelta]:
    """Return the offsets from UTC that a wall time has by the rules before and after a clock change around it.

    Equal away from changes; the first is greater in a repeated hour, less in a skipped one.

    Args:
        wall: naive wall time with `fold=0`.
        place: the zone.
    """
    before = place.utcoffset(wall)
    after = place.utcoffset(wall.replace(fold=1))
    assert before is not None
    assert after is not None
    return before, after


def clock_change(wall: datetime, place: tzinfo) -> datetime:
    """Return the instant (UTC) of the clock change that skips or repeats a wall time.

    Args:
        wall: naive wall time with `fold=0`, for which `utc_offsets` differ.
        place: the zone.
    """
    before, after = utc_offsets(wall, place)
    utc = wall.replace(tzinfo=UTC)
    low = int((utc - max(before, after)).timestamp())
    high = int((utc - min(before, after)).timestamp())
    # zoneinfo does not tell its changes; they are on whole seconds, between these two.
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, place).utcoffset() == before:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)


def clock_change_after(place: tzinfo, after: datetime) -> datetime | None:
    """Return the instant (UTC) of the first clock change after a given one; None when there is none within two years.

    Args:
        place: the zone.
        after: an aware instant.
    """
    # zoneinfo does not tell its changes. Two within a day have never been.
    low = int(after.timestamp())
    for _ in range(_DAYS_AHEAD):
        high = min(low + 86_400, _LAST_SECOND)
        offset = datetime.fromtimestamp(low, place).utcoffset()
        if datetime.fromtimestamp(high, place).utcoffset() != offset:
            while high - low > 1:
                middle = (low + high) // 2
                if datetime.fromtimestamp(middle, place).utcoffset() == offset:
                    low = middle
                else:
                    high = middle
            return datetime.fromtimestamp(high, UTC)
        low = high
    return None


def instant(wall: datetime, place: tzinfo) -> datetime:
    """Return the instant (UTC) of a wall time: in a repeated hour the first, in a skipped hour that of the jump.

    Args:
        wall: naive wall time.
        place: the zone.
    """
    wall = wall.replace(fold=0)
    before, after = utc_offsets(wall, place)
    if before < after:
        return clock_change(wall, place)
    return (wall - before).replace(tzinfo=UTC)
