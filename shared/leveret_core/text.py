"""Text and JSON from outside, made storable: Postgres takes neither NUL characters nor lone surrogates, and has limits."""

from __future__ import annotations

import re

DEPTH_LIMIT = 200
"""Levels of arrays and objects in a value that is stored."""
NUMBER_DIGITS, NUMBER_EXPONENT = 10_000, 6_000
"""Characters and exponent of a number in JSON, at most: well within what jsonb can hold."""

_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2}))|.)", re.DOTALL
)
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_STRING = re.compile(rb'"(?:[^"\\]+|\\.)*+"', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
_SUSPECT_NUMBER = re.compile(rb"[0-9][eE]|[0-9]{1000}")
_NUMBER = re.compile(rb"[0-9.]+(?:[eE][+-]?0*([0-9]*))?")


def clean_text(text: str) -> str:
    """`text` without NUL characters and lone surrogates, each replaced by U+FFFD."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text) if not _is_unicode(text) else text


def clean_json(raw: bytes) -> bytes:
    """`raw` (JSON, well-formed or not) with what no reader takes in its strings replaced by U+FFFD.

    That is bytes that are not UTF-8, control characters that are not escaped, and escapes of NUL and of half a surrogate
    pair. What has none of it is returned as it is; nothing else changes.
    """
    if not raw.isascii():
        try:
            raw.decode()
        except UnicodeDecodeError:
            raw = raw.decode("utf-8", "replace").encode()
    if _CONTROL.search(raw):
        raw = _CONTROL.sub(rb"\\ufffd", raw)
    return _ESCAPE.sub(_storable, raw) if b"\\u" in raw else raw


def json_problem(raw: bytes) -> str:
    """Why Postgres could not store `raw` (JSON), in words for its author; empty when it can."""
    if nested_too_deep(raw):
        return f"is nested too deep; at most {DEPTH_LIMIT} levels are kept"
    if _SUSPECT_NUMBER.search(raw):
        for number in _NUMBER.finditer(_STRING.sub(b"", raw)):
            exponent = number[1] or b"0"
            if len(number[0]) > NUMBER_DIGITS or len(exponent) > 6 or int(exponent) > NUMBER_EXPONENT:
                return "holds a number that is too large to be stored"
    return ""


def nested_too_deep(raw: bytes) -> bool:
    """Whether `raw` (JSON) has more than `DEPTH_LIMIT` levels of arrays and objects."""
    if raw.count(b"[") + raw.count(b"{") <= DEPTH_LIMIT:
        return False
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub(b"", raw)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > DEPTH_LIMIT:
            return True
    return False


def _storable(escape: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if escape[1] else escape[0]


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
