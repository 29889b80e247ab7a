"""Handlers that are generators: what they yield is progress."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from typing import Any

from leveret.context import JobContext


def drive(generator: Generator[object, None, Any], running: JobContext) -> Any:
    """Run `generator` to its end, and return what it returns.

    At a yield of a run that was interrupted it is closed: its `finally` blocks run, and nothing after the yield does.

    Raises:
        TypeError: it yields what is no progress.
        BaseException: whatever it raises.
    """
    with closing(generator):
        while not running.cancelled:
            try:
                report(next(generator), running)
            except StopIteration as end:
                return end.value
    return None


async def drive_async(generator: AsyncGenerator[object, None], running: JobContext) -> None:
    """As `drive`; asynchronous generators return nothing, and are interrupted where they wait."""
    async with aclosing(generator):
        async for step in generator:
            report(step, running)


def report(step: object, running: JobContext) -> None:
    """Pass on one yielded value: a fraction from 0 to 1, a fraction and a message, or None for nothing new.

    Raises:
        TypeError: it is something else.
    """
    match step:
        case None:
            return
        case bool():
            pass
        case int() | float():
            running.progress(step)
            return
        case (int() | float() as fraction, str() as message) if not isinstance(fraction, bool):
            running.progress(fraction, message)
            return
        case _:
            pass
    raise TypeError(f"a handler yields its progress, a fraction from 0 to 1 or (fraction, message), not {step!r:.80}")
