"""Payloads: JSON objects that Postgres can hold and a worker in any language can read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

from leveret_core.errors import InvalidInput, Problem

DEFAULT_LIMIT = 256 * 1024
"""Bytes of JSON in a payload, at most, unless the server's settings say otherwise."""
MAX_DEPTH = 64
"""Objects and lists within each other, at most."""
_LARGEST_NUMBER = 10**308
_MAX_PROBLEMS = 10


def encode_payload(value: object, *, limit: int | None = DEFAULT_LIMIT, field: str = "payload") -> str:
    """Return a payload as JSON text.

    Args:
        value: the JSON object, as `json.loads` returns it.
        limit: bytes of UTF-8 the text may have; None checks all but the size.
        field: name of the payload in error messages.

    Raises:
        InvalidInput: it is not an object, nests deeper than `MAX_DEPTH`, is too large, or holds what JSON or Postgres
            cannot: NaN, infinities, numbers beyond 1e308, NUL characters, halves of surrogate pairs.
    """
    if not isinstance(value, dict):
        raise InvalidInput.at(field, "must be a JSON object")
    found = [problem for problem, _ in zip(_problems(value, field, 1), range(_MAX_PROBLEMS), strict=False)]
    if found:
        raise InvalidInput(found)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    if limit is not None:
        size = len(text) if text.isascii() else len(text.encode())
        if size > limit:
            raise InvalidInput.at(field, f"has {size} bytes of JSON; at most {limit} are allowed")
    return text


def text_problem(value: str, *, multiline: bool = True) -> str | None:
    """What keeps a text from being stored and shown, or None.

    Args:
        value: the text.
        multiline: whether line ends and tabs may be in it. Default True.
    """
    if "\x00" in value:
        return "holds a NUL character (\\u0000), which Postgres cannot store"
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        return "holds half of a surrogate pair, which is not a character"
    if not multiline and any(ord(character) < 32 or ord(character) == 127 for character in value):
        return "holds control characters or line ends"
    return None


def _problems(value: object, path: str, depth: int) -> Iterator[Problem]:
    if isinstance(value, str):
        if problem := text_problem(value):
            yield Problem(path, problem)
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int):
        if abs(value) > _LARGEST_NUMBER:
            yield Problem(path, "is a number beyond 1e308")
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield Problem(path, "is not a finite number")
    elif depth > MAX_DEPTH:
        yield Problem(path, f"nests deeper than {MAX_DEPTH} levels")
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                yield Problem(path, "has a key that is not a string")
                continue
            if problem := text_problem(key):
                yield Problem(path, f"has a key that {problem}")
            yield from _problems(item, f"{path}.{_shown(key)}", depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _problems(item, f"{path}[{index}]", depth + 1)
    else:
        yield Problem(path, f"is a {type(value).__name__}, which JSON does not have")


def _shown(key: str) -> str:
    shown = key if len(key) <= 40 else key[:37] + "..."
    return shown.encode("ascii", "backslashreplace").decode().replace("\x00", "\\x00")
