"""What may have been meant by an unknown time zone. A hint never has another offset than what was written."""

from __future__ import annotations

import difflib
import re
from functools import lru_cache

_LONGEST_NAME = 64
_OFFSET = re.compile(r"(?:ETC/)?(UTC|GMT|UT|Z)?\s*([+-])\s*(\d{1,2})(?::?(\d{2}))?", re.ASCII)
# Zones with whole hours: Etc/GMT-14 is 14 hours ahead of UTC, Etc/GMT+12 is 12 behind.
_FURTHEST = {"+": 14, "-": 12}
_ABBREVIATIONS = {
    "ACST": "central Australia: Australia/Darwin or Australia/Adelaide",
    "ADT": "Atlantic summer time: America/Halifax",
    "AEDT": "eastern Australia in summer: Australia/Sydney",
    "AEST": "eastern Australia: Australia/Brisbane or Australia/Sydney",
    "AST": "Atlantic or Arabian time: America/Puerto_Rico, America/Halifax or Asia/Riyadh",
    "AWST": "western Australia: Australia/Perth",
    "BST": "British summer time or Bangladesh: Europe/London or Asia/Dhaka",
    "CDT": "central summer time of America: America/Chicago",
    "CEST": "central Europe in summer: a place such as Europe/Berlin or Europe/Paris",
    "CST": "central America's, China's or Cuba's time: America/Chicago, Asia/Shanghai or America/Havana",
    "EDT": "eastern summer time of America: America/New_York",
    "EEST": "eastern Europe in summer: a place such as Europe/Helsinki or Europe/Athens",
    "HKT": "Hong Kong: Asia/Hong_Kong",
    "IST": "India, Ireland or Israel: Asia/Kolkata, Europe/Dublin or Asia/Jerusalem",
    "JST": "Japan: Asia/Tokyo",
    "KST": "Korea: Asia/Seoul",
    "MDT": "mountain summer time of America: America/Denver",
    "MSK": "Moscow: Europe/Moscow",
    "NZDT": "New Zealand in summer: Pacific/Auckland",
    "NZST": "New Zealand: Pacific/Auckland",
    "PDT": "Pacific summer time of America: America/Los_Angeles",
    "PST": "Pacific time of America or the Philippines: America/Los_Angeles or Asia/Manila",
    "SGT": "Singapore: Asia/Singapore",
    "WEST": "western Europe in summer: a place such as Europe/Lisbon",
}


def hint_for(name: str, known: frozenset[str]) -> str:
    """Return what is wrong with a zone's name and what to write.

    Args:
        name: as it was written, not one of `known`.
        known: the names that there are.
    """
    if not name or len(name) > _LONGEST_NAME:
        return "expected an IANA zone name such as Europe/Berlin"
    return f"{name!r} is not a known time zone; {_offset(name) or _abbreviation(name) or _spelling(name, known)}"


def _offset(name: str) -> str | None:
    match = _OFFSET.fullmatch(name.strip().upper())
    if match is None:
        return "did you mean UTC?" if name.strip().upper() in ("Z", "UTC") else None
    _, sign, hours, minutes = match.groups()
    if name.strip().upper().startswith("ETC/"):
        return "Etc/GMT+1 is one hour behind UTC, Etc/GMT-1 one ahead; they go from Etc/GMT-14 to Etc/GMT+12"
    if int(minutes or 0):
        return "zones of a fixed offset have whole hours; use a place such as Asia/Kolkata"
    if int(hours) == 0:
        return "did you mean UTC?"
    if int(hours) > _FURTHEST[sign]:
        return f"no place is {int(hours)} hours {'ahead of' if sign == '+' else 'behind'} UTC"
    turned = "-" if sign == "+" else "+"
    where = "ahead of" if sign == "+" else "behind"
    return (
        f"did you mean Etc/GMT{turned}{int(hours)}? That is {int(hours)} h {where} UTC: its sign is the other way round. "
        "A place such as Europe/Berlin also changes its clocks"
    )


def _abbreviation(name: str) -> str | None:
    meaning = _ABBREVIATIONS.get(name.strip().upper())
    return f"it may stand for {meaning}" if meaning else None


def _spelling(name: str, known: frozenset[str]) -> str:
    # A user who writes `berlin` or `new york` knows the city; only then it is a matter of spelling.
    wanted = name.strip().replace(" ", "_").lower()
    # Another sign or digit is another offset, which is no matter of spelling.
    by_lower = _by_signs(known).get(_signs(wanted), {})
    close = [each for lower, each in sorted(by_lower.items()) if lower == wanted or lower.endswith("/" + wanted)]
    if not close:
        # Comparing with all 600 names takes long for a request, and few misspellings change the length by much.
        likely = [lower for lower in by_lower if "/" in lower and abs(len(lower) - len(wanted)) <= 2]
        close = [by_lower[lower] for lower in difflib.get_close_matches(wanted, likely, n=2, cutoff=0.8)]
    return f"did you mean {' or '.join(close[:3])}?" if close else "use an IANA name such as Europe/Berlin"


@lru_cache(maxsize=1)
def _by_signs(known: frozenset[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for name in known:
        found.setdefault(_signs(name), {})[name.lower()] = name
    return found


def _signs(name: str) -> str:
    return "".join(re.findall(r"\d|[+-](?=\d)", name))
