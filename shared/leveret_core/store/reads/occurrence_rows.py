"""What reads of occurrences give."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from leveret_core.store.rows import Row


class OccurrenceRow(Row, frozen=True):
    """An occurrence, as lists have it. `progress` and `error` are JSON text."""

    id: int
    job_id: int
    job_name: str
    job_version: int
    type: str
    origin: str
    scheduled_for: datetime
    state: str
    reason: str | None
    blocker_id: int | None
    missed_count: int | None
    missed_until: datetime | None
    attempt: int
    max_attempts: int
    lost_count: int
    worker_id: UUID | None
    worker_name: str | None
    progress: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration: float | None
    retry_at: datetime | None
    requeue_of: int | None
    concurrency_key: str
    priority: int
    backfill_id: int | None
    resolution: str | None
    error: str | None


class OccurrenceDetailRow(OccurrenceRow, frozen=True):
    """An occurrence with everything known about it. `checkpoint`, `payload` and `result` are JSON text."""

    snoozed_count: int
    checkpoint: str | None
    payload: str
    result: str | None
    idempotency_key: str | None
    rung: bool
    requeued_as: int | None


class AttemptRow(Row, frozen=True):
    """An attempt. `error` is JSON text."""

    attempt: int
    state: str
    worker_id: UUID | None
    worker_name: str | None
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None


class LogRow(Row, frozen=True):
    """A log record. `fields` is JSON text."""

    attempt: int
    seq: int
    at: datetime
    level: str
    message: str
    fields: str | None


class WaitingRow(Row, frozen=True):
    """What stands between a pending occurrence and a worker, as far as the tables know it.

    `count` and `per` are of its type's rate limit, `key_…` of the limit by key; `workers` serve its type, `free` of them may
    take something.
    """

    type: str
    told: bool
    deferred_until: datetime | None
    count: int | None
    per: float | None
    key_count: int | None
    key_per: float | None
    key_path: str | None
    key_value: str | None
    key_ready_at: datetime | None
    in_queue: bool | None
    unanswered: int
    workers: int
    free: int
