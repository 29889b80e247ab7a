"""Reads a batch of events one by one, so that one that is wrong costs only itself."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import msgspec

from leveret_core.messages.codec import MAX_MESSAGE_BYTES, BadMessage
from leveret_core.messages.events import Event, Finished, Log
from leveret_core.messages.fields import MAX_INT32, MAX_INT64
from leveret_core.messages.salvage import MAX_TOKENS, items, members
from leveret_core.messages.version import ACCEPTED_VERSIONS, PROTOCOL_VERSION
from leveret_core.text import clean_json, json_problem

_Value = TypeVar("_Value")

MAX_EVENTS = 10_000
"""Events in a message. Each costs its reading, and a bad one its place among the dead events, whatever its size."""


class UnknownVersion(BadMessage):
    """A body of a protocol version that this side does not speak."""


@dataclass(frozen=True, slots=True)
class GoodEvent:
    """An event within its ranges, and its bytes as they came."""

    event: Event
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class BadEvent:
    """An event that is wrong: its bytes, what is wrong, and whose it was as far as that can be read.

    Args:
        raw: the event as it came.
        reason: what is wrong, in words for the worker's author.
        ends: whether it was to end its attempt.
        occurrence: None when it cannot be read, as are the others.
        attempt: as its dispatch message said.
        token: of the claim.
        kind: `unreadable`, or `refused` when it can be read and cannot be stored.
    """

    raw: bytes = field(repr=False)
    reason: str
    ends: bool = False
    occurrence: int | None = None
    attempt: int | None = None
    token: str | None = None
    kind: Literal["unreadable", "refused"] = "unreadable"


@dataclass(frozen=True, slots=True)
class EventBatch:
    """What a message of the events queue says."""

    worker: uuid.UUID
    good: list[GoodEvent]
    bad: list[BadEvent]


class _Envelope(msgspec.Struct):
    worker: uuid.UUID
    events: list[msgspec.Raw]
    v: int = PROTOCOL_VERSION


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_event: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_FAULTS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def read_events(body: bytes) -> EventBatch:
    """The events in `body`, told apart into those within their ranges and the others.

    Raises:
        UnknownVersion: it is of another protocol version.
        BadMessage: it is no batch at all: too large, too many events, no object, or without a worker or a list of events.
    """
    worker, raws = _open(body)
    batch = EventBatch(worker, [], [])
    for raw in raws:
        read = read_event(raw)
        if isinstance(read, GoodEvent):
            batch.good.append(read)
        else:
            batch.bad.append(read)
    return batch


def sender(body: bytes) -> uuid.UUID | None:
    """The worker that a body names which is no batch, as far as it can be read."""
    return _value(members(body).get("worker"), uuid.UUID)


def read_event(raw: bytes) -> GoodEvent | BadEvent:
    """One event. Text that Postgres does not take is replaced; all else that is wrong makes it a bad one."""
    cleaned = clean_json(raw)
    if problem := json_problem(cleaned):
        return _bad(raw, problem)
    try:
        event = _decode_event.decode(cleaned)
    except _FAULTS as error:
        return _bad(raw, str(error))
    if problem := _problem(event):
        return _bad(raw, problem)
    return GoodEvent(event, raw)


def as_bad(good: GoodEvent, reason: str) -> BadEvent:
    """`good` turned out to be wrong after all, for `reason`."""
    event = good.event
    return BadEvent(
        good.raw, reason, isinstance(event, Finished), event.occurrence, event.attempt, _uuid(event.token), "refused"
    )


def _open(body: bytes) -> tuple[uuid.UUID, list[bytes]]:
    if len(body) > MAX_MESSAGE_BYTES:
        raise BadMessage(f"{len(body)} bytes; at most {MAX_MESSAGE_BYTES} are read")
    try:
        envelope = _decode_envelope(body)
    except _FAULTS as error:
        # One event with broken text, or nested without end, breaks the decoding of all.
        return _pry_open(body, error)
    _check_version(envelope.v)
    _check_count(len(envelope.events))
    return envelope.worker, [bytes(raw) for raw in envelope.events]


def _pry_open(body: bytes, error: Exception) -> tuple[uuid.UUID, list[bytes]]:
    parts = members(body, MAX_TOKENS)
    _check_version(_value(parts.get("v", b"1"), int))
    worker = _value(parts.get("worker"), uuid.UUID)
    events = parts.get("events", b"")
    if worker is None or not events.startswith(b"["):
        raise BadMessage(str(error) or type(error).__name__) from error
    found = items(events, MAX_EVENTS + 1)
    _check_count(len(found))
    return worker, found


def _check_count(count: int) -> None:
    if count > MAX_EVENTS:
        raise BadMessage(f"more than {MAX_EVENTS} events")


def _check_version(version: int | None) -> None:
    if version is not None and version not in ACCEPTED_VERSIONS:
        known = ", ".join(map(str, sorted(ACCEPTED_VERSIONS)))
        raise UnknownVersion(f"protocol version {version}; this side reads {known}")


def _problem(event: Event) -> str:
    if _uuid(event.token) is None:
        return "Expected a UUID - at `$.token`"
    if isinstance(event, Finished) and event.outcome == "snoozed" and event.retry_after is None:
        return "`snoozed` needs `retry_after`"
    if isinstance(event, Log) and not 2 <= event.at.year <= 9998:
        # An offset may move it out of what a computer can express.
        return "Expected a year from 2 to 9998 - at `$.at`"
    return ""


def _bad(raw: bytes, reason: str) -> BadEvent:
    parts = members(raw)
    return BadEvent(
        raw,
        reason or "it cannot be read",
        ends=_value(parts.get("kind"), str) == "finished",
        occurrence=_number(parts.get("occurrence"), MAX_INT64),
        attempt=_number(parts.get("attempt"), MAX_INT32),
        token=_uuid(_value(parts.get("token"), str) or ""),
    )


def _uuid(text: str) -> str | None:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None


def _number(raw: bytes | None, most: int) -> int | None:
    number = _value(raw, int)
    return number if number is not None and 1 <= number <= most else None


def _value(raw: bytes | None, type_: type[_Value]) -> _Value | None:
    try:
        return None if raw is None else msgspec.json.decode(raw, type=type_)
    except _FAULTS:
        return None
