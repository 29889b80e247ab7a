"""Days of a month that are told by its end or by its weekdays: `15W`, `L-3`, `L-3W`."""

from __future__ import annotations

import re
from typing import NamedTuple

_TERM = re.compile(r"(?:L-(\d{1,2})|(\d{1,2}))(W?)", re.ASCII)
_SATURDAY, _SUNDAY = 5, 6


class DayRule(NamedTuple):
    """A day of the month that depends on the month.

    Args:
        number: of the day, or how many days before the last.
        from_end: which of the two.
        to_weekday: take the Monday to Friday nearest to it, in the same month.
    """

    number: int
    from_end: bool
    to_weekday: bool

    def day(self, length: int, first_weekday: int) -> int | None:
        """The day, or None in a month that is too short.

        Args:
            length: of the month, in days.
            first_weekday: of its first day; Monday is 0.
        """
        day = length - self.number if self.from_end else self.number
        if not 1 <= day <= length:
            return None
        if self.to_weekday:
            weekday = (first_weekday + day - 1) % 7
            if weekday == _SATURDAY:
                return day - 1 if day > 1 else day + 2
            if weekday == _SUNDAY:
                return day + 1 if day < length else day - 2
        return day


def split_days(field: str) -> tuple[str | None, tuple[DayRule, ...]]:
    """Take the rules out of the field for the day of month.

    Args:
        field: in upper case.

    Returns:
        What is left of the field, None when it was rules alone; and the rules.
    """
    left: list[str] = []
    rules: list[DayRule] = []
    for term in field.split(","):
        rule = _rule(term)
        if rule is None:
            left.append(term)
        else:
            rules.append(rule)
    return ",".join(left) if left else None, tuple(rules)


def _rule(term: str) -> DayRule | None:
    match = _TERM.fullmatch(term)
    if match is None:
        return None
    before_end, number, mark = match.groups()
    if before_end is not None:
        return DayRule(int(before_end), True, bool(mark)) if int(before_end) <= 30 else None
    return DayRule(int(number), False, True) if mark and 1 <= int(number) <= 31 else None
