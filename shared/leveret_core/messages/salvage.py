"""Reads what can be read of JSON that no decoder takes: cut off, nested without end, or with broken text somewhere inside."""

from __future__ import annotations

import re
from itertools import islice

MAX_TOKENS = 1_000_000
"""Brackets, commas and strings that are looked at: a hostile body is not to hold up the event loop."""

# Strings are tokens as a whole, so that what is in them counts for nothing; one that is cut off goes to the end.
_TOKEN = re.compile(rb'"(?:[^"\\]+|\\.)*+(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
_NAMED = re.compile(rb'"([^"\\]*)"\s*:\s*')


def items(raw: bytes) -> list[bytes]:
    """The items of the array or object `raw`, each as it is written; of one that is cut off, the last one may be a part."""
    found: list[bytes] = []
    depth = start = 0
    for token in islice(_TOKEN.finditer(raw), MAX_TOKENS):
        match token[0]:
            case b"[" | b"{":
                depth += 1
                if depth == 1:
                    start = token.end()
            case b"]" | b"}":
                depth -= 1
                if depth == 0:
                    found.append(raw[start : token.start()])
                    break
            case b"," if depth == 1:
                found.append(raw[start : token.start()])
                start = token.end()
            case _:
                pass
    else:
        if depth > 0:
            found.append(raw[start:])
    return [stripped for item in found if (stripped := item.strip())]


def members(raw: bytes) -> dict[str, bytes]:
    """The members of the object `raw`: name → value as it is written. Empty when it is no object."""
    if not raw.lstrip().startswith(b"{"):
        return {}
    named = ((_NAMED.match(item), item) for item in items(raw))
    return {match[1].decode("utf-8", "replace"): item[match.end() :] for match, item in named if match}
