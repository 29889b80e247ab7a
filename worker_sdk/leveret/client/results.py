"""What the client answers with. Fields that a newer server adds are left out."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from leveret_core.messages import JobError
from leveret_core.states import FINAL, State


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as the server has it. Times are in UTC."""

    id: int
    name: str
    type: str
    version: int
    trigger: dict[str, Any]
    payload: dict[str, Any]
    description: str
    tags: list[str]
    paused: bool
    pause_reason: str | None
    next_fire_at: datetime | None
    last_fire_at: datetime | None


class Occurrence(msgspec.Struct, frozen=True, kw_only=True):
    """One planned run. Times are in UTC, `duration` is in seconds.

    `payload`, `result` and `error` are filled in by `Client.occurrence` and `Client.wait`, and not by a trigger.
    """

    id: int
    job_id: int
    job_name: str
    type: str
    state: State
    reason: str | None
    scheduled_for: datetime
    attempt: int
    max_attempts: int
    worker_id: UUID | None
    worker_name: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration: float | None
    retry_at: datetime | None
    payload: dict[str, Any] | None = None
    result: Any = None
    error: JobError | None = None

    @property
    def final(self) -> bool:
        """Whether it has ended, however: its state will not change any more."""
        return self.state in FINAL

    @property
    def succeeded(self) -> bool:
        """Whether it ended well."""
        return self.state is State.SUCCEEDED


class Backfill(msgspec.Struct, frozen=True, kw_only=True):
    """Runs of a job for fire times of the past. Times are in UTC.

    Of `total` fire times `created` have an occurrence of this backfill, and `existing` had one before. `counts` tells how many
    of its occurrences are in each state. It is completed when all of them have ended.
    """

    id: int
    job_id: int
    job_name: str
    start_at: datetime
    end_at: datetime
    state: Literal["running", "completed", "cancelled"]
    reason: str | None
    total: int | None
    created: int
    existing: int
    counts: dict[State, int]
    created_at: datetime
    finished_at: datetime | None


class Triggered(msgspec.Struct, frozen=True):
    """What a bulk trigger answers."""

    items: list[Occurrence]
