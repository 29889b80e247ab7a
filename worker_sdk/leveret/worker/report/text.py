"""Makes text from handlers fit to be stored and shown: no control characters, no broken Unicode, bounded."""

from __future__ import annotations

import re

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_PLAIN = re.compile(r"[\t\n\x20-\x7e]*")


def clean(text: str, limit: int) -> str:
    """`text` without terminal sequences and control characters (tab and newline stay), of at most `limit` characters.

    What is too long loses its middle, because the end of a traceback says most.
    """
    if len(text) > limit:
        tail = limit // 2
        text = f"{text[: limit - tail - 1]}…{text[-tail:]}"
    if _PLAIN.fullmatch(text):
        return text
    text = _CONTROL.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n")))
    # A lone surrogate cannot be encoded, and would take the whole batch of events with it.
    return text.encode("utf-8", "replace").decode()
