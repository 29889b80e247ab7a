"""Cursors of pages: opaque to clients, the last key of the page before to us."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta

from leveret_core.errors import InvalidInput

CURSOR = "[A-Za-z0-9_-]{4,80}"
"""What cursors look like, but for those of logs."""
LOG_CURSOR = "[0-9]{1,9}:[0-9]{1,9}"

_ID = re.compile(rb"1:(\d{1,19})")
_TIME = re.compile(rb"2:(-?\d{1,18})")
_TIME_AND_ID = re.compile(rb"3:(-?\d{1,18}):(\d{1,18})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def encode_cursor(last: int | datetime | None) -> str | None:
    """The cursor of the page after the id or time `last`; None when there is none."""
    if last is None:
        return None
    body = b"1:%d" % last if isinstance(last, int) else b"2:%d" % ((last - _EPOCH) // _MICROSECOND)
    return base64.urlsafe_b64encode(body).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> int | None:
    """The id that `encode_cursor` was given.

    Raises:
        InvalidInput: it is not one of ours, or one of another listing.
    """
    if cursor is None:
        return None
    last_id = _number(cursor, _ID)
    if last_id >= 2**63:
        raise _wrong()
    return last_id


def decode_time_cursor(cursor: str | None) -> datetime | None:
    """The time that `encode_cursor` was given.

    Raises:
        InvalidInput: it is not one of ours, or one of another listing.
    """
    if cursor is None:
        return None
    try:
        return _EPOCH + _number(cursor, _TIME) * _MICROSECOND
    except OverflowError as error:
        raise _wrong() from error


def encode_end_cursor(last: tuple[datetime, int] | None) -> str | None:
    """The cursor of the page after what ended at a time and has an id; None when there is none."""
    if last is None:
        return None
    body = b"3:%d:%d" % ((last[0] - _EPOCH) // _MICROSECOND, last[1])
    return base64.urlsafe_b64encode(body).decode().rstrip("=")


def decode_end_cursor(cursor: str | None) -> tuple[datetime, int] | None:
    """The time and id that `encode_end_cursor` was given.

    Raises:
        InvalidInput: it is not one of ours, or one of another listing.
    """
    if cursor is None:
        return None
    match = _match(cursor, _TIME_AND_ID)
    try:
        return _EPOCH + int(match[1]) * _MICROSECOND, int(match[2])
    except OverflowError as error:
        raise _wrong() from error


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
    if not re.fullmatch(LOG_CURSOR, cursor):
        raise InvalidInput.at("after", "must be the attempt and seq of a log record, like 1:42")
    attempt, _, seq = cursor.partition(":")
    return int(attempt), int(seq)


def _number(cursor: str, form: re.Pattern[bytes]) -> int:
    return int(_match(cursor, form)[1])


def _match(cursor: str, form: re.Pattern[bytes]) -> re.Match[bytes]:
    if not re.fullmatch(CURSOR, cursor):
        raise _wrong()
    try:
        match = form.fullmatch(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError) as error:
        raise _wrong() from error
    if match is None:
        raise _wrong()
    return match


def _wrong() -> InvalidInput:
    return InvalidInput.at("cursor", "is not a cursor of this listing; use the next_cursor of the page before")
