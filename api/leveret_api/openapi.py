"""The OpenAPI document: FastAPI's, with our errors in place of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from leveret_api.problems import MEDIA_TYPE
from leveret_api.schemas.problem import ProblemDocument

TAGS = [
    {"name": "jobs", "description": "What to run, and when."},
    {"name": "schedules", "description": "When a trigger would be due."},
    {"name": "occurrences", "description": "Planned runs: what became of them, and what to do about them."},
    {"name": "backfills", "description": "Fire times of the past that run on request."},
    {"name": "dead letters", "description": "Occurrences that failed for good, until they are requeued or discarded."},
    {"name": "dead events", "description": "Events of workers that could not be applied."},
    {"name": "rate limits", "description": "How many occurrences of a type start within a time."},
    {"name": "system", "description": "Workers, the dispatcher, health."},
]
_EVERYWHERE = {
    "421": "The name in the Host header is not one of this server",
    "422": "A value is wrong; `errors` names every field at fault",
    "503": "Postgres is away; try again after Retry-After",
}
_WITH_BODY = {"400": "The body is not JSON", "413": "The body is too large"}
_OF_CHANGES = {
    "403": "It comes from a page of another site",
    "409": "Its state, another thing of that name, or a change at the same moment does not allow this",
}
_REF = {"$ref": "#/components/schemas/ProblemDocument"}


def describe(app: FastAPI, base_path: str = "") -> None:
    """Make the app's document show every error as a problem document, and the path that all addresses begin with.

    Args:
        app: whose document it is.
        base_path: such as `/leveret`; empty for none.
    """

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=TAGS,
                servers=[{"url": base_path}] if base_path else None,
            )
            app.openapi_schema = _with_problems(document)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers these errors, besides those that all of its kind do."""
    texts = {
        404: "There is no such thing",
        409: "Its state, or another thing of that name, does not allow this",
        412: "Its version is not that of If-Match",
        503: "Postgres or RabbitMQ is away; try again after Retry-After",
    }
    return {status: {"description": texts[status]} for status in statuses}


def _with_problems(document: dict[str, Any]) -> dict[str, Any]:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    model = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= model.pop("$defs") | {"ProblemDocument": model}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            answers: dict[str, Any] = operation["responses"]
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _without_null(parameter["schema"])
            answers.pop("422", None)
            for status, text in _refused_by_all(path, method, operation):
                answers.setdefault(status, {"description": text})
            for status, answer in answers.items():
                if status >= "400" and "content" not in answer:
                    answer["content"] = {MEDIA_TYPE: {"schema": _REF}}
    return document


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter's schema. What an address or a header does not have is left out: there `null` is a text like others."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return schema if len(choices) != 1 else choices[0] | rest


def _refused_by_all(path: str, method: str, operation: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Statuses, with what they mean, that a route answers because of what stands before all routes of its kind."""
    if not path.startswith("/api/"):
        return
    yield from _EVERYWHERE.items()
    if "requestBody" in operation:
        yield from _WITH_BODY.items()
    if method != "get":
        yield from _OF_CHANGES.items()
