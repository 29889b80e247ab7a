"""Slots and concurrency queues of jobs: what the server keeps in tables, kept in lists. `leveret_core.concurrency` decides."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from leveret.testing.records import Job, Occurrence
from leveret_core.concurrency import Decision, Limits, New, QueueLoad, decide, effects, free_slots, with_state
from leveret_core.states import FINAL, State

LONGEST_KEY = 200
"""Characters of a concurrency key that is shown as it is."""


class Occurrences:
    """All occurrences, the slots they hold, and the concurrency queues in which they wait.

    Args:
        now: the clock.
        interrupt: called with a running occurrence that has to end.
    """

    def __init__(self, now: Callable[[], datetime], interrupt: Callable[[Occurrence], None]) -> None:
        self.all: list[Occurrence] = []
        self.live: dict[int, Occurrence] = {}
        self._now = now
        self._interrupt = interrupt

    def add(self, occurrence: Occurrence) -> None:
        """Keep a new occurrence, whose id is the next."""
        self.all.append(occurrence)
        if occurrence.state in FINAL:
            occurrence.finished_at = self._now()
        else:
            self.live[occurrence.id] = occurrence

    def admit(self, job: Job, batch: Sequence[Occurrence]) -> None:
        """Decide about occurrences of one job and key that are due together, in order, and give them their slots."""
        key = batch[0].concurrency_key
        new = [New(key) for _ in batch]
        decisions = [self._with_state(d) for d in decide(new, {key: self._load(job, key)})]
        for occurrence, decision in zip(batch, decisions, strict=True):
            occurrence.state, occurrence.slot, occurrence.reason = decision.state, decision.slot, decision.reason
            occurrence.blocker = decision.blocker if isinstance(decision.blocker, int) else None
            if decision.state is not State.PENDING:
                occurrence.begins_at = None
            if decision.state in FINAL:
                self._leave(occurrence)
        found = effects(new, decisions, [occurrence.id for occurrence in batch])
        for occurrence_id, blocker in found.blockers:
            self.all[occurrence_id - 1].blocker = blocker
        for old, newer in sorted(found.replaced):
            self._replace(self.live[old], newer)

    def together(self, job: Job, key: str) -> int | None:
        """As `QueueLoad.together`."""
        return self._load(job, key).together

    def end(self, occurrence: Occurrence, state: State) -> None:
        """Make an occurrence final, and admit the next of its concurrency queue."""
        occurrence.state, occurrence.retry_at, occurrence.begins_at = state, None, None
        had_slot, occurrence.slot = occurrence.slot is not None, None
        self._leave(occurrence)
        if had_slot:
            self._admit_next(occurrence.of, occurrence.concurrency_key)

    def queue(self, job: Job, key: str, *states: State) -> list[Occurrence]:
        """The live occurrences of a job and key in one of `states`, in the order of their times."""
        found = [o for o in self.live.values() if o.of is job and o.concurrency_key == key and o.state in states]
        return sorted(found, key=lambda o: (o.scheduled_for, o.id))

    def _with_state(self, decision: Decision) -> Decision:
        if decision.state is not State.SKIPPED or not isinstance(decision.blocker, int):
            return decision
        return with_state(decision, self.live[decision.blocker].state.value)

    def _leave(self, occurrence: Occurrence) -> None:
        occurrence.finished_at = self._now()
        self.live.pop(occurrence.id, None)

    def _load(self, job: Job, key: str) -> QueueLoad:
        says = job.definition
        load = QueueLoad(Limits(says.concurrency, says.max_concurrent, says.max_waiting, key))
        if says.concurrency == "allow":
            return load
        holders = self._holders(job, key)
        load.taken = {o.slot: o.id for o in holders if o.slot is not None}
        if holders:
            waiting = self.queue(job, key, State.WAITING)
            load.waiting = len(waiting)
            load.waiting_ids = {o.id for o in waiting}
            load.stopping = {o.id for o in holders if o.state is State.CANCELLING}
        return load

    def _holders(self, job: Job, key: str) -> list[Occurrence]:
        return [o for o in self.live.values() if o.of is job and o.concurrency_key == key and o.slot is not None]

    def _admit_next(self, job: Job, key: str) -> None:
        taken = {o.slot for o in self._holders(job, key) if o.slot is not None}
        waiting = self.queue(job, key, State.WAITING)
        for occurrence, slot in zip(waiting, free_slots(job.definition.max_concurrent, taken), strict=False):
            occurrence.state, occurrence.slot, occurrence.reason = State.PENDING, slot, None

    def _replace(self, old: Occurrence, new: int) -> None:
        if old.state is State.CANCELLING:
            return
        old.reason, old.blocker = f"replaced by occurrence {new}", new
        if old.state is State.RUNNING:
            old.state = State.CANCELLING
            self._interrupt(old)
        else:
            self.end(old, State.CANCELLED)


def key_of(path: str | None, payload: dict[str, Any]) -> str:
    """The concurrency key that a payload has: the value at the dotted path, as text."""
    if path is None:
        return ""
    value: Any = payload
    for word in path.split("."):
        if isinstance(value, dict):
            fields: dict[str, Any] = value
            value = fields.get(word)
        elif isinstance(value, list) and word.lstrip("-").isdigit():
            items: list[Any] = value
            number = int(word)
            value = items[number] if -len(items) <= number < len(items) else None
        else:
            return ""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) <= LONGEST_KEY and not text.startswith("backfill:"):
        return text
    return "md5:" + hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
