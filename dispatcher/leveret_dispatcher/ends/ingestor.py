"""Applies what workers report: batched, guarded by (attempt, token), committed before it is acknowledged."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC

import msgspec
from msgspec import UNSET

from leveret_core.broker.base import EventMessage
from leveret_core.failpoints import reach
from leveret_core.hints import Hint, Hints
from leveret_core.messages import (
    MAX_CHECKPOINT,
    BadMessage,
    Checkpoint,
    Event,
    Finished,
    Log,
    Progress,
    encode,
)
from leveret_core.messages.event_batch import BadEvent, GoodEvent, UnknownVersion, as_bad, read_events, sender
from leveret_core.policy import DEFAULT_SNOOZES
from leveret_core.settings import Settings
from leveret_core.store.attempts.ends import MAY_FAIL, Ending, Settled, Success, settle, succeed
from leveret_core.store.attempts.reports import LogLine, Report, insert_logs, note_checkpoints, note_progress
from leveret_core.store.database import Database
from leveret_core.store.errors import apply_apart
from leveret_core.store.slots.release import lock_jobs_of
from leveret_core.text import clean_text
from leveret_dispatcher.ends.quarantine import DeadEvent, Quarantine

log = logging.getLogger(__name__)

LARGE_MESSAGE = 256 * 1024
"""Bytes of a message from which on it is read beside the event loop: a hostile one takes a second or more."""
BAD_ENDS = 500
"""Ends that are wrong and are settled in one transaction, at most."""
MAX_ERROR = 64 * 1024
"""Characters kept of a traceback; the end is the telling part."""
MAX_LOG_MESSAGE = 16 * 1024
MAX_DURATION = 10 * 365 * 86400.0
"""Seconds that an attempt is taken to have lasted, at most."""
MAX_RETRY_AFTER = 365 * 86400.0
"""Seconds by which a handler can defer the next attempt, at most."""


@dataclass(frozen=True, slots=True)
class _Item:
    worker: uuid.UUID
    good: GoodEvent

    @property
    def event(self) -> Event:
        return self.good.event


class Ingestor:
    """Turns batches of event messages into rows.

    Args:
        settings: limits of results and logs.
        database: where to.
        hints: told what changed.

    Attributes:
        quarantine: keeps what cannot be applied.
    """

    def __init__(self, settings: Settings, database: Database, hints: Hints) -> None:
        self.quarantine = Quarantine(database)
        self._settings = settings
        self._db = database
        self._hints = hints

    async def ingest(self, batch: Sequence[EventMessage]) -> None:
        """Commit the events of `batch`, then acknowledge its messages. What cannot be applied is quarantined with its bytes.

        Raises:
            Exception: Postgres is away, or anything else but the data of an event is at fault; nothing was acknowledged: call
                again with the same batch.
        """
        items: list[_Item] = []
        bad: list[tuple[uuid.UUID, BadEvent]] = []
        dead: list[DeadEvent] = []
        for message in batch:
            try:
                large = len(message.body) > LARGE_MESSAGE
                events = await asyncio.to_thread(read_events, message.body) if large else read_events(message.body)
            except UnknownVersion as error:
                dead.append(DeadEvent("version", str(error), message.body, sender(message.body)))
                continue
            except BadMessage as error:
                dead.append(DeadEvent("batch", f"not a batch of events: {error}", message.body, sender(message.body)))
                continue
            bad.extend((events.worker, one) for one in events.bad)
            for good in events.good:
                if problem := self._over_limit(good.event):
                    bad.append((events.worker, as_bad(good, problem)))
                else:
                    items.append(_Item(events.worker, good))
        bad.extend(await self._apply_all(items))
        await self.refuse(bad)
        await self.quarantine.keep(dead)
        reach("after_ingest_commit")
        for message in batch:
            await message.ack()

    async def apply_alone(self, worker: uuid.UUID, read: GoodEvent | BadEvent) -> int | str:
        """Apply one event and quarantine nothing; returns how many rows it changed, or why it cannot be applied.

        Raises:
            Exception: Postgres is away, or anything else but the data of the event is at fault.
        """
        if isinstance(read, BadEvent):
            return read.reason
        if problem := self._over_limit(read.event):
            return problem

        async def apply(items: Sequence[_Item]) -> list[int | str]:
            return [await self._apply(items)]

        (found,) = await apply_apart([_Item(worker, read)], apply, lambda _, error: f"{type(error).__name__}: {error}")
        return found

    async def _apply_all(self, items: Sequence[_Item]) -> list[tuple[uuid.UUID, BadEvent]]:
        """Apply all `items` but those whose data Postgres refuses, which are returned."""

        async def apply(some: Sequence[_Item]) -> list[tuple[uuid.UUID, BadEvent] | None]:
            await self._apply(some)
            return [None] * len(some)

        def refuse(item: _Item, error: Exception) -> tuple[uuid.UUID, BadEvent]:
            return item.worker, as_bad(item.good, f"{type(error).__name__}: {error}")

        found = await apply_apart(items, apply, refuse) if items else []
        return [each for each in found if each is not None]

    async def refuse(self, bad: Sequence[tuple[uuid.UUID, BadEvent]]) -> None:
        """Keep events that are wrong. Those that were to end their attempts end them all the same."""
        ends = [
            _bad_end(one.occurrence, one.attempt, one.token, one)
            for _, one in bad
            if one.ends and one.occurrence is not None and one.attempt is not None and one.token is not None
        ]
        for first in range(0, len(ends), BAD_ENDS):
            await self._end(ends[first : first + BAD_ENDS])
        await self.quarantine.keep(
            [DeadEvent(one.kind, one.reason, one.raw, worker, one.occurrence, one.attempt) for worker, one in bad]
        )

    async def _end(self, endings: Sequence[Ending]) -> None:
        async def apply(some: Sequence[Ending]) -> list[Settled]:
            async with self._db.transaction() as connection:
                return [await settle(connection, some), *[Settled()] * (len(some) - 1)]

        def refuse(one: Ending, error: Exception) -> Settled:
            attempt = one.claim and one.claim[0]
            log.error("ingestor: occurrence %d, attempt %s cannot be ended: %s", one.occurrence, attempt, error)
            return Settled()

        for settled in await apply_apart(endings, apply, refuse):
            self._tell(settled)

    def _over_limit(self, event: Event) -> str:
        if isinstance(event, Finished) and len(event.result) > self._settings.result_limit:
            return f"the result has {len(event.result)} bytes; at most {self._settings.result_limit} are kept"
        if isinstance(event, Checkpoint) and len(event.data) > MAX_CHECKPOINT:
            return f"the checkpoint has {len(event.data)} bytes; at most {MAX_CHECKPOINT} are kept"
        return ""

    async def _apply(self, items: Sequence[_Item]) -> int:
        """Apply all in one transaction; returns how many rows of occurrences and logs they changed."""
        # Not by occurrence: a late word of a lost attempt must not hide that of the current one.
        finished = [i.event for i in items if isinstance(i.event, Finished)]
        succeeded = [e for e in finished if e.outcome == "succeeded"]
        others = [e for e in finished if e.outcome != "succeeded"]
        progress = {(i.event.occurrence, i.event.token): i.event for i in items if isinstance(i.event, Progress)}
        saved = {(i.event.occurrence, i.event.token): i.event for i in items if isinstance(i.event, Checkpoint)}
        logs = [(i.worker, i.event) for i in items if isinstance(i.event, Log) and i.event.seq <= self._settings.log_limit * 2]
        may_fail = {e.occurrence for e in others if e.outcome in MAY_FAIL}
        settled, recovered = Settled(), set[int]()
        locked = set[int]()
        async with self._db.transaction() as connection:
            if finished:
                # All jobs at once and in order, before any occurrence is touched.
                locked = await lock_jobs_of(
                    connection, {e.occurrence for e in finished}, may_fail, {e.occurrence for e in succeeded}
                )
            changed = await note_progress(connection, [_progress(each) for each in progress.values()])
            changed += await note_checkpoints(connection, [_checkpoint(each) for each in saved.values()])
            if succeeded:
                settled, recovered = await succeed(connection, [_success(each) for each in succeeded], locked)
            if others:
                more = await settle(connection, [self._ending(event) for event in others], recovered)
                settled = Settled(settled.changed + more.changed, settled.wake or more.wake, settled.jobs + more.jobs)
            changed += await insert_logs(connection, [_log_line(*each) for each in logs])
            reach("before_ingest_commit")
        changed += len(settled.changed)
        reported = {occurrence for occurrence, _ in (*progress, *saved)}
        settled.changed.extend(reported - set(settled.changed))
        self._tell(settled)
        if logs:
            self._hints.send(Hint("logs", tuple({event.occurrence for _, event in logs})))
        return changed

    def _ending(self, event: Finished) -> Ending:
        error = event.error
        return Ending(
            occurrence=event.occurrence,
            outcome=event.outcome,
            claim=(event.attempt, str(uuid.UUID(event.token))),
            error=None
            if error is None or event.outcome == "skipped"
            else _error_json(error.type, error.message, error.traceback),
            reason=clean_text(error.message[:500]) if error is not None and event.outcome in ("cancelled", "skipped") else None,
            duration=_duration(event),
            may_retry=event.retry,
            retry_after=None if event.retry_after is None else min(max(0.0, event.retry_after), MAX_RETRY_AFTER),
            max_snoozes=DEFAULT_SNOOZES if event.max_snoozes is UNSET else event.max_snoozes,
        )

    def _tell(self, settled: Settled) -> None:
        if settled.changed:
            self._hints.send(Hint("occurrences", tuple(settled.changed)))
        if settled.jobs:
            self._hints.send(Hint("jobs", tuple(settled.jobs)))
        if settled.wake:
            self._hints.send(Hint("wake"))


def _duration(event: Finished) -> float:
    return min(max(0.0, event.duration), MAX_DURATION)


def _bad_end(occurrence: int, attempt: int, token: str, bad: BadEvent) -> Ending:
    error = (
        _error_json("ResultRefused", f"what the worker reported could not be stored: {bad.reason}")
        if bad.kind == "refused"
        else _error_json("BadEvent", f"what the worker reported of the end could not be read: {bad.reason}")
    )
    return Ending(
        occurrence=occurrence,
        outcome="failed",
        claim=(attempt, token),
        error=error,
        reason="what its worker reported of its end is wrong",
        may_retry=False,
    )


def _error_json(kind: str, message: str, traceback: str = "") -> str:
    body = {
        "type": clean_text(kind[:200]),
        "message": clean_text(message[:MAX_ERROR]),
        "traceback": clean_text(traceback[-MAX_ERROR:]),
    }
    return msgspec.json.encode(body).decode()


def _success(event: Finished) -> Success:
    result = bytes(event.result).decode()
    return Success(event.occurrence, event.attempt, uuid.UUID(event.token), event.seq, _duration(event), result)


def _progress(event: Progress) -> Report:
    body = {"fraction": min(1.0, max(0.0, event.fraction)), "message": clean_text(event.message[:500])}
    text = msgspec.json.encode(body).decode()
    return Report(event.occurrence, event.attempt, uuid.UUID(event.token), event.seq, text)


def _checkpoint(event: Checkpoint) -> Report:
    text = bytes(event.data).decode()
    return Report(event.occurrence, event.attempt, uuid.UUID(event.token), event.seq, text)


def _log_line(worker: uuid.UUID, event: Log) -> LogLine:
    return LogLine(
        event.occurrence,
        event.attempt,
        worker,
        event.seq,
        event.at.astimezone(UTC),
        event.level,
        clean_text(event.message[:MAX_LOG_MESSAGE]),
        None if event.fields is None else encode(event.fields).decode(),
        uuid.UUID(event.token),
    )
