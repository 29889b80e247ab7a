"""Applies what workers report: batched, guarded by (attempt, token), committed before it is acknowledged."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import UNSET

from leveret_core.broker.base import EventMessage
from leveret_core.failpoints import reach
from leveret_core.hints import Hint, Hints
from leveret_core.messages import MAX_CHECKPOINT, BadMessage, Checkpoint, Event, Finished, Log, Progress, decode_events, encode
from leveret_core.policy import DEFAULT_SNOOZES
from leveret_core.settings import Settings
from leveret_core.store.database import Connection, Database, columns, sql
from leveret_core.store.errors import is_unavailable
from leveret_core.store.slots import release
from leveret_dispatcher import failures
from leveret_dispatcher.sanitizing import clean_json, clean_text
from leveret_dispatcher.settlement import MAY_FAIL, Ending, Settled, settle

log = logging.getLogger(__name__)

MAX_ERROR = 64 * 1024
"""Characters kept of a traceback; the end is the telling part."""
MAX_LOG_MESSAGE = 16 * 1024


@dataclass(frozen=True)
class _Item:
    worker: uuid.UUID
    event: Event


class Ingestor:
    """Turns batches of event messages into rows.

    Args:
        settings: limits of results and logs.
        database: where to.
        hints: told what changed.
    """

    def __init__(self, settings: Settings, database: Database, hints: Hints) -> None:
        self._settings = settings
        self._db = database
        self._hints = hints

    async def ingest(self, batch: Sequence[EventMessage]) -> None:
        """Commit the events of `batch`, then acknowledge its messages. What cannot be applied is set aside with its bytes.

        Raises:
            Exception: Postgres is away (see `is_unavailable`); nothing was acknowledged, call again with the same batch.
        """
        items: list[_Item] = []
        for message in batch:
            try:
                events = decode_events(message.body)
                worker = uuid.UUID(events.worker)
            except (BadMessage, ValueError) as error:
                await self._set_aside(f"not a batch of events: {error}", message.body)
                continue
            items.extend(_Item(worker, event) for event in events.events)
        await self._apply_or_split(items)
        reach("after_ingest_commit")
        for message in batch:
            await message.ack()

    async def _apply_or_split(self, items: Sequence[_Item]) -> None:
        if not items:
            return
        try:
            await self._apply(items)
        except Exception as error:
            if is_unavailable(error):
                raise
            if len(items) > 1:
                middle = len(items) // 2
                await self._apply_or_split(items[:middle])
                await self._apply_or_split(items[middle:])
                return
            await self._refuse(items[0], error)

    async def _refuse(self, item: _Item, error: Exception) -> None:
        """The one event that breaks its batch: kept with its bytes. An attempt must end all the same."""
        log.error("ingestor: an event is set aside: %s: %s", type(error).__name__, error)
        await self._set_aside(f"{type(error).__name__}: {error}", encode(item.event))
        if isinstance(item.event, Finished):
            ending = Ending(
                occurrence=item.event.occurrence,
                outcome="failed",
                claim=(item.event.attempt, item.event.token),
                error=_error_json("ResultRefused", f"what the worker reported could not be stored: {error}"),
                may_retry=False,
            )
            async with self._db.transaction() as connection:
                settled = await settle(connection, [ending])
            self._tell(settled)

    async def _set_aside(self, reason: str, body: bytes) -> None:
        await self._db.execute("occurrences/dead_event", clean_text(reason[:2000]), body[: 1024 * 1024])

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
                await connection.execute(sql("occurrences/progress"), *_progress_columns(list(progress.values())))
            if saved:
                await connection.execute(sql("occurrences/checkpoint"), *_checkpoint_columns(list(saved.values())))
            if succeeded:
                settled, recovered = await self._succeed(connection, succeeded, locked)
            if others:
                more = await settle(connection, [self._ending(event) for event in others], recovered)
                settled = Settled(settled.changed + more.changed, settled.wake or more.wake, more.jobs)
            if logs:
                await connection.execute(sql("occurrences/insert_logs"), *_log_columns(logs))
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
            (e.occurrence, e.attempt, uuid.UUID(e.token), e.seq, max(0.0, e.duration), self._result(e))
            for e in sorted(events, key=lambda e: e.occurrence)
        ]
        done = await connection.fetch(sql("occurrences/finish_succeeded"), *columns(rows, 6))
        ids = [row["id"] for row in done]
        promoted = await release(connection, ids, locked)
        return Settled([*ids, *promoted], bool(promoted)), {row["job_id"] for row in done if row["backfill_id"] is None}

    def _result(self, event: Finished) -> str:
        raw = bytes(event.result)
        if len(raw) > self._settings.result_limit:
            raise ValueError(f"the result has {len(raw)} bytes; at most {self._settings.result_limit} are kept")
        return clean_json(raw).decode()

    def _ending(self, event: Finished) -> Ending:
        error = event.error
        return Ending(
            occurrence=event.occurrence,
            outcome=event.outcome,
            claim=(event.attempt, event.token),
            error=None
            if error is None or event.outcome == "skipped"
            else _error_json(error.type, error.message, error.traceback),
            reason=clean_text(error.message[:500]) if error is not None and event.outcome in ("cancelled", "skipped") else None,
            duration=max(0.0, event.duration),
            may_retry=event.retry,
            retry_after=event.retry_after,
            max_snoozes=DEFAULT_SNOOZES if event.max_snoozes is UNSET else event.max_snoozes,
        )

    def _tell(self, settled: Settled) -> None:
        if settled.changed:
            self._hints.send(Hint("occurrences", tuple(settled.changed)))
        if settled.jobs:
            self._hints.send(Hint("jobs", tuple(settled.jobs)))
        if settled.wake:
            self._hints.send(Hint("wake"))


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
        (e.occurrence, e.attempt, uuid.UUID(e.token), e.seq, _checkpoint(e)) for e in sorted(events, key=lambda e: e.occurrence)
    ]
    return columns(rows, 5)


def _checkpoint(event: Checkpoint) -> str:
    raw = bytes(event.data)
    if len(raw) > MAX_CHECKPOINT:
        raise ValueError(f"the checkpoint has {len(raw)} bytes; at most {MAX_CHECKPOINT} are kept")
    return clean_json(raw).decode()


def _log_columns(logs: Sequence[tuple[uuid.UUID, Log]]) -> list[list[object]]:
    rows = [
        (
            e.occurrence,
            e.attempt,
            worker,
            e.seq,
            e.at,
            e.level,
            clean_text(e.message[:MAX_LOG_MESSAGE]),
            None if e.fields is None else clean_json(msgspec.json.encode(e.fields)).decode(),
            uuid.UUID(e.token),
        )
        for worker, e in logs
    ]
    return columns(rows, 9)
