"""What workers ask the claim desk."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from leveret_core.messages.version import PROTOCOL_VERSION


class HandlerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One handler as announced: `schema` is the JSON Schema of its payload, when its type hints tell one."""

    pattern: str
    concurrency: int
    name: str = ""
    timeout: float | None = None
    schema: dict[str, Any] | None = None
    doc: str = ""


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="hello"):
    """The first words of a worker incarnation; repeated after `Unknown`."""

    worker: str
    name: str
    host: str
    pid: int
    sdk: str
    concurrency: int
    handlers: list[HandlerInfo]
    v: int = PROTOCOL_VERSION


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """The attempt of an occurrence that a worker wants to run: `[occurrence, attempt]`."""

    occurrence: int
    attempt: int


class Claim(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="claim"):
    """Asks for attempts. Asking again for the same one gets the same answer, however often."""

    worker: str
    asks: list[Ask]
    last_success: list[int] | UnsetType = UNSET
    """Occurrences among the asks whose handlers want to know about the last success of their job."""
    v: int = PROTOCOL_VERSION


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="heartbeat"):
    """Renews the worker's lease, and with it the claims of everything it runs."""

    worker: str
    running: int
    loop_lag: float = 0.0
    draining: bool = False
    v: int = PROTOCOL_VERSION


class Goodbye(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="goodbye"):
    """The incarnation ends. What it still holds is handed back without charging the attempt."""

    worker: str
    v: int = PROTOCOL_VERSION


class Declare(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="declare"):
    """Jobs that the code of a worker declares, each an object as `POST /api/v1/jobs` takes it. Repeating it changes nothing."""

    worker: str
    jobs: list[dict[str, Any]]
    v: int = PROTOCOL_VERSION


Request = Hello | Claim | Heartbeat | Goodbye | Declare
