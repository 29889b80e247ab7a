"""Events in memory, in their order and within bounds: ends of attempts are kept, of the rest the oldest are dropped."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from leveret.worker.attempt_key import AttemptKey
from leveret_core.messages import Checkpoint, Event, Events, Finished, Log, encode

MAX_BATCH = 500
MAX_BATCH_BYTES = 1024 * 1024
"""About where a batch ends; far below what a server reads."""
_FIELD = 100
"""Bytes that a log field is taken for, besides its text."""


class Entry(NamedTuple):
    """An event of incarnation `worker` on its way.

    Attributes:
        order: its place among all events of the worker.
        size: bytes that it takes, about.
        confirmed: called when the broker has it.
        records: how many log records it tells of.
    """

    order: int
    worker: str
    event: Event
    size: int
    confirmed: Callable[[], None] | None = None
    records: int = 1


class End(NamedTuple):
    """What remains of an attempt's last event while the event itself is on disk: small, whatever its result was."""

    key: AttemptKey
    confirmed: Callable[[], None] | None


class Outbox:
    """Two queues, taken from as one: ends of attempts, and the rest. Safe to use from any thread.

    Of the rest, logs and progress are dropped when there are too many; the latest checkpoint of an attempt is not, and is then
    kept with the ends.

    Args:
        events: of the rest, at most.
        size: bytes that those may take, about; and bytes of ends from which on there is no more `room`.
    """

    def __init__(self, events: int, size: int) -> None:
        self._events = events
        self._size = size
        self._order = itertools.count()
        self._lock = threading.Lock()
        self._ends: deque[Entry] = deque()
        self._others: deque[Entry] = deque()
        self._end_bytes = 0
        self._other_bytes = 0
        self._dropped: dict[AttemptKey, tuple[int, Entry]] = {}
        self._checkpoints: dict[AttemptKey, int] = {}
        """Attempt → the order of its latest checkpoint in here."""

    def __len__(self) -> int:
        return len(self._ends) + len(self._others)

    def room(self, taken: int) -> bool:
        """Whether the ends there are, and `taken` bytes of those that were taken out, leave room for more."""
        return self._end_bytes + taken < self._size

    def add(self, worker: str, event: Event) -> None:
        """Put in anything but an end; where there is no room the oldest logs are dropped, and counted."""
        with self._lock:
            entry = Entry(next(self._order), worker, event, size_of(event))
            if isinstance(event, Checkpoint):
                self._checkpoints[event.occurrence, event.attempt] = entry.order
            self._others.append(entry)
            self._other_bytes += entry.size
            self._shrink()

    def finish(self, worker: str, event: Finished, confirmed: Callable[[], None] | None) -> None:
        """Put in the last event of an attempt; `confirmed` is called when the broker has it."""
        with self._lock:
            entry = Entry(next(self._order), worker, event, size_of(event), confirmed)
            self._ends.append(entry)
            self._end_bytes += entry.size

    def take(self, *, ends_only: bool = False) -> list[Entry]:
        """Take out the next batch, in the order things happened, of one incarnation. Empty when there is nothing."""
        batch: list[Entry] = []
        size = 0
        with self._lock:
            if self._dropped and not ends_only:
                one = next(iter(self._dropped.values()))[1].worker
                told = [key for key, (_, first) in self._dropped.items() if first.worker == one][:MAX_BATCH]
                batch = [_notice(*self._dropped.pop(key)) for key in told]
            ends, others = self._ends, self._others
            while (ends or (others and not ends_only)) and len(batch) < MAX_BATCH and size < MAX_BATCH_BYTES:
                from_ends = ends_only or bool(ends and (not others or ends[0].order < others[0].order))
                queue = ends if from_ends else others
                if batch and queue[0].worker != batch[0].worker:
                    break
                entry = queue.popleft()
                if from_ends:
                    self._end_bytes -= entry.size
                else:
                    self._other_bytes -= entry.size
                if isinstance(entry.event, Checkpoint):
                    self._is_latest(entry, forget=True)
                batch.append(entry)
                size += entry.size
        return batch

    def put_back(self, batch: Sequence[Entry]) -> None:
        """Put what was taken last before everything else."""
        with self._lock:
            for entry in reversed(batch):
                if isinstance(entry.event, Finished):
                    self._ends.appendleft(entry)
                    self._end_bytes += entry.size
                    continue
                if isinstance(entry.event, Checkpoint):
                    self._checkpoints.setdefault((entry.event.occurrence, entry.event.attempt), entry.order)
                self._others.appendleft(entry)
                self._other_bytes += entry.size
            self._shrink()

    def _shrink(self) -> None:
        while len(self._others) > self._events or (self._other_bytes > self._size and len(self._others) > 1):
            entry = self._others.popleft()
            self._other_bytes -= entry.size
            if isinstance(entry.event, Log):
                key = (entry.event.occurrence, entry.event.attempt)
                count, first = self._dropped.get(key, (0, entry))
                self._dropped[key] = (count + entry.records, first)
            elif isinstance(entry.event, Checkpoint) and self._is_latest(entry):
                self._ends.appendleft(entry)
                self._end_bytes += entry.size

    def _is_latest(self, entry: Entry, *, forget: bool = False) -> bool:
        key = (entry.event.occurrence, entry.event.attempt)
        latest = self._checkpoints.get(key) == entry.order
        if latest and forget:
            del self._checkpoints[key]
        return latest


def encode_batch(batch: Sequence[Entry]) -> bytes:
    """The message for the servers; `batch` is of one incarnation."""
    return encode(Events(worker=batch[0].worker, events=[entry.event for entry in batch]))


def ends_of(batch: Sequence[Entry]) -> list[End]:
    """The ends of attempts in a batch."""
    return [End((e.event.occurrence, e.event.attempt), e.confirmed) for e in batch if isinstance(e.event, Finished)]


def size_of(event: Event) -> int:
    """About how many bytes `event` takes in memory."""
    if isinstance(event, Finished):
        error = event.error
        return 300 + len(event.result) + (2 * (len(error.traceback) + len(error.message)) if error else 0)
    if isinstance(event, Checkpoint):
        return 200 + len(event.data)
    size = 200 + 2 * len(event.message)
    if isinstance(event, Log) and event.fields:
        size += sum(_FIELD + (2 * len(value) if isinstance(value, str) else _FIELD) for value in event.fields.values())
    return size


def _notice(count: int, first: Entry) -> Entry:
    """Takes the place of the dropped records of an attempt, under the number of the first of them."""
    event = first.event
    assert isinstance(event, Log)
    notice = Log(
        occurrence=event.occurrence,
        attempt=event.attempt,
        token=event.token,
        seq=event.seq,
        at=datetime.now(UTC),
        level="warning",
        message=f"{count} log records were dropped because the broker could not be reached",
    )
    return Entry(first.order, first.worker, notice, size_of(notice), records=count)
