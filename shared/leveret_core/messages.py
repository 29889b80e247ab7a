"""What servers and workers say to each other over RabbitMQ. docs/protocol.md tells it without Python.

Every body is a JSON object with a protocol version `v`. Unknown fields are ignored, so that a newer side can add some.
Times of day are never compared across machines: durations come from the worker, instants from Postgres.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from leveret_core.errors import LeveretError

PROTOCOL_VERSION = 1
MAX_MESSAGE_BYTES = 8 * 1024 * 1024
MAX_CHECKPOINT = 64 * 1024
"""Bytes of JSON in a checkpoint, at most."""


class BadMessage(LeveretError):
    """A body that is not JSON, not of this protocol version, or lacks a field."""


class Doorbell(msgspec.Struct, frozen=True, kw_only=True):
    """Tells whoever serves the type that an occurrence may be claimed. It carries no authority and no payload."""

    occurrence: int
    attempt: int
    type: str
    v: int = PROTOCOL_VERSION


# --- requests of workers, answered by the claim desk ------------------------------------------------------------------


class HandlerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One handler as announced: `schema` is the JSON Schema of its payload, when its type hints tell one."""

    pattern: str
    concurrency: int
    name: str = ""
    timeout: float | None = None
    schema: dict[str, Any] | None = None
    doc: str = ""


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="hello"):
    """The first words of a worker incarnation; repeated after `Unknown`."""

    worker: str
    name: str
    host: str
    pid: int
    sdk: str
    concurrency: int
    handlers: list[HandlerInfo]
    v: int = PROTOCOL_VERSION


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """The attempt of an occurrence that a worker wants to run: `[occurrence, attempt]`."""

    occurrence: int
    attempt: int


class Claim(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="claim"):
    """Asks for attempts. Asking again for the same one gets the same answer, however often."""

    worker: str
    asks: list[Ask]
    last_success: list[int] | UnsetType = UNSET
    """Occurrences among the asks whose handlers want to know about the last success of their job."""
    v: int = PROTOCOL_VERSION


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="heartbeat"):
    """Renews the worker's lease, and with it the claims of everything it runs."""

    worker: str
    running: int
    loop_lag: float = 0.0
    draining: bool = False
    v: int = PROTOCOL_VERSION


class Goodbye(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="goodbye"):
    """The incarnation ends. What it still holds is handed back without charging the attempt."""

    worker: str
    v: int = PROTOCOL_VERSION


class Declare(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="declare"):
    """Jobs that the code of a worker declares, each an object as `POST /api/v1/jobs` takes it. Repeating it changes nothing."""

    worker: str
    jobs: list[dict[str, Any]]
    v: int = PROTOCOL_VERSION


Request = Hello | Claim | Heartbeat | Goodbye | Declare


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="welcome"):
    """Answer to `Hello`: seconds the lease lasts, and seconds between heartbeats."""

    lease: float
    heartbeat: float
    server: str
    v: int = PROTOCOL_VERSION


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Answer to one `Ask`.

    `granted` carries all a handler needs. `stale` means that this attempt is over, cancelled or another worker's: drop the
    doorbell. `not_yet` means that it is not due: drop the doorbell too, it will be rung again.
    """

    occurrence: int
    attempt: int
    status: Literal["granted", "stale", "not_yet"]
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
    """Answers to the asks. One that is missing could not be answered just now: ask again."""

    answers: list[Answer]
    v: int = PROTOCOL_VERSION


class Alive(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="alive"):
    """Answer to `Heartbeat`: the lease now lasts `lease` seconds from when the heartbeat was sent; `cancel` must stop.

    With `drain` the worker is to end: somebody wants it to, and it does not say yet that it does.
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

# --- events of workers, applied by the ingestor -----------------------------------------------------------------------


class JobError(msgspec.Struct, frozen=True, kw_only=True):
    """Why an attempt failed: the exception's type, its text, and the traceback with the user's frames."""

    type: str
    message: str
    traceback: str = ""


class Progress(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="progress"):
    """How far the attempt is: `fraction` from 0 to 1."""

    occurrence: int
    attempt: int
    token: str
    seq: int
    fraction: float
    message: str = ""


class Log(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="log"):
    """One log record of the attempt; `at` is the worker's own clock, for show."""

    occurrence: int
    attempt: int
    token: str
    seq: int
    at: datetime
    level: Literal["debug", "info", "warning", "error", "critical"]
    message: str
    fields: dict[str, Any] | None = None


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="checkpoint"):
    """What the attempt has done so far, for the next one if there has to be one: any JSON. Only the latest is kept."""

    occurrence: int
    attempt: int
    token: str
    seq: int
    data: msgspec.Raw


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="finished"):
    """The attempt ended after `duration` seconds.

    `failed` and `timed_out` are retried by the job's policy unless `retry` is false; `retry_after` (seconds) overrides its
    delay. `released` hands the attempt back uncharged (the worker is draining). `skipped` ends the occurrence: there was
    nothing to run. `snoozed` puts it off by `retry_after` seconds, uncharged, `max_snoozes` times at most.
    """

    occurrence: int
    attempt: int
    token: str
    seq: int
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


# --- words of servers to workers --------------------------------------------------------------------------------------


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="cancel"):
    """Stop this attempt if you run it. Repeated in answers to heartbeats until the attempt ends."""

    worker: str
    occurrence: int
    attempt: int
    v: int = PROTOCOL_VERSION


class Drain(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="drain"):
    """Take nothing more, finish what runs, then end."""

    worker: str
    v: int = PROTOCOL_VERSION


Control = Cancel | Drain

encode = msgspec.json.Encoder(decimal_format="string").encode
"""Any message → JSON bytes."""

_Message = TypeVar("_Message", Doorbell, Request, Reply, Events, Control)

_doorbell = msgspec.json.Decoder(Doorbell)
_request: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_reply: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)
_events = msgspec.json.Decoder(Events)
_control: msgspec.json.Decoder[Control] = msgspec.json.Decoder(Control)


def decode_doorbell(body: bytes) -> Doorbell:
    """Raises `BadMessage`, as do all decoders here."""
    return _checked(_doorbell, body)


def decode_request(body: bytes) -> Request:
    """The request in `body`."""
    return _checked(_request, body)


def decode_reply(body: bytes) -> Reply:
    """The reply in `body`."""
    return _checked(_reply, body)


def decode_events(body: bytes) -> Events:
    """The batch of events in `body`."""
    return _checked(_events, body)


def decode_control(body: bytes) -> Control:
    """The word to workers in `body`."""
    return _checked(_control, body)


def _checked(decoder: msgspec.json.Decoder[_Message], body: bytes) -> _Message:
    if len(body) > MAX_MESSAGE_BYTES:
        raise BadMessage(f"{len(body)} bytes; at most {MAX_MESSAGE_BYTES} are read")
    try:
        message = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(str(error)) from error
    if message.v != PROTOCOL_VERSION:
        raise BadMessage(f"protocol version {message.v}; this side speaks {PROTOCOL_VERSION}")
    return message
