"""Cursors of pages: opaque to clients, the last id of the page before to us."""

from __future__ import annotations

import base64
import binascii
import re

from leveret_core.errors import InvalidInput

_CURSOR = re.compile(rb"1:(\d{1,19})")
_LOG_CURSOR = re.compile(r"(\d{1,9}):(\d{1,9})")


def encode_cursor(last_id: int | None) -> str | None:
    """The cursor of the page after `last_id`; None when there is none."""
    if last_id is None:
        return None
    return base64.urlsafe_b64encode(b"1:%d" % last_id).decode().rstrip("=")


def decode_cursor(cursor: str | None, field: str = "cursor") -> int | None:
    """The id that `encode_cursor` was given.

    Raises:
        InvalidInput: it is not one of ours.
    """
    if cursor is None:
        return None
    try:
        body = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (binascii.Error, ValueError) as error:
        raise _wrong(field) from error
    match = _CURSOR.fullmatch(body)
    if match is None or (last_id := int(match[1])) >= 2**63:
        raise _wrong(field)
    return last_id


def encode_log_cursor(attempt: int, seq: int) -> str:
    """The cursor of the log records after record `seq` of `attempt`. Clients may make it themselves, to follow a log."""
    return f"{attempt}:{seq}"


def decode_log_cursor(cursor: str | None) -> tuple[int, int]:
    """Attempt and seq of the record before the page; `(-1, 0)` for the first page.

    Raises:
        InvalidInput: it is not of the form `attempt:seq`.
    """
    if cursor is None:
        return -1, 0
    match = _LOG_CURSOR.fullmatch(cursor)
    if match is None:
        raise InvalidInput.at("after", "must be the attempt and seq of a log record, like 1:42")
    return int(match[1]), int(match[2])


def _wrong(field: str) -> InvalidInput:
    return InvalidInput.at(field, "is not a cursor; use the next_cursor of the page before")
