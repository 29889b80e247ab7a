"""What the claim desk answers workers."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from leveret_core.messages.requests import Ask
from leveret_core.messages.version import PROTOCOL_VERSION


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="welcome"):
    """Answer to `Hello`: seconds the lease lasts, and seconds between heartbeats."""

    lease: float
    heartbeat: float
    server: str
    v: int = PROTOCOL_VERSION


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Answer to one `Ask`.

    `granted` carries all a handler needs. `stale` means that this attempt is over, cancelled or another worker's: drop the
    dispatch message. `not_yet` means that it is not due: drop the dispatch message too, it will be published again.
    `cancelled` means that it was granted to this worker, which may not have heard, and has been cancelled since: do not begin
    it, and tell that it ended.
    The two numbers are those of the ask, whatever they are.
    """

    occurrence: int
    attempt: int
    status: Literal["granted", "stale", "not_yet", "cancelled"]
    token: str = ""
    type: str = ""
    job: str = ""
    job_id: int = 0
    job_version: int = 0
    payload: msgspec.Raw = msgspec.Raw(b"{}")
    scheduled_for: datetime | None = None
    timeout: float | None = None
    max_attempts: int = 1
    checkpoint: msgspec.Raw | UnsetType = UNSET
    """What an earlier attempt saved last."""
    last_success_at: datetime | None = None
    """For an ask in `last_success`: what the latest success of the job before this occurrence was scheduled for."""


class Claimed(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="claimed"):
    """Answers to the asks. One that is missing could not be answered just now: ask again.

    `problems` are texts for people: each names an ask by its position, and what is wrong with it. Asking again is no help.
    """

    answers: list[Answer]
    problems: list[str] = []
    v: int = PROTOCOL_VERSION


class Alive(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="alive"):
    """Answer to `Heartbeat`: the lease now lasts `lease` seconds from when the heartbeat was sent; `cancel` must stop.

    With `drain` the worker is to end: a user wants it to, and it does not say yet that it does.
    """

    lease: float
    cancel: list[Ask] = []
    drain: bool = False
    v: int = PROTOCOL_VERSION


class Unknown(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="unknown"):
    """The desk does not know the worker, or has declared it lost: all its claims are void. Say hello with a new id."""

    reason: str = ""
    v: int = PROTOCOL_VERSION


class Bye(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="bye"):
    """Answer to `Goodbye`: how many occurrences were handed back."""

    released: int
    v: int = PROTOCOL_VERSION


class DeclaredJob(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one declared job. `superseded`: workers of a newer release declare it otherwise, and theirs holds."""

    name: str
    result: Literal["created", "updated", "unchanged", "superseded"]


class Declared(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="declared"):
    """Answer to `Declare`, in the order of its jobs. With `problems`, a text for each wrong field, nothing was changed."""

    jobs: list[DeclaredJob] = []
    problems: list[str] = []
    v: int = PROTOCOL_VERSION


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="refused"):
    """The request was wrong, and repeating it will not help."""

    reason: str
    v: int = PROTOCOL_VERSION


Reply = Welcome | Claimed | Alive | Unknown | Bye | Declared | Refused
