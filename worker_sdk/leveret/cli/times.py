"""Times and durations as people type them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from leveret_core.errors import InvalidInput

_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII)
_SECONDS = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


def duration(text: str, option: str) -> float:
    """Seconds in `90`, `90s`, `10m`, `1h30m` or `2d`.

    Args:
        option: its name in the error message.

    Raises:
        InvalidInput: it is none.
    """
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    match = _DURATION.fullmatch(text.replace(" ", ""))
    if match is None or not any(match.groups()):
        raise InvalidInput.at(option, f"must be a duration such as 90, 10m or 1h30m, not {text!r}")
    return sum(float(part) * unit for part, unit in zip(match.groups(), _UNITS.values(), strict=True) if part)


def instant(text: str, option: str) -> str:
    """The ISO 8601 time with its offset; without one it is in UTC, as everywhere here.

    Args:
        option: its name in the error message.

    Raises:
        InvalidInput: it is none.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput.at(option, f"must be an ISO 8601 time such as 2030-01-01T08:00, not {text!r}") from error
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).isoformat()
