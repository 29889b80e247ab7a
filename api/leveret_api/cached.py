"""A value that is costly to load and wanted by many at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_SHARE = 10
"""A value lasts at least so many times as long as it took to load: loading takes a tenth of the time at most."""
_LONGEST = 15.0
"""Seconds that a value lasts for that reason, at most: what was slow once, because a service hung, may be quick again."""


class Cached(Generic[T]):
    """Loads a value when one is asked for and the last is too old; those who ask meanwhile wait for the same load.

    A failure lasts a second, so that a service that is away is not asked by everybody in turn.

    Args:
        load: loads the value.
        max_age: seconds a value lasts.
        costly: whether it lasts longer if it took long to load. Default true.
    """

    def __init__(self, load: Callable[[], Awaitable[T]], max_age: float, *, costly: bool = True) -> None:
        self._load = load
        self._max_age = max_age
        self._share = _SHARE if costly else 0
        self._lock = asyncio.Lock()
        self._value: T | None = None
        self._error: Exception | None = None
        self._expires = 0.0

    def forget(self) -> None:
        """Load anew when it is asked for next."""
        self._expires = 0.0

    async def get(self) -> T:
        """The value, at most `max_age` seconds old, or somewhat older if it is costly.

        Raises:
            Exception: what `load` raised, now or within the last second.
        """
        async with self._lock:
            now = time.monotonic()
            if now >= self._expires:
                try:
                    self._value, self._error = await self._load(), None
                except Exception as error:
                    self._value, self._error = None, error
                    self._expires = time.monotonic() + 1
                else:
                    took = time.monotonic() - now
                    self._expires = time.monotonic() + max(self._max_age, min(_LONGEST, took * self._share))
            if self._error is not None:
                raise self._error.with_traceback(None)
            assert self._value is not None
            return self._value
