"""The OpenAPI document: FastAPI's, with our errors in place of its own."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from leveret_api.problems import MEDIA_TYPE
from leveret_api.schemas.problem import ProblemDocument

TAGS = [
    {"name": "jobs", "description": "What to run, and when."},
    {"name": "schedules", "description": "When a trigger would be due."},
    {"name": "occurrences", "description": "Planned runs: what became of them, and what to do about them."},
    {"name": "backfills", "description": "Fire times of the past that run because somebody asked for them."},
    {"name": "dead letters", "description": "Occurrences that failed for good and wait for somebody to deal with them."},
    {"name": "dead events", "description": "What workers sent and nobody could apply."},
    {"name": "rate limits", "description": "How many occurrences of a type start within a time."},
    {"name": "system", "description": "Workers, the dispatcher, health."},
]
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
    """The `responses` of a route that answers these errors, besides 422 and, for Postgres, 503, which all of them do."""
    texts = {
        404: "There is no such thing",
        409: "Its state, or another thing of that name, does not allow this",
        412: "Its version is not that of If-Match",
        413: "The body is too large",
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
        for operation in methods.values():
            answers: dict[str, Any] = operation["responses"]
            if path.startswith("/api/"):
                # Every one refuses query parameters that it does not have.
                answers.setdefault("422", {"description": ""})
                answers.setdefault("503", {"description": "Postgres is away; try again after Retry-After"})
            if "422" in answers:
                answers["422"] = {"description": "A value is wrong; `errors` names every field at fault"}
            for status, answer in answers.items():
                if status >= "400" and "content" not in answer:
                    answer["content"] = {MEDIA_TYPE: {"schema": _REF}}
    return document
