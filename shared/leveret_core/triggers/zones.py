"""Time zones by IANA name, and the way from wall time to an instant across clock changes."""

from __future__ import annotations

import difflib
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from importlib import import_module
from importlib.resources import files
from zoneinfo import ZoneInfo

from .model import TriggerError

TZDATA_VERSION: str = import_module("tzdata").IANA_VERSION
"""Release of the zone rules in use, e.g. `"2026a"`: fire times are a function of it too."""

_LONGEST_NAME = 64


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
        raise TriggerError("timezone", _unknown(name))
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=name)


def _unknown(name: str) -> str:
    if not name or len(name) > _LONGEST_NAME:
        return "expected an IANA zone name such as Europe/Berlin"
    # Whoever writes `berlin` or `new york` knows the city; only then it is a matter of spelling.
    wanted = name.replace(" ", "_").lower()
    by_lower = {known.lower(): known for known in zone_names()}
    close = [known for lower, known in sorted(by_lower.items()) if lower == wanted or lower.endswith("/" + wanted)]
    if not close:
        # Comparing with all 600 names takes long for a request, and few misspellings change the length by much.
        likely = [lower for lower in by_lower if abs(len(lower) - len(wanted)) <= 2]
        close = [by_lower[lower] for lower in difflib.get_close_matches(wanted, likely, n=2, cutoff=0.8)]
    hint = f"; did you mean {' or '.join(close[:3])}?" if close else "; use an IANA name such as Europe/Berlin"
    return f"{name!r} is not a known time zone{hint}"


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
