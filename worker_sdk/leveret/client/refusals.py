"""What the client makes of answers that say no."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from leveret.errors import Conflict, InvalidInput, NotFound, Problem, Refused

if TYPE_CHECKING:
    import httpx


class _Problem(msgspec.Struct):
    detail: str = ""
    title: str = ""
    errors: list[dict[str, str]] = []


def refusal(answer: httpx.Response) -> NotFound | Conflict | InvalidInput | Refused:
    """The error for an answer of status 400 or more."""
    status = answer.status_code
    try:
        said = msgspec.json.decode(answer.content, type=_Problem)
    except msgspec.DecodeError:
        return Refused(f"{status} {answer.reason_phrase}", status)
    detail = said.detail or said.title or answer.reason_phrase
    if status == 404:
        return NotFound(detail)
    if status == 409:
        return Conflict(detail)
    if status in (400, 413, 422):
        fields = [Problem(each.get("field", ""), each.get("message", "")) for each in said.errors]
        return InvalidInput(fields or [Problem("", detail)])
    return Refused(detail, status)
