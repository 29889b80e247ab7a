"""Parameters that several routes share."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Header, Path, Query, Response
from pydantic import AfterValidator

from leveret_core.errors import InvalidInput
from leveret_core.payload import text_problem
from leveret_core.store.jobs import JobRef, job_ref
from leveret_core.store.reads import MAX_LIMIT

_VERSION = re.compile(r'(?:W/)?"?(\d{1,9})"?')
_MAX_REASON = 1_000
_MAX_KEY = 200

ACTOR = "api"
"""Who acts, in the audit, until requests carry a name."""


def _storable(text: str) -> str:
    if problem := text_problem(text):
        raise ValueError(problem)
    return text


Text = Annotated[str, AfterValidator(_storable)]
"""A text that Postgres takes."""
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Items in the page, at most.")]
Cursor = Annotated[str | None, Query(description="The `next_cursor` of the page before.")]
OccurrenceId = Annotated[int, Path(ge=1, lt=2**63, alias="id")]


async def _job_ref(ref: Annotated[Text, Path(description="Id or name of a job.")]) -> JobRef:
    return job_ref(ref)


JobRefDep = Annotated[JobRef, Depends(_job_ref)]


async def _if_match(
    if_match: Annotated[str | None, Header(description="The ETag of the job as you know it; another one answers 412.")] = None,
) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    match = _VERSION.fullmatch(if_match.strip())
    if match is None:
        raise InvalidInput.at("If-Match", 'must be a job\'s ETag, like "3"')
    return int(match[1])


IfMatch = Annotated[int | None, Depends(_if_match)]


def instant(field: str, at: datetime | None) -> datetime | None:
    """A time as it is stored; without an offset it is in UTC.

    Raises:
        InvalidInput: in UTC it is outside the years 1 to 9999.
    """
    if at is None:
        return None
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError as error:
        raise InvalidInput.at(field, "is outside the years 1 to 9999") from error


def tag(response: Response, version: int) -> None:
    """Give an answer the ETag of a job's version."""
    response.headers["ETag"] = f'"{version}"'


def checked_reason(reason: str | None) -> str | None:
    """A reason that can be stored and shown.

    Raises:
        InvalidInput: it is too long or holds what Postgres cannot store.
    """
    return _checked(reason, "reason", _MAX_REASON)


def checked_key(key: str | None, field: str) -> str | None:
    """An idempotency key.

    Raises:
        InvalidInput: it is empty or too long, or holds what Postgres cannot store.
    """
    if key == "":
        raise InvalidInput.at(field, "may not be empty")
    return _checked(key, field, _MAX_KEY)


def _checked(text: str | None, field: str, longest: int) -> str | None:
    if text is not None:
        if len(text) > longest:
            raise InvalidInput.at(field, f"has {len(text)} characters; at most {longest} are allowed")
        if problem := text_problem(text):
            raise InvalidInput.at(field, problem)
    return text
