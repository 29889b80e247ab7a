"""Text that Postgres refuses, made storable: NUL characters and lone surrogates."""

from __future__ import annotations

from typing import cast

import msgspec


def clean_text(text: str) -> str:
    """`text` without NUL characters and lone surrogates, each replaced by U+FFFD."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text


def clean_json(raw: bytes) -> bytes:
    """`raw` (JSON) with its strings cleaned; bytes without escapes are returned as they are.

    Raises:
        msgspec.DecodeError: it is not JSON.
    """
    if b"\\u" not in raw:
        return raw
    return msgspec.json.encode(_clean(msgspec.json.decode(raw)))


def _clean(value: object) -> object:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [_clean(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {clean_text(key): _clean(item) for key, item in cast("dict[str, object]", value).items()}
    return value
