"""What servers tell workers unasked: dispatch messages, and words to single workers."""

from __future__ import annotations

import msgspec

from leveret_core.messages.fields import AttemptNumber, GivenName, OccurrenceId, WorkerId
from leveret_core.messages.version import PROTOCOL_VERSION


class DispatchMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Tells the workers that serve the type that an occurrence may be claimed. It carries no authority and no payload."""

    occurrence: OccurrenceId
    attempt: AttemptNumber
    type: GivenName
    v: int = PROTOCOL_VERSION


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="cancel"):
    """Stop this attempt if you run it. Repeated in answers to heartbeats until the attempt ends."""

    worker: WorkerId
    occurrence: OccurrenceId
    attempt: AttemptNumber
    v: int = PROTOCOL_VERSION


class Drain(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="drain"):
    """Take nothing more, finish what runs, then end."""

    worker: WorkerId
    v: int = PROTOCOL_VERSION


Control = Cancel | Drain
