"""Backfills: fire times of the past that run on request."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from leveret_api.schemas.body import WHOLE, Body
from leveret_api.schemas.texts import Reason
from leveret_core.states import State
from leveret_core.store.backfills.commands import BackfillRow

_ZONE = "Without an offset it is wall time in the job's zone. Belongs to the range."


class BackfillRequest(Body):
    """Runs a job for its fire times from `start_at` to `end_at`, except those that have an occurrence already."""

    start_at: str = Field(description=_ZONE, examples=["2026-03-01T00:00:00Z"], json_schema_extra={"format": "date-time"})
    end_at: str = Field(
        description=f"Not in the future. {_ZONE}", examples=["2026-03-31T00:00:00Z"], json_schema_extra={"format": "date-time"}
    )
    concurrency: Literal["skip", "queue", "allow"] = Field(
        default="queue",
        description="What a fire time does while `max_concurrent` others of the backfill are live. "
        "The job's own occurrences do not count, nor do those of the backfill count for the job.",
    )
    max_concurrent: Annotated[int, Field(ge=1, le=10_000, description="Means nothing for `allow`."), WHOLE] = 1
    payload: dict[str, Any] | None = Field(
        default=None, description="Instead of the job's payload.", examples=[{"format": "csv"}]
    )


class BackfillCancelRequest(Body):
    """How a backfill is cancelled."""

    running: bool = Field(default=False, description="Cancel what runs, too.")
    reason: Reason | None = Field(default=None, examples=["wrong range"])


class Backfill(BaseModel):
    """A backfill and how far it is. It is completed when the last of its occurrences has ended, however that ended."""

    id: int
    job_id: int
    job_name: str
    start_at: datetime
    end_at: datetime
    concurrency: Literal["skip", "queue", "allow"]
    max_concurrent: int
    payload: dict[str, Any] | None
    state: Literal["running", "completed", "cancelled"]
    reason: str | None = Field(description="Why it was cancelled.")
    total: int | None = Field(description="Fire times in the range.")
    created: int = Field(description="Occurrences made so far.")
    existing: int = Field(description="Fire times passed over so far, because the job has an occurrence there already.")
    counts: dict[State, int] = Field(description="Its occurrences by state.")
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, row: BackfillRow) -> Backfill:
        """The backfill in a row."""
        payload = None if row.payload is None else json.loads(row.payload)
        return cls.model_validate(row.values() | {"payload": payload, "counts": json.loads(row.counts)})


class BackfillPage(BaseModel):
    """A page of backfills, newest first."""

    items: list[Backfill]
    next_cursor: str | None
