"""What workers ask the claim desk."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from leveret_core.errors import InvalidInput
from leveret_core.messages.fields import (
    MAX_ASKS,
    MAX_HANDLERS,
    MAX_HOLDING,
    AttemptNumber,
    Count,
    GivenName,
    MaybeSecret,
    Name,
    OccurrenceId,
    Seconds,
    Secret,
    Slots,
    WorkerId,
)
from leveret_core.messages.version import PROTOCOL_VERSION
from leveret_core.patterns import check_pattern

MAX_DOC = 10_000
"""Characters of a handler's description, at most."""


class HandlerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One handler as announced: `schema` is the JSON Schema of its payload, when its type hints tell one.

    Raises:
        ValueError: `pattern` is none.
    """

    pattern: GivenName
    concurrency: Slots
    name: Name = ""
    timeout: Seconds | None = None
    schema: dict[str, Any] | None = None
    doc: Annotated[str, Meta(max_length=MAX_DOC)] = ""

    def __post_init__(self) -> None:
        try:
            check_pattern(self.pattern)
        except InvalidInput as error:
            raise ValueError(str(error)) from error  # what msgspec tells together with where it is


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="hello"):
    """The first words of a worker incarnation. A repeated one is the same in all: other handlers want a new id."""

    worker: WorkerId
    name: GivenName
    host: Name
    pid: Count
    sdk: Name
    concurrency: Slots
    handlers: Annotated[list[HandlerInfo], Meta(min_length=1, max_length=MAX_HANDLERS)]
    secret: Secret = ""
    """Chosen by the worker for this incarnation, and told to the servers alone: what it asks later carries it too. Needed."""
    v: int = PROTOCOL_VERSION


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """The attempt of an occurrence that a worker wants to run: `[occurrence, attempt]`."""

    occurrence: OccurrenceId
    attempt: AttemptNumber


class BadAsk(msgspec.Struct, frozen=True):
    """An ask that says nothing: where it stands in its claim, why, and its numbers if it has two."""

    position: int
    reason: str
    numbers: tuple[int, int] | None = None


class Claim(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="claim"):
    """Asks for attempts. Asking again for the same one gets the same answer, however often."""

    worker: WorkerId
    asks: Annotated[list[Ask], Meta(max_length=MAX_ASKS)]
    last_success: Annotated[list[OccurrenceId], Meta(max_length=MAX_ASKS)] | UnsetType = UNSET
    """Occurrences among the asks whose handlers want to know about the last success of their job."""
    types: Annotated[list[GivenName], Meta(max_length=MAX_ASKS)] | UnsetType = UNSET
    """The types of the asks, in their order, as their dispatch messages say; spares the servers a look at each occurrence."""
    secret: MaybeSecret = ""
    v: int = PROTOCOL_VERSION

    def __post_init__(self) -> None:
        if not isinstance(self.types, UnsetType) and len(self.types) != len(self.asks):
            raise ValueError(f"{len(self.types)} types for {len(self.asks)} asks")


class MarredClaim(Claim, frozen=True, kw_only=True, tag="claim"):
    """A claim as servers take it when not every ask can be read: those that can, and what is wrong with the others."""

    bad: list[BadAsk]


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="heartbeat"):
    """Renews the worker's lease, and with it the claims of everything it runs."""

    worker: WorkerId
    running: Count
    loop_lag: Seconds = 0.0
    draining: bool = False
    secret: MaybeSecret = ""
    holding: Annotated[list[Ask], Meta(max_length=MAX_HOLDING)] | None
    """All that it has asked for, runs, or has ended without a confirmation by the broker: what it was granted and does not
    name, it does not run. None if that is more than can be named; then that is not known."""
    v: int = PROTOCOL_VERSION


class Goodbye(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="goodbye"):
    """The incarnation ends. What it still holds is handed back without charging the attempt."""

    worker: WorkerId
    secret: MaybeSecret = ""
    v: int = PROTOCOL_VERSION


class Declare(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="declare"):
    """Jobs that the code of a worker declares, each an object as `POST /api/v1/jobs` takes it. Repeating it changes nothing."""

    worker: WorkerId
    jobs: list[dict[str, Any]]
    secret: MaybeSecret = ""
    v: int = PROTOCOL_VERSION


Request = Hello | Claim | Heartbeat | Goodbye | Declare
