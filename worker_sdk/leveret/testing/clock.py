"""Time in an environment: it stands still until it is moved."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

_MICRO = timedelta(microseconds=1)


class Clock:
    """A clock for both the server's instants and the event loop's seconds.

    Args:
        now: the aware instant at which it stands.
        moved: called with every instant at which it comes to stand, the first included.
    """

    def __init__(self, now: datetime, moved: Callable[[datetime], object] = lambda _: None) -> None:
        self._start = now
        self._micros = 0
        self._moved = moved
        moved(now)

    @property
    def now(self) -> datetime:
        """The instant, UTC."""
        return self._start + self._micros * _MICRO

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return self._micros / 1e6

    def move_to(self, instant: datetime) -> None:
        """Go forward to `instant`; stays where it is if that is past."""
        micros = (instant - self._start) // _MICRO
        if micros > self._micros:
            self._micros = micros
            self._moved(instant)

    def after(self, seconds: float) -> datetime:
        """The instant so many seconds from now, at least a microsecond ahead."""
        micros = round((self.seconds + seconds) * 1e6)
        return self._start + max(micros, self._micros + 1) * _MICRO
