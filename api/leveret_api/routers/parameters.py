"""Parameters that several routes share."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Header, Path, Query, Response
from pydantic import Field

from leveret_api.cursors import CURSOR
from leveret_api.schemas.texts import Text
from leveret_core.errors import InvalidInput
from leveret_core.store.jobs.refs import JobRef, job_ref
from leveret_core.store.reads.pages import MAX_LIMIT

_ETAG = r'^(\*|[0-9]{1,9}|(W/)?"[0-9]{1,9}")$'
_NUMBER = re.compile(r"[0-9]+")

ACTOR = "api"
"""Who acts, in the audit, until requests carry a name."""


Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Items in the page, at most.")]
Cursor = Annotated[
    Annotated[str, Field(json_schema_extra={"pattern": f"^{CURSOR}$"})] | None,
    Query(description="The `next_cursor` of the page before."),
]
OccurrenceId = Annotated[int, Path(ge=1, lt=2**63, alias="id")]


async def _job_ref(ref: Annotated[Text, Path(description="Id or name of a job.")]) -> JobRef:
    return job_ref(ref)


JobRefDep = Annotated[JobRef, Depends(_job_ref)]


async def _if_match(
    if_match: Annotated[
        Annotated[str, Field(json_schema_extra={"pattern": _ETAG})] | None,
        Header(alias="If-Match", description="The ETag of the job as you know it; another one answers 412."),
    ] = None,
) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    number = _NUMBER.search(if_match)
    if number is None or not re.fullmatch(_ETAG, if_match.strip()):
        raise InvalidInput.at("If-Match", 'must be a job\'s ETag, like "3"')
    return int(number[0])


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
