"""Slots and lines of jobs: what the server keeps in tables, kept in lists. The decisions are those of `leveret_core.policy`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from leveret.testing.records import Job, Occurrence
from leveret_core.policy import Admission, JobLoad, named
from leveret_core.states import FINAL, State

LONGEST_KEY = 200
"""Characters of a concurrency key that is shown as it is."""


class Lines:
    """All occurrences, and the places they hold.

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
        """Decide about occurrences of one job and key that are due together, in order, and give them their places."""
        load = self._load(job, batch[0].concurrency_key)
        admitted = [(o, self._named(load.admit(len(batch) - n))) for n, o in enumerate(batch, 1)]
        began = next((o.id for o, a in admitted if a.slot is not None), None)
        replaced: list[tuple[int, int]] = []
        for occurrence, admission in admitted:
            occurrence.state, occurrence.slot, occurrence.reason = admission.state, admission.slot, admission.reason
            occurrence.blocker = _blocker(admission, batch[-1].id if job.definition.concurrency == "replace" else began)
            replaced += [(old, occurrence.id) for old in admission.replaces]
            if admission.state is not State.PENDING:
                occurrence.begins_at = None
            if admission.state in FINAL:
                self._leave(occurrence)
        for old, new in sorted(replaced):
            self._replace(self.live[old], new)

    def together(self, job: Job, key: str) -> int | None:
        """As `JobLoad.together`."""
        return self._load(job, key).together

    def end(self, occurrence: Occurrence, state: State) -> None:
        """Make an occurrence final, and let the next in line have its place."""
        occurrence.state, occurrence.retry_at, occurrence.begins_at = state, None, None
        had_place, occurrence.slot = occurrence.slot is not None, None
        self._leave(occurrence)
        if had_place:
            self._promote(occurrence.of, occurrence.concurrency_key)

    def of_line(self, job: Job, key: str, *states: State) -> list[Occurrence]:
        """The live occurrences of a job and key in one of `states`, in the order of their times."""
        found = [o for o in self.live.values() if o.of is job and o.concurrency_key == key and o.state in states]
        return sorted(found, key=lambda o: (o.scheduled_for, o.id))

    def _named(self, admission: Admission) -> Admission:
        if admission.state is not State.SKIPPED or not admission.blocker:
            return admission
        return named(admission, self.live[admission.blocker].state.value)

    def _leave(self, occurrence: Occurrence) -> None:
        occurrence.finished_at = self._now()
        self.live.pop(occurrence.id, None)

    def _load(self, job: Job, key: str) -> JobLoad:
        says = job.definition
        load = JobLoad(says.concurrency, says.max_concurrent, says.max_waiting, key)
        if says.concurrency == "allow":
            return load
        holders = self._holders(job, key)
        load.taken = {o.slot: o.id for o in holders if o.slot is not None}
        if holders:
            waiting = self.of_line(job, key, State.WAITING)
            load.waiting = len(waiting)
            load.in_line = {o.id for o in waiting}
            load.stopping = {o.id for o in holders if o.state is State.CANCELLING}
        return load

    def _holders(self, job: Job, key: str) -> list[Occurrence]:
        return [o for o in self.live.values() if o.of is job and o.concurrency_key == key and o.slot is not None]

    def _promote(self, job: Job, key: str) -> None:
        taken = {o.slot for o in self._holders(job, key)}
        free = [n for n in range(1, job.definition.max_concurrent + 1) if n not in taken]
        line = self.of_line(job, key, State.WAITING)
        for occurrence, slot in zip(line, free[: job.definition.max_concurrent - len(taken)], strict=False):
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
            held: dict[str, Any] = value
            value = held.get(word)
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


def _blocker(admission: Admission, of_batch: int | None) -> int | None:
    return of_batch if admission.blocker == 0 else admission.blocker
