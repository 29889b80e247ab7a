"""Why a cron expression is wrong, in words that say what to write instead."""

from __future__ import annotations

import re

from .days import split_days
from .fields import FIELDS, Field, is_number, shorten

NEVER = "never fires: no month it names has such a day"


def diagnose(fields: list[str]) -> str:
    """Return what is wrong with an expression that the parser refused.

    Args:
        fields: the expression in upper case, split at blanks.
    """
    if len(fields) > 5 and any(text.startswith(("/", "./", "../")) for text in fields[5:]):
        return "has a command behind the five fields; leave it out"
    if len(fields) == 7 or (len(fields) == 6 and re.match(r"(19|20)\d\d\b", fields[5])):
        return "a field for years is not known; use start_at and end_at"
    if len(fields) not in (5, 6):
        return (
            "expected 5 fields (minute hour day month weekday), or 6 with seconds first, or an alias such as @daily; "
            f"got {len(fields)}"
        )
    for text, field in zip(fields, FIELDS[-len(fields) :], strict=True):
        for term in text.split(","):
            problem = _problem(term, field)
            if problem:
                return f"{field.name}: {problem}"
    return NEVER


def _problem(term: str, field: Field) -> str | None:
    """Return what is wrong with one item of a field's comma-separated list, if anything."""
    if not term:
        return "a comma needs a value on both sides"
    if "?" in term:
        return "? stands alone, for the day of month or the weekday; elsewhere write *"
    if field.name == "weekday" and "#" in term:
        day, nth = term.split("#", 1)
        if nth not in ("1", "2", "3", "4", "5"):
            return f"{shorten(term)}: after # comes which one in the month, 1 to 5"
        return _value_problem(day, field)
    if field.name == "weekday" and term.endswith("L"):
        return None if term[:-1] in tuple("01234567") else "write the last Friday as 5L, with a number from 0 to 7"
    if field.name == "day of month" and ("L" in term or "W" in term):
        return _day_problem(term, field)
    if term == "W" or re.fullmatch(r"\d+W", term):
        return f"{shorten(term)}: W, the weekday nearest to a day, belongs to the day of month"
    head, slash, step = term.partition("/")
    if slash and (not is_number(step) or int(step) == 0):
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


def _day_problem(term: str, field: Field) -> str | None:
    if term in ("L", "LW") or split_days(term)[1]:
        return None
    number = re.fullmatch(r"(\d+)W", term)
    if number:
        return _value_problem(number[1], field)
    if re.fullmatch(r"L-\d+W?", term):
        return f"{shorten(term)}: L-n is n days before the last of the month, n is at most 30"
    return (
        f"{shorten(term)}: write L for the last day, L-3 for three days before it, LW for the last Monday-to-Friday day, "
        "15W for the one nearest to the 15th"
    )


def _value_problem(text: str, field: Field) -> str | None:
    if text in field.names:
        return None
    if not is_number(text):
        names = f" or a name {field.names[0]} to {field.names[-1]}" if field.names else ""
        return f"{shorten(text)} is not a number from {field.low} to {field.high}{names}"
    if int(text) > field.high:
        return f"{shorten(text)[1:-1]} is above {field.high}"
    if int(text) < field.low:
        return f"{text} is below {field.low}"
    return None


def _value(text: str, field: Field) -> int:
    if text in field.names:
        return field.names.index(text) + (1 if field.name == "month" else 0)
    return int(text)
