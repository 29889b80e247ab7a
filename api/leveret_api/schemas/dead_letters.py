"""Dead letters: occurrences that failed for good, until they are requeued or discarded."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from leveret_api.schemas.body import WHOLE, Body, Moment
from leveret_api.schemas.occurrences import AttemptError, Occurrence
from leveret_api.schemas.texts import Part, Reason
from leveret_core.store.dead_letters.commands import COUNTED, MAX_AT_ONCE
from leveret_core.store.reads.occurrence_rows import OccurrenceRow

Id = Annotated[int, Field(ge=1, lt=2**63), WHOLE]
JobId = Annotated[int, Field(json_schema_extra={"minimum": 1, "maximum": 2**63 - 1})]


class DeadLetter(Occurrence):
    """An occurrence that failed for good. Its traceback, payload and attempts are those of the occurrence."""

    error: AttemptError | None  # pyright: ignore[reportIncompatibleVariableOverride]

    @classmethod
    def of(cls, row: OccurrenceRow) -> DeadLetter:
        """The dead letter in a row."""
        values = row.values()
        parsed = {name: None if values[name] is None else json.loads(values[name]) for name in ("progress", "error")}
        return cls.model_validate(values | parsed)


class DeadLetterPage(BaseModel):
    """A page of dead letters, the last to end first. A short page need not be the last: see `next_cursor`."""

    items: list[DeadLetter]
    next_cursor: str | None


class DeadLetterFilter(Body):
    """Which dead letters; what is left out lets all pass, and so does an empty filter."""

    job: Part | JobId | None = Field(
        default=None, description="Id of a job, which may be deleted, or the name of one that exists.", examples=["digest"]
    )
    type: Part | None = Field(default=None, description="Exactly this type.")
    search: Part | None = Field(
        default=None, description="A part of the error's type or message, or of the reason.", examples=["ConnectionRefused"]
    )
    since: Moment | None = Field(default=None, description="Ended at this time or later; without an offset in UTC.")
    until: Moment | None = Field(default=None, description="Ended before this time; without an offset in UTC.")


def _either(*choices: tuple[str, str]) -> JsonDict:
    """JSON Schema: exactly one of these fields, each of a type, is there and not null."""
    return {"oneOf": [{"required": [name], "properties": {name: {"type": kind}}} for name, kind in choices]}


class _Chosen(Body):
    model_config = ConfigDict(json_schema_extra=_either(("filter", "object"), ("ids", "array")))

    filter: DeadLetterFilter | None = Field(default=None, description="Those it lets pass; goes without `ids`.")
    ids: list[Id] | None = Field(
        default=None, max_length=MAX_AT_ONCE, description="These; those that are no dead letters are passed over."
    )
    limit: Annotated[int, Field(ge=1, le=MAX_AT_ONCE, description="How many in this call, at most."), WHOLE] = 100
    dry_run: bool = Field(default=False, description="Only tell which ones it would be.")


class DeadLetterRequeue(_Chosen):
    """Requeues dead letters, those that ended first going first."""

    payload: dict[str, Any] | None = Field(default=None, description="For all of them, instead of their own.")
    payload_patch: dict[str, Any] | None = Field(
        default=None,
        description="JSON merge patch (RFC 7396) of each payload: null takes a name out.",
        examples=[{"server": "mail2.example.org", "debug": None}],
    )
    queue: bool = Field(
        default=False,
        description="What a job with the policy `skip` takes no more of just now waits in its concurrency queue.",
    )


class DeadLetterDiscard(_Chosen):
    """Takes dead letters out of the view."""

    reason: Reason | None = Field(default=None, description="For the audit.", examples=["the customers were told"])


class RefusedRequeue(BaseModel):
    """A dead letter that stays one, and why."""

    id: int
    reason: str


class _Dealt(BaseModel):
    ids: list[int] = Field(description="The dead letters it was; in a dry run, those it would try.")
    remaining: int = Field(description=f"How many of those chosen are dead letters still; counted up to {COUNTED}.")


class DeadLettersRequeued(_Dealt):
    """What was requeued. Ask again while some remain, and something was requeued."""

    requeued: int
    refused: list[RefusedRequeue] = Field(
        description="Some that stay although chosen: their job lets no more run just now, or the payload is too large."
    )


class DeadLettersDiscarded(_Dealt):
    """What was discarded. Ask again while some remain."""

    discarded: int
