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

import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

from leveret.errors import InvalidInput

LifespanFunction = Callable[[], AsyncIterator[Any]]
"""An async generator function without arguments that yields once."""


def check_lifespan(function: object) -> None:
    """Raise `InvalidInput` unless `function` can be a lifespan."""
    name = name_of(function)
    if not inspect.isasyncgenfunction(function):
        raise InvalidInput.at(f"@lifespan on {name}", "must be on an `async def` that yields once, with nothing else around it")
    for parameter in inspect.signature(function).parameters.values():
        if parameter.default is parameter.empty and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise InvalidInput.at(f"@lifespan on {name}", f"has a parameter {parameter.name!r}; the worker has no value for it")


def name_of(function: object) -> str:
    """Module and name of a function."""
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', type(function).__qualname__)}"
