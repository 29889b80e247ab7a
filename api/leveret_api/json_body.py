"""Reads bodies: what JSON leaves to each reader's taste is refused, with the field that it concerns."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response

from leveret_core.errors import Problem

MAX_DIGITS = 310
"""Digits of a whole number that are read. More are beyond every range, and reading them takes long."""
_BEYOND: int = 10**MAX_DIGITS


class DoubledKeys(HTTPException):
    """Objects in a body hold the same key twice: readers differ in which of them counts.

    Args:
        problems: one entry for each.
    """

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__(422)


class JSONRoute(APIRoute):
    """A route whose bodies are read by `load`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """As FastAPI's."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            return await handle(_Request(request.scope, request.receive))

        return handler


class _Request(Request):
    async def json(self) -> Any:
        return load(await self.body())


class _Doubled(dict[str, Any]):
    """An object in which `key` was twice."""

    key = ""


def load(body: bytes) -> Any:
    """The value in `body`.

    Raises:
        DoubledKeys: an object in it has a key twice.
        ValueError: it is not JSON.
        RecursionError: it nests too deep.
    """
    doubled = False

    def made(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal doubled
        values = dict(pairs)
        if len(values) == len(pairs):
            return values
        doubled = True
        names = [name for name, _ in pairs]
        found = _Doubled(values)
        found.key = next(name for name in names if names.count(name) > 1)
        return found

    value = json.loads(body, object_pairs_hook=made, parse_int=_whole)
    if doubled:
        raise DoubledKeys([Problem(where, "is there twice in its object") for where in list(_where(value, ()))[:10]])
    return value


def _whole(digits: str) -> int:
    if len(digits) <= MAX_DIGITS:
        return int(digits)
    return -_BEYOND if digits.startswith("-") else _BEYOND


def _where(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, _Doubled):
        yield ".".join((*path, value.key))
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield from _where(inner, (*path, str(step)))
