"""What handlers share while a worker lives, a pool of connections, say: made before the first run, taken down after the last.

@dataclass
class Resources:
    http: httpx.AsyncClient

@lifespan
async def resources() -> AsyncIterator[Resources]:
    async with httpx.AsyncClient() as http:
        yield Resources(http)

@job("page.fetch")
async def fetch(url: str, ctx: JobContext) -> int:
    return (await ctx.state[Resources].http.get(url)).status_code
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

from leveret.errors import InvalidInput, LeveretError, LifespanError

log = logging.getLogger(__name__)

LEAVE_TIMEOUT = 10.0
"""Seconds that lifespans may take to end."""

T = TypeVar("T")

LifespanFunction = Callable[[], AsyncIterator[Any]]
"""An async generator function without arguments that yields once."""


class State:
    """What lifespans have yielded, found by type.

    Args:
        made: what there is.
        why: told when something is looked for that is not there.
    """

    __slots__ = ("_made", "_why")

    def __init__(self, made: Sequence[object] = (), why: str = "no lifespan of this worker yields one") -> None:
        self._made = tuple(made)
        self._why = why

    def __getitem__(self, kind: type[T]) -> T:
        """The first of this type.

        Raises:
            LeveretError: there is none.
        """
        for each in self._made:
            if isinstance(each, kind):
                return each
        raise LeveretError(f"ctx.state holds no {kind.__qualname__}: {self._why}")


NO_STATE = State()


def check_lifespan(function: object) -> None:
    """Raise `InvalidInput` unless `function` can be a lifespan."""
    name = name_of(function)
    if not inspect.isasyncgenfunction(function):
        raise InvalidInput.at(f"@lifespan on {name}", "must be on an `async def` that yields once, with nothing else around it")
    for parameter in inspect.signature(function).parameters.values():
        if parameter.default is parameter.empty and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise InvalidInput.at(f"@lifespan on {name}", f"has a parameter {parameter.name!r}; nobody would give it a value")


def name_of(function: object) -> str:
    """Module and name of a function."""
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', type(function).__qualname__)}"


class Lifespans:
    """Enters lifespans in their order and leaves them in the opposite one, all in one task, as task groups in them want it.

    Args:
        functions: async generator functions.
    """

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
