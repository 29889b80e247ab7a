"""Requests as servers take them: from outside, so that what is wrong in one costs only that one, and says whose it was."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from leveret_core.messages.codec import BadMessage, decode_request, in_words
from leveret_core.messages.fields import MAX_ASKS, GivenName, MaybeSecret, OccurrenceId, WorkerId, one_line
from leveret_core.messages.requests import Ask, BadAsk, Hello, MarredClaim, Request
from leveret_core.messages.version import ACCEPTED_VERSIONS, PROTOCOL_VERSION

MAX_REQUEST_BYTES = {"hello": 256 * 1024, "claim": 256 * 1024, "declare": 8 * 1024 * 1024, "heartbeat": 512 * 1024}
"""Bytes of a request, at most, by its kind; of the others `MAX_SMALL_BYTES`."""
MAX_SMALL_BYTES = 64 * 1024


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """A request that says nothing: `reason` tells why; `kind`, `worker` and `name` as far as they can be read, or empty."""

    reason: str
    kind: str = ""
    worker: str = ""
    name: str = ""


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    kind: msgspec.Raw = msgspec.Raw(b"")
    worker: msgspec.Raw = msgspec.Raw(b"")
    name: msgspec.Raw = msgspec.Raw(b"")


class _Loose(msgspec.Struct, frozen=True, kw_only=True):
    """A claim whose asks are looked at one by one."""

    worker: WorkerId
    asks: list[msgspec.Raw]
    last_success: list[msgspec.Raw] | UnsetType = UNSET
    types: list[msgspec.Raw] | UnsetType = UNSET
    secret: MaybeSecret = ""
    v: int = PROTOCOL_VERSION


_head = msgspec.json.Decoder(_Head)
_text = msgspec.json.Decoder(str)
_loose = msgspec.json.Decoder(_Loose)
_ask = msgspec.json.Decoder(Ask)
_type: msgspec.json.Decoder[str] = msgspec.json.Decoder(GivenName)
_numbers = msgspec.json.Decoder(tuple[int, int])
_id: msgspec.json.Decoder[int] = msgspec.json.Decoder(OccurrenceId)

_FAILURES = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def take_request(body: bytes) -> Request | Unreadable:
    """The request in `body`. Of a claim with bad asks the good ones are there: it is a `MarredClaim`. Never raises."""
    head = Unreadable(reason="")
    if len(body) > MAX_SMALL_BYTES:
        head = _head_of(body)
        limit = MAX_REQUEST_BYTES.get(head.kind, MAX_SMALL_BYTES)
        if len(body) > limit:
            reason = f"{len(body)} bytes; a {head.kind or 'request'} has at most {limit}"
            return msgspec.structs.replace(head, reason=reason)
    try:
        request = decode_request(body)
        if not isinstance(request, Hello) or request.secret:
            return request
        reason = "Object missing required field `secret`"
    except BadMessage as error:
        reason = str(error)
    head = _head_of(body)
    if head.kind == "claim":
        try:
            return _piecemeal(body)
        except BadMessage as error:
            reason = str(error)
    return msgspec.structs.replace(head, reason=reason)


def _piecemeal(body: bytes) -> MarredClaim:
    try:
        loose = _loose.decode(body)
    except _FAILURES as error:
        raise BadMessage(in_words(error)) from error
    if loose.v not in ACCEPTED_VERSIONS:
        raise BadMessage(f"protocol version {loose.v}; this side speaks {PROTOCOL_VERSION}")
    if len(loose.asks) > MAX_ASKS:
        raise BadMessage(f"{len(loose.asks)} asks; a claim has at most {MAX_ASKS} - at `$.asks`")
    told = [None] * len(loose.asks) if isinstance(loose.types, UnsetType) else loose.types
    if len(told) != len(loose.asks):
        raise BadMessage(f"{len(told)} types for {len(loose.asks)} asks - at `$.types`")
    asks: list[Ask] = []
    types: list[str] = []
    bad: list[BadAsk] = []
    for position, (raw, job_type) in enumerate(zip(loose.asks, told, strict=True)):
        field = "asks"
        try:
            ask = _ask.decode(raw)
            field = "types"
            if job_type is not None:
                types.append(_type.decode(job_type))
            asks.append(ask)
        except _FAILURES as error:
            bad.append(BadAsk(position, in_words(error).replace("`$", f"`$.{field}[{position}]"), _numbers_of(raw)))
    known = {ask.occurrence for ask in asks}
    wanted = () if isinstance(loose.last_success, UnsetType) else loose.last_success
    history = [id_ for raw in wanted if (id_ := _id_of(raw)) in known]
    return MarredClaim(
        worker=loose.worker,
        secret=loose.secret,
        asks=asks,
        types=UNSET if loose.types is UNSET else types,
        last_success=history or UNSET,
        bad=bad,
    )


def _head_of(body: bytes) -> Unreadable:
    try:
        head = _head.decode(body)
    except _FAILURES:
        return Unreadable(reason="")
    return Unreadable(reason="", kind=_short(head.kind), worker=_short(head.worker), name=_short(head.name))


def _short(raw: msgspec.Raw) -> str:
    try:
        return one_line(_text.decode(raw), 64)
    except _FAILURES:
        return ""


def _numbers_of(raw: msgspec.Raw) -> tuple[int, int] | None:
    try:
        numbers = _numbers.decode(raw)
    except _FAILURES:
        return None
    # What cannot be written back as JSON numbers is told by its position alone.
    return numbers if all(-(2**63) <= number < 2**64 for number in numbers) else None


def _id_of(raw: msgspec.Raw) -> int:
    try:
        return _id.decode(raw)
    except _FAILURES:
        return 0
