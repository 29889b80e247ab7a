"""Why a cron expression is wrong, in words that say what to write instead."""

from __future__ import annotations

from typing import NamedTuple

NEVER = "never fires: no month it names has such a day"


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("weekday", 0, 7, _WEEKDAYS),
)


def diagnose(fields: list[str]) -> str:
    """Return what is wrong with an expression that the parser refused.

    Args:
        fields: the expression in upper case, split at blanks.
    """
    if len(fields) not in (5, 6):
        return (
            "expected 5 fields (minute hour day month weekday), or 6 with seconds first, or an alias such as @daily; "
            f"got {len(fields)}"
        )
    for text, field in zip(fields, _FIELDS[-len(fields) :], strict=True):
        for term in text.split(","):
            problem = _problem(term, field)
            if problem:
                return f"{field.name}: {problem}"
    return NEVER


def shorten(text: str) -> str:
    """Return user's text quoted, and cut to what fits in a message."""
    return repr(text if len(text) <= 24 else text[:21] + "...")


def _problem(term: str, field: _Field) -> str | None:
    """Return what is wrong with one item of a field's comma-separated list, if anything."""
    if not term:
        return "a comma needs a value on both sides"
    if "?" in term:
        return "? is not known here, write *"
    if field.name == "weekday" and "#" in term:
        day, nth = term.split("#", 1)
        if nth not in ("1", "2", "3", "4", "5"):
            return f"{shorten(term)}: after # comes which one in the month, 1 to 5"
        return _value_problem(day, field)
    if field.name == "weekday" and term.endswith("L"):
        return None if term[:-1] in tuple("01234567") else "write the last Friday as 5L, with a number from 0 to 7"
    if field.name == "day of month" and term in ("L", "LW"):
        return None
    head, slash, step = term.partition("/")
    if slash and (not _is_number(step) or int(step) == 0):
        return f"{shorten(term)}: a step is a whole number from 1"
    if head == "*":
        return None
    first, dash, last = head.partition("-")
    if not dash:
        return _value_problem(head, field)
    problem = _value_problem(first, field) or _value_problem(last, field)
    if problem:
        return problem
    if _value(first, field) > _value(last, field):
        hint = ", Sunday at the end is 7" if last in ("SUN", "0") else ", split it in two"
        return f"{shorten(head)} runs backwards{hint}"
    return None


def _value_problem(text: str, field: _Field) -> str | None:
    if text in field.names:
        return None
    if not _is_number(text):
        names = f" or a name {field.names[0]} to {field.names[-1]}" if field.names else ""
        return f"{shorten(text)} is not a number from {field.low} to {field.high}{names}"
    if int(text) > field.high:
        return f"{shorten(text)[1:-1]} is above {field.high}"
    if int(text) < field.low:
        return f"{text} is below {field.low}"
    return None


def _value(text: str, field: _Field) -> int:
    if text in field.names:
        return field.names.index(text) + (1 if field.name == "month" else 0)
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
