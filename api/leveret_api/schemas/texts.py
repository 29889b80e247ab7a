"""Texts in requests: as long as they may be, and of characters that Postgres can keep."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from leveret_core.errors import InvalidInput
from leveret_core.payload import text_problem

MAX_KEY = 200
"""Characters of an idempotency key."""


def _storable(text: str) -> str:
    if problem := text_problem(text):
        raise ValueError(problem)
    return text


Text = Annotated[str, AfterValidator(_storable)]
Part = Annotated[str, Field(max_length=500), AfterValidator(_storable)]
"""What a search looks for."""
Reason = Annotated[str, Field(max_length=1_000), AfterValidator(_storable)]
IdempotencyKey = Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": MAX_KEY})]
"""Checked by `checked_key`, together with all else of a run, so that every fault of many runs is told at once."""


def checked_key(key: str | None, field: str) -> str | None:
    """An idempotency key.

    Raises:
        InvalidInput: it is empty or too long, or holds what Postgres cannot store.
    """
    if key is None:
        return None
    if not 0 < len(key) <= MAX_KEY:
        raise InvalidInput.at(field, f"has {len(key)} characters; from 1 to {MAX_KEY} are allowed")
    if problem := text_problem(key):
        raise InvalidInput.at(field, problem)
    return key
