"""Reads what can be read of JSON that no decoder takes: cut off, nested without end, or with broken text somewhere inside."""

from __future__ import annotations

import re
from itertools import islice

MAX_TOKENS = 1_000_000
"""Brackets, commas and strings of a body that are looked at: a hostile one is not to hold up the others."""
MAX_TOKENS_OF_ITEM = 100_000
"""The same of one of its items: there may be many."""

# Strings are tokens as a whole, so that what is in them counts for nothing; one that is cut off goes to the end.
_TOKEN = re.compile(rb'"(?:[^"\\]+|\\.)*+(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
_NAMED = re.compile(rb'"([^"\\]*)"\s*:\s*')


def items(raw: bytes, most: int = MAX_TOKENS, tokens: int = MAX_TOKENS) -> list[bytes]:
    """The items of the array or object `raw`, each as it is written; of one that is cut off, the last one may be a part.

    Args:
        raw: JSON, or what is left of it.
        most: items to find; those behind are left.
        tokens: brackets, commas and strings to look at; what is behind is left.
    """
    found: list[bytes] = []
    depth = start = 0
    for token in islice(_TOKEN.finditer(raw), tokens):
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
                if len(found) == most:
                    break
            case _:
                pass
    else:
        if depth > 0:
            found.append(raw[start:])
    return [stripped for item in found if (stripped := item.strip())]


def members(raw: bytes, tokens: int = MAX_TOKENS_OF_ITEM) -> dict[str, bytes]:
    """The members of the object `raw`: name → value as it is written. Empty when it is no object. `tokens` as of `items`."""
    if not raw.lstrip().startswith(b"{"):
        return {}
    named = ((_NAMED.match(item), item) for item in items(raw, tokens=tokens))
    return {match[1].decode("utf-8", "replace"): item[match.end() :] for match, item in named if match}
