"""What workers report of attempts, for the ingestor to apply."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from leveret_core.messages.fields import AttemptNumber, OccurrenceId, Seq
from leveret_core.messages.version import PROTOCOL_VERSION

MAX_CHECKPOINT = 64 * 1024
"""Bytes of JSON in a checkpoint, at most."""


class JobError(msgspec.Struct, frozen=True, kw_only=True):
    """Why an attempt failed: the exception's type, its text, and the traceback with the user's frames."""

    type: str
    message: str
    traceback: str = ""


class Progress(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="progress"):
    """How far the attempt is: `fraction` from 0 to 1."""

    occurrence: OccurrenceId
    attempt: AttemptNumber
    token: str
    seq: Seq
    fraction: float
    message: str = ""


class Log(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="log"):
    """One log record of the attempt; `at` is the worker's own clock, for show."""

    occurrence: OccurrenceId
    attempt: AttemptNumber
    token: str
    seq: Seq
    at: Annotated[datetime, Meta(tz=True)]
    level: Literal["debug", "info", "warning", "error", "critical"]
    message: str
    fields: dict[str, Any] | None = None


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="checkpoint"):
    """What the attempt has done so far, for the next one if there has to be one: any JSON. Only the latest is kept."""

    occurrence: OccurrenceId
    attempt: AttemptNumber
    token: str
    seq: Seq
    data: msgspec.Raw


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="finished"):
    """The attempt ended after `duration` seconds.

    `failed` and `timed_out` are retried by the job's policy unless `retry` is false; `retry_after` (seconds) overrides its
    delay. `released` hands the attempt back uncharged (the worker is draining). `skipped` ends the occurrence: there was
    nothing to run. `snoozed` puts it off by `retry_after` seconds, uncharged, `max_snoozes` times at most.
    """

    occurrence: OccurrenceId
    attempt: AttemptNumber
    token: str
    seq: Seq
    outcome: Literal["succeeded", "failed", "timed_out", "cancelled", "released", "skipped", "snoozed"]
    duration: float
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: JobError | None = None
    retry: bool = True
    retry_after: float | None = None
    max_snoozes: int | UnsetType = UNSET


Event = Progress | Log | Checkpoint | Finished


class Events(msgspec.Struct, frozen=True, kw_only=True):
    """A batch of events of one worker, in the order they happened."""

    worker: str
    events: list[Event]
    v: int = PROTOCOL_VERSION
