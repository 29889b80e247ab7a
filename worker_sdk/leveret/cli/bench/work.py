"""What the occurrences of a measurement do, as `leveret bench --handler` names it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from leveret_core.errors import InvalidInput

_SLEEP = re.compile(r"sleep:(\d{1,6})(ms|s)")
MAX_SLEEP = 60.0
"""Seconds."""
RUN_TIME = 10.0
"""Seconds that a measurement of a handler that takes time should last, about."""


@dataclass(frozen=True)
class Work:
    """A handler and how often it is to run.

    Args:
        name: as it was given: `noop`, `insert`, `sleep:100ms`.
        seconds: that it sleeps.
    """

    name: str
    seconds: float = 0.0

    @property
    def type(self) -> str:
        """The job type whose handler it is."""
        return "bench." + self.name.partition(":")[0]

    @property
    def payload(self) -> dict[str, float]:
        """What the handler is given."""
        return {"seconds": self.seconds} if self.seconds else {}

    @property
    def slots(self) -> int:
        """How many of them one worker runs at once, unless it is said: those that wait for Postgres have few connections."""
        return 50 if self.name == "insert" else 500

    def count(self, workers: int, slots: int) -> int:
        """How many occurrences tell its throughput, unless it is said."""
        if not self.seconds:
            return 20_000
        return min(20_000, max(100, round(RUN_TIME * workers * slots / self.seconds)))


NOOP = Work("noop")


def read_work(text: str) -> Work:
    """The work that `text` names.

    Raises:
        InvalidInput: it names none.
    """
    if text in ("noop", "insert"):
        return Work(text)
    if found := _SLEEP.fullmatch(text):
        seconds = int(found[1]) / (1000 if found[2] == "ms" else 1)
        if 0 < seconds <= MAX_SLEEP:
            return Work(text, seconds)
    raise InvalidInput.at("--handler", f"must be noop, insert, or a sleep such as sleep:100ms (at most {MAX_SLEEP:.0f}s)")


def read_counts(text: str) -> list[int]:
    """Numbers of workers, as in `1,2,10`.

    Raises:
        InvalidInput: it is no list of numbers from 1 to 100.
    """
    parts = text.split(",")
    if not all(re.fullmatch(r"\d{1,3}", part.strip()) and 1 <= int(part) <= 100 for part in parts):
        raise InvalidInput.at("--workers", "must be numbers from 1 to 100, as in 1,2,10")
    return [int(part) for part in parts]
