"""What the fields of messages may hold: the ranges and texts that Postgres can keep, checked where a message is read.

Each type is the plain one to a type checker; msgspec refuses a value outside when it decodes, and names the field.
"""

from __future__ import annotations

import re
from typing import Annotated, TypeAlias

from msgspec import Meta

MAX_INT32 = 2**31 - 1
MAX_INT64 = 2**63 - 1
MAX_NAME = 200
"""Characters."""
MAX_ASKS = 1_000
"""Asks in one claim, at most."""
MAX_HOLDING = 10_000
"""Attempts named in a heartbeat, at most."""
MAX_HANDLERS = 1_000
"""Handlers in one hello, at most."""
MAX_SECONDS = 1e9

_BREAKING = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
ONE_LINE = rf"^[^{_BREAKING}]*\Z"
"""No control characters, and nothing else that would begin a line or turn the direction of writing."""

OccurrenceId: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_INT64)]
AttemptNumber: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_INT32)]
Seq: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_INT32)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_INT32)]
Slots: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_INT32)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=MAX_SECONDS)]
WorkerId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=36, pattern=ONE_LINE)]
"""Whether it is a UUID is looked at by the desk, which needs it as one."""
Token: TypeAlias = Annotated[str, Meta(max_length=36, pattern=ONE_LINE)]
Name: TypeAlias = Annotated[str, Meta(max_length=MAX_NAME, pattern=ONE_LINE)]
GivenName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_NAME, pattern=ONE_LINE)]
"""A name that may not be empty."""
Secret: TypeAlias = Annotated[str, Meta(min_length=16, max_length=MAX_NAME, pattern=ONE_LINE)]
MaybeSecret: TypeAlias = Annotated[str, Meta(max_length=MAX_NAME, pattern=ONE_LINE)]
"""Empty where it was left out, which is no worker's secret."""

WORDS = {ONE_LINE: "without control characters and line breaks"}
"""What the regular expressions mean, for people."""

_breaking = re.compile(rf"[{_BREAKING}\ud800-\udfff]")


def one_line(text: str, limit: int = 300) -> str:
    """`text` from outside as it may stand in a log line or a reply: one line of at most `limit` characters."""
    text = _breaking.sub("\ufffd", text[: limit + 1])
    return text if len(text) <= limit else text[: limit - 1] + "…"
