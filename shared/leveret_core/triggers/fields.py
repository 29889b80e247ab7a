"""The fields of a cron expression: what each may hold."""

from __future__ import annotations

from typing import NamedTuple


class Field(NamedTuple):
    """One field.

    Args:
        name: as error messages call it.
        low: the least value.
        high: the greatest value.
        names: words for the values, from the least on.
        spread: the greatest value that is drawn where the user gave no range: a day that every month has, one Sunday.
    """

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    spread: int = 0

    def value(self, text: str) -> int | None:
        """The value that `text`, in upper case, is a number or a name for; None when it is neither, or out of range."""
        if text in self.names:
            return self.names.index(text) + self.low
        if is_number(text) and len(text) <= 4 and self.low <= int(text) <= self.high:
            return int(text)
        return None


FIELDS = (
    Field("second", 0, 59, spread=59),
    Field("minute", 0, 59, spread=59),
    Field("hour", 0, 23, spread=23),
    Field("day of month", 1, 31, spread=28),
    Field("month", 1, 12, ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"), spread=12),
    Field("weekday", 0, 7, ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), spread=6),
)


def is_number(text: str) -> bool:
    """Whether `text` is digits and nothing else."""
    return text.isascii() and text.isdigit()


def shorten(text: str) -> str:
    """User's text quoted, and cut to what fits in a message."""
    return repr(text if len(text) <= 24 else text[:21] + "...")
