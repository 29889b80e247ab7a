"""`H` and `~` in cron expressions: values that a job draws once, by a hash of its seed, and keeps.

`H` is Jenkins' way to write it, `~` that of OpenBSD and cronie. Both are here as in Jenkins: no random number at each start,
but the same value on every replica and after every restart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b

from .fields import FIELDS, Field, shorten
from .model import TriggerError

_HASHED = re.compile(r"H(?:\((\w+)-(\w+)\))?(?:/(\d{1,4}))?", re.ASCII)
_BETWEEN = re.compile(r"(\w*)~(\w*)(?:/(\d{1,4}))?", re.ASCII)


def has_draw(fields: Sequence[str]) -> bool:
    """Whether some value of these fields (in upper case) is to be drawn."""
    return any(_is_draw(term) for field in fields for term in field.split(","))


def draw(fields: Sequence[str], seed: str | None) -> list[str]:
    """Return the fields with plain numbers in place of what is to be drawn.

    Args:
        fields: five or six, in upper case.
        seed: decides what is drawn; None takes the least values there are.

    Raises:
        TriggerError: with field `expression`, for a draw that cannot be read.
    """
    drawn: list[str] = []
    for text, field in zip(fields, FIELDS[-len(fields) :], strict=True):
        terms = [
            _drawn(term, field, f"{seed}\0{field.name}\0{index}" if seed is not None else None) if _is_draw(term) else term
            for index, term in enumerate(text.split(","))
        ]
        drawn.append(",".join(terms))
    return drawn


def _is_draw(term: str) -> bool:
    return "~" in term or (term.startswith("H") and term[1:2] in ("", "(", "/"))


def _drawn(term: str, field: Field, key: str | None) -> str:
    match = _HASHED.fullmatch(term) or _BETWEEN.fullmatch(term)
    if match is None:
        raise _wrong(field, f"{shorten(term)}: write H, H(0-29), H/15 or H(0-29)/15, or 0~29 in place of H(0-29)")
    first, last, step = match.groups()
    low = field.value(first) if first else field.low
    high = field.value(last) if last else (field.high if first else field.spread)
    if low is None or high is None:
        bad = first if low is None else last
        raise _wrong(field, f"{shorten(term)}: {shorten(bad)[1:-1]} is not in {field.low} to {field.high}")
    if low > high:
        raise _wrong(field, f"{shorten(term)} runs backwards, write it as two with a comma")
    span = high - low + 1
    if step is None:
        return str(low + _number(key) % span)
    if int(step) == 0:
        raise _wrong(field, f"{shorten(term)}: a step is a whole number from 1")
    start = low + _number(key) % min(int(step), span)
    return f"{start}-{high}/{step}"


def _number(key: str | None) -> int:
    return 0 if key is None else int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big")


def _wrong(field: Field, message: str) -> TriggerError:
    return TriggerError("expression", f"{field.name}: {message}")
