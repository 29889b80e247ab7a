"""Good messages made bad in one place, as a mistake or an attacker would."""

from __future__ import annotations

import copy
import json
import uuid
from typing import Any

from hypothesis import strategies as st

TEXTS = ("", "\x00", "a\nb", "\ud83d", "\u2028", "x" * 300, "{", "(", "a..b", "#", str(uuid.UUID(int=0)))
NUMBERS = (0, -1, 1, 2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**30)
OTHERS: tuple[Any, ...] = (None, True, False, 1.5, float("nan"), float("inf"), [], [[]], {}, {"a": [1]}, [1, 2, 3])
NOT_STORABLE = ("\x00", "\ud83d", "a\x00b")
"""Text that Postgres does not take."""
ODD: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(OTHERS),
    st.sampled_from(NUMBERS),
    st.sampled_from(TEXTS),
    st.sampled_from(NOT_STORABLE),
    st.integers(),
    st.text(max_size=20),
)


@st.composite
def mutated(draw: st.DrawFn, good: dict[str, Any]) -> bytes:
    """A body like `good` whose bytes are cut or changed, or in which a value is another, missing, or doubled."""
    body = json.dumps(good).encode()
    how = draw(st.sampled_from(["value", "value", "value", "gone", "cut", "byte"]))
    if how == "cut":
        return body[: draw(st.integers(0, len(body) - 1))]
    if how == "byte":
        at = draw(st.integers(0, len(body) - 1))
        return body[:at] + bytes([draw(st.integers(0, 255))]) + body[at + 1 :]
    changed = copy.deepcopy(good)
    places = _places(changed)
    holder, key = places[draw(st.integers(0, len(places) - 1))]
    if how == "gone":
        del holder[key]
    else:
        holder[key] = draw(ODD)
    return json.dumps(changed).encode()


def _places(value: Any) -> list[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in ((value, key), *_places(value[key]))]
