"""What workers get wrong, told where their authors look: a line in the log, a metric, and the worker's page."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter

from leveret_core.messages.fields import one_line
from leveret_core.store.database import Database
from leveret_core.store.workers.refusals import RefusalNote, forget_refusals, note_refusals
from leveret_core.supervision import end_tasks

log = logging.getLogger(__name__)

KINDS = ("hello", "declare", "claim", "heartbeat", "goodbye")
OTHER = "other"
PAUSE = 1.0
"""Seconds in which the same thing is counted before it is logged and kept."""
STOP_TIMEOUT = 2.0
"""Seconds in which what is being kept must have ended at a stop."""
MAX_WAITING = 100
"""Different things that are kept of a pause, at most; more are only counted."""
MAX_LINES = 10
"""Log lines in a pause, at most."""
KEPT = 20
"""Different things that are remembered of a worker."""
KEPT_UNKNOWN = 200
"""The same of all workers together whose hello was never taken."""
NO_WORKER = uuid.UUID(int=0)


class Refusals:
    """Notes refusals without waiting, and says and keeps them a little later, however many there are.

    Args:
        database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys((*KINDS, OTHER), 0))
        """How many there were in this process, by kind of message."""
        self._db = database
        self._waiting: Counter[tuple[uuid.UUID, str, str]] = Counter()
        self._names: dict[uuid.UUID, str] = {}
        self._more = 0
        self._keeping: asyncio.Task[None] | None = None

    def note(self, kind: str, worker: str, reason: str, *, name: str = "") -> None:
        """Remember that a message was refused.

        Args:
            kind: of the message, as it said.
            worker: the id that the message told.
            reason: what was wrong, for people; names the field.
            name: of the worker, where the message told it.
        """
        kind = kind if kind in KINDS else OTHER
        self.counts[kind] += 1
        worker_id = _id(worker)
        what = (worker_id, kind, one_line(reason))
        if what not in self._waiting and len(self._waiting) >= MAX_WAITING:
            self._more += 1
        else:
            self._waiting[what] += 1
            self._names.setdefault(worker_id, one_line(name, 200))
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep_soon(), name="refusals")

    async def stop(self) -> None:
        """Log and keep at once what still waits for its pause to be over. Safe to call twice."""
        keeping, self._keeping = self._keeping, None
        await end_tasks((keeping,), STOP_TIMEOUT)
        if self._waiting or self._more:
            await self.keep()

    async def _keep_soon(self) -> None:
        while self._waiting or self._more:
            await asyncio.sleep(PAUSE)
            await self.keep()

    async def keep(self) -> None:
        """Log and keep what was noted until now; what cannot be kept is logged all the same."""
        noted, self._waiting = self._waiting, Counter()
        names, self._names = self._names, {}
        more, self._more = self._more, 0
        try:
            notes = [RefusalNote(*what, names[what[0]], count) for what, count in noted.items()]
            names |= await note_refusals(self._db, notes)
            await forget_refusals(self._db, names, KEPT, KEPT_UNKNOWN)
        except Exception as error:
            log.warning("refusals: they could not be kept (%s: %s)", type(error).__name__, error)
        for (worker, kind, reason), count in noted.most_common(MAX_LINES):
            whose = names[worker] or "a worker without a name"
            often = f", {count} times" if count > 1 else ""
            log.warning("claim desk: %s refused%s: %s (%s, %s)", kind, often, reason, whose, worker)
        if rest := more + sum(count for _, count in noted.most_common()[MAX_LINES:]):
            log.warning("claim desk: %d more messages of workers refused", rest)


def _id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        return NO_WORKER
