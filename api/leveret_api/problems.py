"""RFC 9457 problem documents: what every error answer is made of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from starlette.responses import Response

from leveret_core.errors import Problem

MEDIA_TYPE = "application/problem+json"


def problem_response(
    status: int,
    detail: str,
    *,
    kind: str = "",
    errors: Sequence[Problem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An error answer.

    Args:
        status: the HTTP status.
        detail: what is wrong, and where possible what to do.
        kind: the last part of the problem's `type`; the status' phrase unless given.
        errors: one entry for each field at fault.
        headers: more headers of the answer.
    """
    phrase = HTTPStatus(status).phrase
    body = {
        "type": f"urn:leveret:{kind or phrase.lower().replace(' ', '-')}",
        "title": phrase,
        "status": status,
        "detail": detail,
        "errors": [{"field": error.field, "message": error.message} for error in errors],
    }
    # ASCII only: what a client sent may hold halves of surrogate pairs, which UTF-8 has no bytes for.
    return Response(json.dumps(body), status, headers=dict(headers or {}), media_type=MEDIA_TYPE)
