"""What bodies of requests have in common."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


class Body(BaseModel):
    """A body without any fields but its own, each of the type that the document names: 0 is not false, `"5"` is no number."""

    model_config = ConfigDict(extra="forbid", strict=True)


def _whole(value: object) -> object:
    # JSON has one kind of numbers: 5.0 is an integer.
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
"""Of an integer in a body; comes after its bounds in the annotation."""


def _written(value: object) -> object:
    # Pydantic would take a number, or one in a text, for seconds since 1970.
    if isinstance(value, str) and not _DATE.match(value):
        raise ValueError("must be a time as in ISO 8601, such as 2026-01-31T06:00:00Z")
    if not isinstance(value, str | datetime):
        raise ValueError("must be a text: a time as in ISO 8601, such as 2026-01-31T06:00:00Z")
    return value


Moment = Annotated[datetime, BeforeValidator(_written), Field(strict=False)]
"""A time; one without an offset is in UTC (`routers.parameters.instant`)."""
