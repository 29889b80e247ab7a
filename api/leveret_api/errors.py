"""Errors as problem documents: one table for those raised on purpose, and FastAPI's own in the same form."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from leveret_api.problems import problem_response
from leveret_core.errors import BrokerUnavailable, Conflict, InvalidInput, NotFound, Problem
from leveret_core.store.database import UNAVAILABLE
from leveret_core.store.jobs import VersionMismatch
from leveret_core.triggers import TriggerError

log = logging.getLogger(__name__)

RETRY_AFTER = 2
"""Seconds after which a client may try again while a service is away."""

Handler = Callable[[Request, Exception], Awaitable[Response]]

# Error → status and kind; the text is the error's own.
_TABLE: tuple[tuple[type[Exception], int, str], ...] = (
    (NotFound, 404, "not-found"),
    (Conflict, 409, "conflict"),
    (VersionMismatch, 412, "version-mismatch"),
)
# Error → what the client is told; it may try again.
_AWAY: tuple[tuple[type[Exception], str], ...] = (
    *((error, "Postgres does not answer; try again shortly") for error in UNAVAILABLE),
    (BrokerUnavailable, "RabbitMQ does not answer; try again shortly"),
)


def install(app: FastAPI) -> None:
    """Make `app` answer every error with a problem document."""
    for error, status, kind in _TABLE:
        app.add_exception_handler(error, _told(status, kind))
    for error, detail in _AWAY:
        app.add_exception_handler(error, _away(detail))
    app.add_exception_handler(InvalidInput, _invalid_input)
    app.add_exception_handler(TriggerError, _bad_trigger)
    app.add_exception_handler(asyncpg.DataError, _unstorable)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _bug)


def invalid(problems: Sequence[Problem]) -> Response:
    """The answer to input with `problems`."""
    shown = "; ".join(f"{p.field} {p.message}" if p.field else p.message for p in problems[:3])
    more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
    return problem_response(422, shown + more, kind="invalid-input", errors=problems)


def _told(status: int, kind: str) -> Handler:
    async def handler(_: Request, error: Exception) -> Response:
        return problem_response(status, str(error), kind=kind)

    return handler


def _away(detail: str) -> Handler:
    async def handler(request: Request, error: Exception) -> Response:
        log.warning("%s %s was told to come again: %r", request.method, request.url.path, error)
        return problem_response(503, detail, kind="unavailable", headers={"Retry-After": str(RETRY_AFTER)})

    return handler


async def _invalid_input(_: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidInput)
    return invalid(error.problems)


async def _bad_trigger(_: Request, error: Exception) -> Response:
    assert isinstance(error, TriggerError)
    return invalid([Problem(error.field if error.field in ("trigger", "after") else f"trigger.{error.field}", error.message)])


async def _unstorable(_: Request, error: Exception) -> Response:
    return problem_response(422, f"Postgres cannot take a value: {error}", kind="invalid-input")


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem_response(error.status_code, error.detail, headers=error.headers)


async def _bug(_: Request, __: Exception) -> Response:
    return problem_response(500, "this is an error of the server; its log has the details", kind="internal-error")


async def _invalid_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found: list[Problem] = []
    for item in error.errors():
        if item["type"] == "json_invalid":
            return problem_response(
                400, f"the body is not JSON: {item['ctx']['error']} at character {item['loc'][-1]}", kind="not-json"
            )
        found += _problems_in(item)
    return invalid(found)


def _problems_in(item: dict[str, Any]) -> list[Problem]:
    if item["type"] == "invalid_input":
        return [Problem(field, message) for field, message in item["ctx"]["problems"]]
    where, *path = item["loc"]
    field = ".".join(str(part) for part in path)
    if item["type"] == "missing":
        return [Problem(field, "is required" if field else "the request needs a body: a JSON object")]
    if where == "body" and not field:
        return [Problem("", "the body must be a JSON object, sent with Content-Type: application/json")]
    if item["type"] == "extra_forbidden":
        return [Problem(field, "is not a field of this body")]
    message: str = item["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return [Problem(field, message)]
