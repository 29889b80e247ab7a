"""Messages to bytes and back."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from leveret_core.errors import LeveretError
from leveret_core.messages.events import Events
from leveret_core.messages.fields import WORDS, one_line
from leveret_core.messages.replies import Reply
from leveret_core.messages.requests import Request
from leveret_core.messages.version import ACCEPTED_VERSIONS, PROTOCOL_VERSION
from leveret_core.messages.words import Control, DispatchMessage

MAX_MESSAGE_BYTES = 8 * 1024 * 1024


class BadMessage(LeveretError):
    """A body that is not JSON, not of this protocol version, or lacks a field."""


encode = msgspec.json.Encoder(decimal_format="string").encode
"""Any message → JSON bytes."""

_Message = TypeVar("_Message", DispatchMessage, Request, Reply, Events, Control)

_dispatch = msgspec.json.Decoder(DispatchMessage)
_request: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_reply: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)
_events = msgspec.json.Decoder(Events)
_control: msgspec.json.Decoder[Control] = msgspec.json.Decoder(Control)


def decode_dispatch(body: bytes) -> DispatchMessage:
    """Raises `BadMessage`, as do all decoders here."""
    return _checked(_dispatch, body)


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
        raise BadMessage(in_words(error)) from error
    if message.v not in ACCEPTED_VERSIONS:
        raise BadMessage(f"protocol version {message.v}; this side speaks {PROTOCOL_VERSION}")
    return message


def in_words(error: Exception) -> str:
    """What is wrong with a message, in one short line that names the field."""
    text = str(error)
    for expression, meaning in WORDS.items():
        text = text.replace(f"matching regex {expression!r}", meaning)
    return one_line(text)
