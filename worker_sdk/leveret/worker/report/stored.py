"""What handlers hand over to be stored: results and checkpoints, as JSON."""

from __future__ import annotations

import re
from typing import Any

import msgspec

DEPTH_LIMIT = 200
"""Levels of arrays and objects. What a server cannot read takes the whole batch of events with it."""


def stored(value: object, what: str, limit: int) -> bytes:
    """`value` as JSON; pydantic models among it are stored as they dump themselves.

    Args:
        what: its name in errors, e.g. `the result`.
        limit: bytes, at most.

    Raises:
        TypeError: it is not JSON.
        ValueError: it is too large, or nested too deep.
    """
    try:
        encoded = _encode(value)
    except (TypeError, ValueError, RecursionError, NotImplementedError) as error:
        raise TypeError(f"{what} cannot be stored as JSON: {error}") from error
    if encoded.count(b"[") + encoded.count(b"{") > DEPTH_LIMIT and _depth(encoded) > DEPTH_LIMIT:
        raise ValueError(f"{what} is nested too deep; at most {DEPTH_LIMIT} levels are kept")
    if len(encoded) > limit:
        raise ValueError(f"{what} has {len(encoded)} bytes of JSON; at most {limit} are kept")
    return encoded


def _depth(encoded: bytes) -> int:
    deepest = depth = 0
    for bracket in re.findall(rb"[\[\]{}]", re.sub(rb'"(?:[^"\\]|\\.)*"', b"", encoded)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _encode_foreign(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    # The word by which msgspec's hooks say that they cannot.
    raise NotImplementedError(f"{type(value).__name__} is not a JSON type")


_encode = msgspec.json.Encoder(enc_hook=_encode_foreign, decimal_format="string").encode
