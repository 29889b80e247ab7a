"""Hands a dead event to the ingestor again: it may be read, or stored, by now."""

from __future__ import annotations

import uuid

from leveret_core.messages import BadMessage
from leveret_core.messages.event_batch import BadEvent, as_bad, read_event, read_events
from leveret_core.store.dead_events.quarantine import DeadEventBytesRow, Replayed
from leveret_dispatcher.ends.ingestor import Ingestor


class Replay:
    """Applies dead events as if they came now.

    Args:
        ingestor: of this process.
    """

    def __init__(self, ingestor: Ingestor) -> None:
        self._ingestor = ingestor

    async def __call__(self, dead: DeadEventBytesRow) -> Replayed:
        """Apply what can be applied of `dead`, which itself stays where it is.

        Out of a whole message each event counts for itself; those that are wrong become dead events of their own, and end
        their attempts, as when a message comes.

        Raises:
            Exception: Postgres is away, or anything else but the data of an event is at fault; asking again is safe.
        """
        if dead.size > len(dead.body):
            return _refused(f"only the first {len(dead.body)} of its {dead.size} bytes were kept")
        if dead.kind in ("batch", "version"):
            return await self._message(dead.body)
        if dead.worker_id is None:
            return _refused("it is not known which worker sent it")
        done = await self._ingestor.apply_alone(dead.worker_id, read_event(dead.body))
        return _refused(done) if isinstance(done, str) else _told(done)

    async def _message(self, body: bytes) -> Replayed:
        try:
            batch = read_events(body)
        except BadMessage as error:
            return _refused(str(error))
        total = Replayed()
        bad: list[tuple[uuid.UUID, BadEvent]] = [(batch.worker, one) for one in batch.bad]
        for good in batch.good:
            done = await self._ingestor.apply_alone(batch.worker, good)
            if isinstance(done, str):
                bad.append((batch.worker, as_bad(good, done)))
            else:
                total = _sum(total, _told(done))
        await self._ingestor.refuse(bad)
        for _, one in bad:
            total = _sum(total, _refused(one.reason))
        return total


def _told(changed: int) -> Replayed:
    return Replayed(applied=1) if changed else Replayed(stale=1)


def _refused(reason: str) -> Replayed:
    return Replayed(refused=1, reason=reason)


def _sum(one: Replayed, other: Replayed) -> Replayed:
    return Replayed(
        one.applied + other.applied, one.stale + other.stale, one.refused + other.refused, one.reason or other.reason
    )
