"""What handlers hand over to be stored: results and checkpoints, as JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from leveret_core.text import DEPTH_LIMIT, nested_too_deep


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
    if nested_too_deep(encoded):
        raise ValueError(f"{what} is nested too deep; at most {DEPTH_LIMIT} levels are kept")
    if len(encoded) > limit:
        raise ValueError(f"{what} has {len(encoded)} bytes of JSON; at most {limit} are kept")
    return encoded


def _encode_foreign(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    # The word by which msgspec's hooks say that they cannot.
    raise NotImplementedError(f"{type(value).__name__} is not a JSON type")


_encode = msgspec.json.Encoder(enc_hook=_encode_foreign, decimal_format="string").encode
