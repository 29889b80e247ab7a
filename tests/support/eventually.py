"""Waiting for something that others bring about."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast, overload

T = TypeVar("T")


@overload
async def eventually(check: Callable[[], Awaitable[T]], timeout: float = ..., interval: float = ...) -> T: ...


@overload
async def eventually(check: Callable[[], T], timeout: float = ..., interval: float = ...) -> T: ...


async def eventually(check: Callable[[], T | Awaitable[T]], timeout: float = 10.0, interval: float = 0.02) -> T:
    """Call `check` until it holds, and return what it returned.

    It holds when it raises no AssertionError and returns something true, or None, as a function of assertions does.

    Arguments:
        check: a function or coroutine function without arguments (bind those of a loop by functools.partial: mypy cannot
            infer a lambda with defaults here). Other errors than AssertionError end the wait.
        timeout: seconds until it must hold.
        interval: seconds between tries.

    Raises:
        AssertionError: the last failure, when `check` did not hold in time.
    """
    deadline = time.monotonic() + timeout
    while True:
        cause: AssertionError | None = None
        try:
            outcome = check()
            value: object = await outcome if inspect.isawaitable(outcome) else outcome
            if value is None or value:
                return cast(T, value)
            failure = f"returned {value!r}"
        except AssertionError as error:
            failure, cause = f"failed: {error}", error
        if time.monotonic() >= deadline:
            name = getattr(check, "__name__", repr(check))
            raise AssertionError(f"after {timeout:g} s, {name} still {failure}") from cause
        await asyncio.sleep(interval)
