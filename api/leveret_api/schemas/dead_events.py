"""Dead events: events of workers that could not be applied."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from leveret_core.store.dead_events.quarantine import DeadEventBytesRow, DeadEventRow, Replayed


class DeadEvent(BaseModel):
    """Something a worker sent that could not be applied."""

    id: int
    at: datetime
    kind: Literal["unreadable", "refused", "batch", "version"] = Field(
        description="An event that cannot be read, or not be stored; a whole message that is no batch of events, or one of a "
        "protocol version that the server does not read."
    )
    reason: str
    worker_id: UUID | None = Field(description="Null when that cannot be read; so for the others.")
    worker_name: str | None
    occurrence_id: int | None
    attempt: int | None
    size: int = Field(description="Bytes that came; of more than a mebibyte only the first are kept.")

    @classmethod
    def of(cls, row: DeadEventRow) -> DeadEvent:
        """The dead event in a row."""
        return cls.model_validate(row.values())


class DeadEventBytes(DeadEvent):
    """One with its bytes."""

    text: str | None = Field(description="Them as text; null when they are not UTF-8.")
    base64: str

    @classmethod
    def whole(cls, row: DeadEventBytesRow) -> DeadEventBytes:
        """The dead event in a row."""
        return cls.model_validate(row.values() | {"text": _text(row.body), "base64": base64.b64encode(row.body).decode()})


class DeadEventReplay(BaseModel):
    """What became of a dead event that was handed to the ingestor again."""

    result: Literal["applied", "stale", "refused"] = Field(
        description="`applied`: at least one event changed something, and the dead event is gone. `refused`: none did, and one "
        "is wrong, still. `stale`: none did, because their attempts have ended or have them already. Those two stay."
    )
    reason: str | None = Field(description="What is wrong with the first that was refused.")
    applied: int = Field(description="Events that changed something: of a whole message there may be several.")
    stale: int
    refused: int = Field(description="Events that are wrong; those of a whole message are dead events of their own now.")

    @classmethod
    def of(cls, done: Replayed) -> DeadEventReplay:
        """What the ingestor says."""
        return cls(
            result="applied" if done.applied else "refused" if done.refused else "stale",
            reason=done.reason or None,
            applied=done.applied,
            stale=done.stale,
            refused=done.refused,
        )


class DeadEventPage(BaseModel):
    """A page of dead events, newest first."""

    items: list[DeadEvent]
    next_cursor: str | None


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None
