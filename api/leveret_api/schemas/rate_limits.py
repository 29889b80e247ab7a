"""Limits on how many occurrences of a job type start within a time."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from leveret_api.schemas.body import WHOLE, Body
from leveret_core.job_rules import MAX_PATH
from leveret_core.store.rate_limits.limits import MAX_COUNT, MAX_PER, MIN_PER


class RateLimitPut(Body):
    """At most `count` at once, and from then on `count` in every `per` seconds, evenly."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    count: Annotated[int, Field(ge=1, le=MAX_COUNT, examples=[100]), WHOLE]
    per: float = Field(default=1.0, ge=MIN_PER, le=MAX_PER, description="Seconds.", examples=[60])


class RateLimit(RateLimitPut):
    """The limit of a job type."""

    type: str = Field(examples=["sendemail.welcome"])


class KeyLimitPut(RateLimitPut):
    """The same for each value at `key` in the payloads apart."""

    key: str = Field(min_length=1, max_length=MAX_PATH, description="Dotted path into the payload.", examples=["customer.id"])


class KeyLimit(KeyLimitPut):
    """The limit by key of a job type."""

    type: str = Field(examples=["sendemail.welcome"])


class RateLimitList(BaseModel):
    """All limits, by type."""

    items: list[RateLimit]
    by_key: list[KeyLimit]
