"""Keeps what workers sent and cannot be applied: its bytes, whose they are and what is wrong with them, and says so."""

from __future__ import annotations

import hashlib
import logging
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from leveret_core.messages.fields import one_line
from leveret_core.store.database import Database
from leveret_core.store.dead_events.quarantine import DeadRow, keep_dead_events
from leveret_core.store.errors import apply_apart
from leveret_core.text import clean_text

log = logging.getLogger(__name__)

MAX_BODY = 1024 * 1024
"""Bytes kept of a message."""
MAX_REASON = 2000
"""Characters."""
MAX_OF_WORKER = 200
"""Messages of one worker that are kept; more of them tell nothing new."""
TELL_INTERVAL = 5.0
"""Seconds between two warnings about one worker."""

Kind = Literal["unreadable", "refused", "batch", "version"]


@dataclass(frozen=True, slots=True)
class DeadEvent:
    """A message, or an event out of one, that cannot be applied.

    Args:
        kind: `unreadable` or `refused` for an event; `batch` for a whole message that is none, `version` for one of a
            protocol version that this server does not read.
        reason: what is wrong.
        body: its bytes.
        worker: who sent it, as far as known; so for the others.
        occurrence: whose run it was about.
        attempt: of it.
    """

    kind: Kind
    reason: str
    body: bytes = field(repr=False)
    worker: uuid.UUID | None = None
    occurrence: int | None = None
    attempt: int | None = None


class Quarantine:
    """The place of dead events.

    Args:
        database: where they are kept.

    Attributes:
        counts: how many came here since the start, by kind.
    """

    def __init__(self, database: Database) -> None:
        self.counts: Counter[str] = Counter()
        self._db = database
        self._told: dict[uuid.UUID | None, float] = {}
        self._untold: Counter[uuid.UUID | None] = Counter()

    async def keep(self, dead: Sequence[DeadEvent]) -> None:
        """Keep `dead`; those that were kept before are not kept twice. Nothing in them can make this fail."""
        if not dead:
            return
        names = await self._keep(dead)
        for one in dead:
            self.counts[one.kind] += 1
            self._tell(one, names.get(one.worker, ""))

    async def _keep(self, dead: Sequence[DeadEvent]) -> dict[uuid.UUID | None, str]:
        async def keep(some: Sequence[DeadEvent]) -> list[dict[uuid.UUID | None, str]]:
            return [await keep_dead_events(self._db, [_row(one) for one in some], MAX_OF_WORKER)]

        def refuse(one: DeadEvent, error: Exception) -> dict[uuid.UUID | None, str]:
            log.error("ingestor: %d bytes (sha256 %s) cannot even be kept: %s", len(one.body), _digest(one).hex(), error)
            return {}

        names: dict[uuid.UUID | None, str] = {}
        for found in await apply_apart(dead, keep, refuse):
            names |= found
        return names

    def _tell(self, dead: DeadEvent, name: str) -> None:
        now = time.monotonic()
        if now < self._told.get(dead.worker, 0.0):
            self._untold[dead.worker] += 1
            return
        if len(self._told) > 1000:
            self._told = {worker: until for worker, until in self._told.items() if now < until}
        self._told[dead.worker] = now + TELL_INTERVAL
        more = self._untold.pop(dead.worker, 0)
        log.warning(
            "ingestor: an event of worker %s (%s), occurrence %s, attempt %s is quarantined (%s): %s%s",
            one_line(name) or "unknown",
            dead.worker or "no id",
            dead.occurrence or "unknown",
            dead.attempt or "unknown",
            dead.kind,
            one_line(dead.reason),
            f" (and {more} more of this worker since the last warning)" if more else "",
        )


def _row(dead: DeadEvent) -> DeadRow:
    return DeadRow(
        dead.kind,
        clean_text(dead.reason[:MAX_REASON]),
        dead.body[:MAX_BODY],
        len(dead.body),
        _digest(dead),
        dead.worker,
        dead.occurrence,
        dead.attempt,
    )


def _digest(dead: DeadEvent) -> bytes:
    return hashlib.sha256((dead.worker.bytes if dead.worker else b"") + dead.body).digest()
