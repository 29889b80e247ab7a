"""Applies what workers report: batched, guarded by (attempt, token), committed before it is acknowledged."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Sequence
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
from leveret_core.messages.event_batch import BadEvent, GoodEvent, UnknownVersion, as_bad, read_events
from leveret_core.policy import DEFAULT_SNOOZES
from leveret_core.settings import Settings
from leveret_core.store.database import Connection, Database, columns, sql
from leveret_core.store.errors import is_data_error
from leveret_core.store.slots.release import release
from leveret_core.text import clean_text
from leveret_dispatcher.ends import failures
from leveret_dispatcher.ends.quarantine import DeadEvent, SetAside
from leveret_dispatcher.ends.settlement import MAY_FAIL, Ending, Settled, settle

log = logging.getLogger(__name__)

MAX_ERROR = 64 * 1024
"""Characters kept of a traceback; the end is the telling part."""
MAX_LOG_MESSAGE = 16 * 1024
MAX_DURATION = 10 * 365 * 86400.0
"""Seconds that an attempt is taken to have lasted, at most."""
MAX_RETRY_AFTER = 365 * 86400.0
"""Seconds by which a handler can put off the next attempt, at most."""


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
        set_aside: keeps what cannot be applied.
    """

    def __init__(self, settings: Settings, database: Database, hints: Hints) -> None:
        self.set_aside = SetAside(database)
        self._settings = settings
        self._db = database
        self._hints = hints

    async def ingest(self, batch: Sequence[EventMessage]) -> None:
        """Commit the events of `batch`, then acknowledge its messages. What cannot be applied is set aside with its bytes.

        Raises:
            Exception: Postgres is away, or anything else but the data of an event is at fault; nothing was acknowledged: call
                again with the same batch.
        """
        items: list[_Item] = []
        bad: list[tuple[uuid.UUID, BadEvent]] = []
        dead: list[DeadEvent] = []
        for message in batch:
            try:
                events = read_events(message.body)
            except UnknownVersion as error:
                dead.append(DeadEvent("version", str(error), message.body))
                continue
            except BadMessage as error:
                dead.append(DeadEvent("batch", f"not a batch of events: {error}", message.body))
                continue
            bad.extend((events.worker, one) for one in events.bad)
            for good in events.good:
                if problem := self._over_limit(good.event):
                    bad.append((events.worker, as_bad(good, problem)))
                else:
                    items.append(_Item(events.worker, good))
        bad.extend(await self._apply_or_split(items))
        await self._refuse(bad)
        await self.set_aside.keep(dead)
        reach("after_ingest_commit")
        for message in batch:
            await message.ack()

    async def _apply_or_split(self, items: Sequence[_Item]) -> list[tuple[uuid.UUID, BadEvent]]:
        """Apply all `items` but those whose data Postgres refuses, which are returned."""
        if not items:
            return []
        try:
            await self._apply(items)
        except Exception as error:
            if not is_data_error(error):
                raise
            if len(items) == 1:
                return [(items[0].worker, as_bad(items[0].good, f"{type(error).__name__}: {error}"))]
            middle = len(items) // 2
            return [*await self._apply_or_split(items[:middle]), *await self._apply_or_split(items[middle:])]
        return []

    async def _refuse(self, bad: Sequence[tuple[uuid.UUID, BadEvent]]) -> None:
        """Keep events that are wrong. Those that were to end their attempts end them all the same."""
        for _, one in bad:
            if one.ends and one.occurrence is not None and one.attempt is not None and one.token is not None:
                await self._end(_bad_end(one.occurrence, one.attempt, one.token, one))
        await self.set_aside.keep(
            [DeadEvent(one.kind, one.reason, one.raw, worker, one.occurrence, one.attempt) for worker, one in bad]
        )

    async def _end(self, ending: Ending) -> None:
        try:
            async with self._db.transaction() as connection:
                settled = await settle(connection, [ending])
        except Exception as error:
            if not is_data_error(error):
                raise
            log.error(
                "ingestor: occurrence %d, attempt %s cannot be ended: %s",
                ending.occurrence,
                ending.claim and ending.claim[0],
                error,
            )
            return
        self._tell(settled)

    def _over_limit(self, event: Event) -> str:
        if isinstance(event, Finished) and len(event.result) > self._settings.result_limit:
            return f"the result has {len(event.result)} bytes; at most {self._settings.result_limit} are kept"
        if isinstance(event, Checkpoint) and len(event.data) > MAX_CHECKPOINT:
            return f"the checkpoint has {len(event.data)} bytes; at most {MAX_CHECKPOINT} are kept"
        return ""

    async def _apply(self, items: Sequence[_Item]) -> None:
        # Not by occurrence: a late word of a lost attempt must not hide that of the current one.
        finished = [i.event for i in items if isinstance(i.event, Finished)]
        succeeded = [e for e in finished if e.outcome == "succeeded"]
        others = [e for e in finished if e.outcome != "succeeded"]
        progress = {(i.event.occurrence, i.event.token): i.event for i in items if isinstance(i.event, Progress)}
        saved = {(i.event.occurrence, i.event.token): i.event for i in items if isinstance(i.event, Checkpoint)}
        logs = [(i.worker, i.event) for i in items if isinstance(i.event, Log) and i.event.seq <= self._settings.log_limit * 2]
        may_fail = sorted({e.occurrence for e in others if e.outcome in MAY_FAIL})
        settled, recovered = Settled(), set[int]()
        locked = set[int]()
        async with self._db.transaction() as connection:
            if finished:
                # All jobs at once and in order, before any occurrence is touched.
                rows = await connection.fetch(sql("slots/lock_jobs"), sorted({e.occurrence for e in finished}), may_fail)
                locked = {row["id"] for row in rows}
            if progress:
                await connection.execute(sql("attempts/progress"), *_progress_columns(list(progress.values())))
            if saved:
                await connection.execute(sql("attempts/checkpoint"), *_checkpoint_columns(list(saved.values())))
            if succeeded:
                settled, recovered = await self._succeed(connection, succeeded, locked)
            if others:
                more = await settle(connection, [self._ending(event) for event in others], recovered)
                settled = Settled(settled.changed + more.changed, settled.wake or more.wake, more.jobs)
            if logs:
                await connection.execute(sql("attempts/insert_logs"), *_log_columns(logs))
            reach("before_ingest_commit")
        known = {e.occurrence for e in succeeded}.difference(settled.changed)
        reported = {occurrence for occurrence, _ in (*progress, *saved)}
        settled.changed.extend(reported - set(settled.changed))
        self._tell(settled)
        if logs:
            self._hints.send(Hint("logs", tuple({event.occurrence for _, event in logs})))
        if known:
            # A batch that comes again may be one whose end was committed and this was not.
            recovered.update(row["job_id"] for row in await self._db.fetch("jobs/succeeded", sorted(known)))
        if cleared := await failures.forget(self._db, recovered):
            self._hints.send(Hint("jobs", tuple(cleared)))

    async def _succeed(
        self, connection: Connection, events: Sequence[Finished], locked: Collection[int]
    ) -> tuple[Settled, set[int]]:
        rows = [
            (e.occurrence, e.attempt, uuid.UUID(e.token), e.seq, _duration(e), bytes(e.result).decode())
            for e in sorted(events, key=lambda e: e.occurrence)
        ]
        done = await connection.fetch(sql("attempts/finish_succeeded"), *columns(rows, 6))
        ids = [row["id"] for row in done]
        promoted = await release(connection, ids, locked)
        return Settled([*ids, *promoted], bool(promoted)), {row["job_id"] for row in done if row["backfill_id"] is None}

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


def _progress_columns(events: Sequence[Progress]) -> list[list[object]]:
    rows = [
        (
            e.occurrence,
            e.attempt,
            uuid.UUID(e.token),
            e.seq,
            msgspec.json.encode({"fraction": min(1.0, max(0.0, e.fraction)), "message": clean_text(e.message[:500])}).decode(),
        )
        for e in sorted(events, key=lambda e: e.occurrence)
    ]
    return columns(rows, 5)


def _checkpoint_columns(events: Sequence[Checkpoint]) -> list[list[object]]:
    rows = [
        (e.occurrence, e.attempt, uuid.UUID(e.token), e.seq, bytes(e.data).decode())
        for e in sorted(events, key=lambda e: e.occurrence)
    ]
    return columns(rows, 5)


def _log_columns(logs: Sequence[tuple[uuid.UUID, Log]]) -> list[list[object]]:
    rows = [
        (
            e.occurrence,
            e.attempt,
            worker,
            e.seq,
            e.at.astimezone(UTC),
            e.level,
            clean_text(e.message[:MAX_LOG_MESSAGE]),
            None if e.fields is None else encode(e.fields).decode(),
            uuid.UUID(e.token),
        )
        for worker, e in logs
    ]
    return columns(rows, 9)
