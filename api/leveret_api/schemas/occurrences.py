"""Occurrences, their attempts and their logs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from leveret_api.schemas.body import WHOLE, Body
from leveret_api.schemas.texts import IdempotencyKey, Reason
from leveret_core.states import State
from leveret_core.store.planned.runs import MAX_DELAY, MAX_RUNS
from leveret_core.store.reads.occurrence_rows import AttemptRow, LogRow, OccurrenceDetailRow, OccurrenceRow

MAX_ERROR_TYPE, MAX_ERROR_LINE = 200, 300
"""Characters of an error's type and of its first line, in lists."""


class Progress(BaseModel):
    """How far the attempt says it is."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    fraction: float
    message: str = ""


class ErrorSummary(BaseModel):
    """Why an attempt failed, in a line."""

    type: str
    message: str = Field(description="The first line of it, in lists.")


class AttemptError(ErrorSummary):
    """Why an attempt failed."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    message: str
    traceback: str = ""


class WaitsFor(BaseModel):
    """What a pending occurrence waits for."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    kind: Literal[
        "rate_limit", "key_limit", "no_worker", "busy_workers", "publish_window", "jitter", "dispatcher", "worker"
    ] = Field(
        description="`rate_limit` and `key_limit`: a limit of its type; `no_worker`: no live worker serves its type; "
        "`busy_workers`: all that do are busy; `publish_window`: enough others of its type wait for workers; `jitter`: its job "
        "spreads it; `dispatcher`: it is about to be told to workers; `worker`: they have been told, and none has taken it yet."
    )
    text: str = Field(description="The same for people, as goes on after `waits for`.", examples=["the rate limit 2 per 60 s"])
    until: datetime | None = Field(default=None, description="When it goes on at the earliest, where that is known.")


class Occurrence(BaseModel):
    """One planned run of a job."""

    id: int
    job_id: int
    job_name: str
    job_version: int
    type: str
    origin: Literal["schedule", "manual", "requeue", "backfill"]
    scheduled_for: datetime
    state: State
    reason: str | None
    blocker_id: int | None = Field(description="The occurrence that skipped or replaced this one, or that it waits for.")
    missed_count: int | None = Field(description="For `missed`: how many ticks this record stands for.")
    missed_until: datetime | None
    attempt: int
    max_attempts: int
    lost_count: int
    worker_id: UUID | None
    worker_name: str | None
    progress: Progress | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration: float | None = Field(description="Seconds from the start of the last attempt to its end.")
    retry_at: datetime | None
    requeue_of: int | None
    concurrency_key: str = Field(description="The value that the job's `concurrency_key` had; empty when there is none.")
    priority: int
    backfill_id: int | None = Field(description="The backfill it belongs to.")
    resolution: Literal["requeued", "discarded"] | None = Field(
        description="What was done about one that failed for good; null while it is a dead letter."
    )
    error: ErrorSummary | None = Field(description="Of the last attempt that failed.")

    @classmethod
    def of(cls, row: OccurrenceRow) -> Occurrence:
        """The occurrence in a row."""
        return cls.model_validate(row.values() | {"progress": _parsed(row.progress), "error": _summary(row.error)})


class Attempt(BaseModel):
    """One attempt at an occurrence."""

    attempt: int
    state: str = Field(
        description="`failed`, `timed_out`, `lost`, `released`, `snoozed`, or the occurrence's own for the last one."
    )
    worker_id: UUID | None
    worker_name: str | None
    started_at: datetime | None
    finished_at: datetime | None
    error: AttemptError | None


class OccurrenceDetail(Occurrence):
    """One planned run, with everything known about it."""

    snoozed_count: int = Field(description="Attempts that put it off; they do not count against the job's attempts.")
    checkpoint: Any = Field(description="What an attempt saved last, for the next one.")
    payload: dict[str, Any]
    result: Any
    error: AttemptError | None  # pyright: ignore[reportIncompatibleVariableOverride]
    idempotency_key: str | None
    attempts: list[Attempt] = Field(description="Oldest first, the current one included.")
    requeued_as: int | None = Field(description="The latest occurrence that repeats this one; null while none does.")
    waits_for: WaitsFor | None = Field(description="What keeps a `pending` one; null in other states.")
    rung: bool = Field(description="Whether workers have been told; false while it waits for its turn or for a worker.")

    @classmethod
    def detail(
        cls, row: OccurrenceDetailRow, attempts: Sequence[AttemptRow], waits_for: WaitsFor | None = None
    ) -> OccurrenceDetail:
        """The occurrence in a row, with the rows of its attempts."""
        values = row.values()
        parsed = {name: _parsed(values[name]) for name in ("progress", "checkpoint", "payload", "result", "error")}
        tried = [attempt.values() | {"error": _parsed(attempt.error)} for attempt in attempts]
        return cls.model_validate(values | parsed | {"attempts": tried, "waits_for": waits_for})


class OccurrencePage(BaseModel):
    """A page of occurrences, newest first. It can be short without being the last: only a null `next_cursor` says so."""

    items: list[Occurrence]
    next_cursor: str | None
    looked_at: int | None = Field(
        description="Set on a page that is short because so many were looked at and few matched: ask on with `next_cursor`."
    )


class LogRecord(BaseModel):
    """One log record of an attempt."""

    attempt: int
    seq: int
    at: datetime = Field(description="By the worker's own clock.")
    level: str
    message: str
    fields: dict[str, Any] | None


class LogPage(BaseModel):
    """Log records, oldest first. To follow a log, ask for those `after` the last one seen, as `attempt:seq`."""

    items: list[LogRecord]
    next_cursor: str | None

    @classmethod
    def of(cls, rows: Sequence[LogRow], next_cursor: str | None) -> LogPage:
        """The page of these rows."""
        items = [LogRecord.model_validate(row.values() | {"fields": _parsed(row.fields)}) for row in rows]
        return cls(items=items, next_cursor=next_cursor)


class _RunRequest(Body):
    payload: dict[str, Any] | None = Field(
        default=None, description="Instead of the usual payload.", examples=[{"to": "ann@example.org"}]
    )


_BOTH: JsonDict = {"required": ["at", "delay"], "properties": {"at": {"type": "string"}, "delay": {"type": "number"}}}


class TriggerRequest(_RunRequest):
    """Runs a job, now or later."""

    model_config = ConfigDict(json_schema_extra={"not": _BOTH})

    delay: float | None = Field(
        default=None, ge=0, le=MAX_DELAY, allow_inf_nan=False, description="Seconds from now until it is due.", examples=[600]
    )
    at: str | None = Field(
        default=None,
        description="When it is due, instead of `delay`: ISO 8601 with a zone. What is past is due now.",
        examples=["2030-01-01T08:00:00+01:00"],
        json_schema_extra={"format": "date-time"},
    )
    idempotency_key: IdempotencyKey | None = Field(
        default=None,
        description="A second request with the same key finds the first one's occurrence.",
        examples=["order-4711"],
    )
    priority: Annotated[int, Field(ge=0, le=9), WHOLE] | None = Field(default=None, description="Instead of the job's.")


class TriggerItem(TriggerRequest):
    """One of many runs."""

    job: str | Annotated[int, Field(ge=1, lt=2**63), WHOLE] = Field(
        description="Id or name of the job.", examples=["daily-report"]
    )


class BulkTriggerRequest(Body):
    """Runs of any jobs, in one transaction."""

    items: list[TriggerItem] = Field(min_length=1, max_length=MAX_RUNS)


class TriggeredList(BaseModel):
    """What stands for each item, in their order."""

    items: list[Occurrence]
    created: int = Field(description="How many of them are new; the others were found by their idempotency keys.")


class RequeueRequest(_RunRequest):
    """Runs an ended occurrence again, as a new one."""


class CancelRequest(Body):
    """Why an occurrence is cancelled."""

    reason: Reason | None = Field(default=None, examples=["wrong customer"])


def _summary(text: str | None) -> dict[str, str] | None:
    """Lists have it short already; the row of a single occurrence has all of it."""
    error = _parsed(text)
    if error is None:
        return None
    first, *_ = str(error["message"]).split("\n", 1)
    return {"type": str(error["type"])[:MAX_ERROR_TYPE], "message": first[:MAX_ERROR_LINE]}


def _parsed(text: str | None) -> Any:
    return None if text is None else json.loads(text)
