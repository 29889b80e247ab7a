"""Errors as problem documents: one table for those raised on purpose, and FastAPI's own in the same form."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from leveret_api.json_body import DoubledKeys
from leveret_api.problems import problem_response
from leveret_core.errors import BrokerUnavailable, Conflict, InvalidInput, NotFound, Problem
from leveret_core.store.errors import DATABASE_ERRORS, is_data_error, is_unavailable, met_another_change
from leveret_core.store.jobs.changes import VersionMismatch
from leveret_core.triggers import TriggerError

log = logging.getLogger(__name__)

RETRY_AFTER = 2
"""Seconds after which a client may try again while a service is away."""

_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")

Handler = Callable[[Request, Exception], Awaitable[Response]]

# Error → status and kind; the text is the error's own.
_TABLE: tuple[tuple[type[Exception], int, str], ...] = (
    (NotFound, 404, "not-found"),
    (Conflict, 409, "conflict"),
    (VersionMismatch, 412, "version-mismatch"),
)


def install(app: FastAPI) -> None:
    """Make `app` answer every error with a problem document."""
    for error, status, kind in _TABLE:
        app.add_exception_handler(error, _told(status, kind))
    for error in DATABASE_ERRORS:
        app.add_exception_handler(error, _database)
    app.add_exception_handler(BrokerUnavailable, _broker_away)
    app.add_exception_handler(InvalidInput, _invalid_input)
    app.add_exception_handler(DoubledKeys, _invalid_input)
    app.add_exception_handler(TriggerError, _bad_trigger)
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


async def _database(request: Request, error: Exception) -> Response:
    if met_another_change(error):
        # What two requests, or a request and a run, do to the same rows: the later one is told, and finds the new state.
        log.warning("%s %s met another change: %r", request.method, request.url.path, error)
        return problem_response(409, "something else was changed at the same moment; look again", kind="conflict")
    if is_data_error(error):
        return problem_response(422, f"Postgres cannot take a value: {error}", kind="invalid-input")
    return _away(request, error, "Postgres does not answer; try again shortly")


async def _broker_away(request: Request, error: Exception) -> Response:
    return _away(request, error, "RabbitMQ does not answer; try again shortly")


def _away(request: Request, error: Exception, detail: str) -> Response:
    log.warning("%s %s was told to come again: %r", request.method, request.url.path, error)
    return problem_response(503, detail, kind="unavailable", headers={"Retry-After": str(RETRY_AFTER)})


async def _invalid_input(_: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidInput | DoubledKeys)
    return invalid(error.problems)


async def _bad_trigger(_: Request, error: Exception) -> Response:
    assert isinstance(error, TriggerError)
    return invalid(
        [Problem(error.field if error.field in ("trigger", "after", "until") else f"trigger.{error.field}", error.message)]
    )


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods(request))
    return problem_response(error.status_code, error.detail, headers=headers)


def _methods(request: Request) -> list[str]:
    """What all routes of the address take; the one that refused a method knows its own only."""
    asked = {"type": "http", "path": request.scope["path"], "root_path": request.scope.get("root_path", ""), "headers": []}
    return [
        method
        for method in _METHODS
        if any(route.matches(asked | {"method": method})[0] is Match.FULL for route in request.app.routes)
    ]


async def _bug(request: Request, error: Exception) -> Response:
    if is_unavailable(error):
        return await _database(request, error)
    return problem_response(500, "this is an error of the server; its log has the details", kind="internal-error")


async def _invalid_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found: list[Problem] = []
    for item in error.errors():
        if item["type"] == "json_invalid":
            return problem_response(
                400, f"the body is not JSON: {item['ctx']['error']} at character {item['loc'][-1]}", kind="not-json"
            )
        found += _problems_in(item, error.body)
    return invalid(_one_each(found))


def _problems_in(item: dict[str, Any], body: Any) -> list[Problem]:
    if item["type"] == "invalid_input":
        return [Problem(field, message) for field, message in item["ctx"]["problems"]]
    where, *path = item["loc"]
    field = ".".join(_way(path, body) if where == "body" else map(str, path))
    if item["type"] == "missing":
        return [Problem(field, "is required" if field else "the request needs a body: a JSON object")]
    if where == "body" and not field:
        return [Problem("", "the body must be a JSON object, sent with Content-Type: application/json")]
    if item["type"] == "extra_forbidden":
        return [Problem(field, "is not a field of this body")]
    message: str = item["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return [Problem(field, message)]


def _way(path: Sequence[str | int], value: Any) -> Iterator[str]:
    """The steps of a path that lead into a body; pydantic's has names of its own for the choices of a union, too."""
    for part in path:
        if isinstance(value, dict) and (part in value or part == path[-1]):
            yield str(part)
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int):
            yield str(part)
            value = value[part] if part < len(value) else None


def _one_each(problems: Sequence[Problem]) -> list[Problem]:
    """One problem for each field, with what each choice of a union says against its value."""
    told: dict[str, list[str]] = {}
    for problem in problems:
        told.setdefault(problem.field, []).append(problem.message)
    return [Problem(field, "; or ".join(dict.fromkeys(messages))) for field, messages in told.items()]
