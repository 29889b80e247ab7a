"""Enters and leaves the lifespans of a worker's handlers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Sequence
from typing import Self

from leveret.context import NO_STATE, State
from leveret.errors import LifespanError
from leveret.handlers.handler import Handler
from leveret.handlers.lifespan_functions import LifespanFunction, name_of

log = logging.getLogger(__name__)

LEAVE_TIMEOUT = 10.0
"""Seconds that lifespans may take to end."""


class Lifespans:
    """Enters lifespans in their order and leaves them in the opposite one, all in one task, as task groups in them want it.

    Args:
        functions: async generator functions.
    """

    @classmethod
    def of(cls, handlers: Iterable[Handler]) -> Self:
        """Those of the registries that `handlers` are in, each once."""
        return cls(list({id(each): each for handler in handlers for each in handler.lifespans}.values()))

    def __init__(self, functions: Sequence[LifespanFunction]) -> None:
        self.state = NO_STATE
        """What was yielded, once `enter` has returned."""
        self._functions = functions
        self._task: asyncio.Task[None] | None = None
        self._leaving = asyncio.Event()

    async def enter(self) -> None:
        """Start them, one after the other.

        Raises:
            LifespanError: one of them raised, or did not yield; those before it have been left.
        """
        if not self._functions:
            return
        entered: asyncio.Future[State] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._live(entered), name="leveret-lifespans")
        try:
            self.state = await asyncio.shield(entered)
        except asyncio.CancelledError:
            entered.cancel()
            raise

    async def leave(self) -> None:
        """End them, by force after `LEAVE_TIMEOUT`; what they raise is logged. Safe to call twice and before `enter`."""
        task, self._task = self._task, None
        if task is None:
            return
        self._leaving.set()
        if self.state is NO_STATE:
            task.cancel()  # it is still starting
        _, late = await asyncio.wait({task}, timeout=LEAVE_TIMEOUT)
        if late:
            log.error("the lifespans did not end within %.0f s", LEAVE_TIMEOUT)
            task.cancel()
            await asyncio.wait({task}, timeout=1)

    async def _live(self, entered: asyncio.Future[State]) -> None:
        made: list[object] = []
        try:
            async with contextlib.AsyncExitStack() as stack:
                try:
                    for function in self._functions:
                        entering = contextlib.asynccontextmanager(function)()  # pyright: ignore[reportDeprecated]
                        made.append(await stack.enter_async_context(entering))
                except Exception as error:
                    failed = LifespanError(f"the lifespan {name_of(self._functions[len(made)])} did not start: {_told(error)}")
                    failed.__cause__ = error
                    log.error("%s", failed, exc_info=error)
                    if not entered.done():
                        entered.set_exception(failed)
                    return
                if not entered.done():
                    entered.set_result(State(made))
                    await self._leaving.wait()
        except Exception:
            log.exception("a lifespan did not end in order")


def _told(error: Exception) -> str:
    if isinstance(error, RuntimeError) and str(error) == "generator didn't yield":
        return "it ended without a yield"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
