"""What servers do, without tables: jobs that are due become occurrences, and workers are told."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from leveret.testing.clock import Clock
from leveret.testing.occurrences import Occurrences, key_of
from leveret.testing.records import Job, Occurrence, ServerRules
from leveret.testing.settlement import Settlement
from leveret_core.errors import Conflict
from leveret_core.job_definition import JobDefinition
from leveret_core.planning import CATCH_UP_LIMIT, DueJob, first_due, plan, settled
from leveret_core.states import FINAL, State
from leveret_core.triggers import fire_delay, next_fire_time

MICRO = timedelta(microseconds=1)


class Server:
    """Jobs and their occurrences under the product's rules.

    Args:
        clock: what it goes by.
        rules: its settings.
        rng: what the delays of retries are drawn from.
        interrupt: called with a running occurrence that has to end.
    """

    def __init__(self, clock: Clock, rules: ServerRules, rng: random.Random, interrupt: Callable[[Occurrence], None]) -> None:
        self.jobs: dict[str, Job] = {}
        self.occurrences = Occurrences(lambda: clock.now, interrupt)
        self.settlement = Settlement(clock, rng, self.occurrences, self.pause)
        self.dispatching = True
        """Whether there is a dispatcher. Without one nothing new is due, tried again or told to workers."""
        self._clock = clock
        self._rules = rules
        self._interrupt = interrupt
        self._publications = itertools.count(1)

    # Jobs

    def define(self, definition: JobDefinition) -> Job:
        """Make a job that is due from now on."""
        if definition.name in self.jobs:
            raise Conflict(f"there is a job named {definition.name} already")
        definition = msgspec.structs.replace(
            definition, trigger=settled(definition.trigger, None, self._clock.now, definition.name)
        )
        due = first_due(definition.trigger, self._clock.now)
        job = self.jobs[definition.name] = Job(len(self.jobs) + 1, definition, due)
        return job

    def pause(self, job: Job, reason: str | None) -> None:
        """Let it be due no more."""
        job.paused, job.pause_reason, job.next_fire_at = True, reason, None

    def resume(self, job: Job) -> None:
        """Let it be due again, from now on."""
        if not job.paused:
            return
        used_up = job.definition.max_runs is not None and job.runs >= job.definition.max_runs
        job.paused, job.pause_reason, job.failures = False, None, 0
        job.next_fire_at = None if used_up else next_fire_time(job.definition.trigger, self._clock.now)

    # Occurrences

    def create(self, job: Job, at: datetime, origin: str, **given: Any) -> Occurrence:
        """A new occurrence that was not admitted yet; `given` replaces what it has from its job."""
        says = job.definition
        payload = given.pop("payload", None)
        payload = says.payload if payload is None else payload
        return Occurrence(
            id=len(self.occurrences.all) + 1,
            of=job,
            type=says.type,
            payload=payload,
            priority=given.pop("priority", says.priority),
            scheduled_for=at,
            origin=origin,
            state=given.pop("state", State.PENDING),
            timeout=says.timeout,
            retry=says.retry,
            concurrency_key=key_of(says.concurrency_key, payload),
            **given,
        )

    def run_now(self, job: Job, origin: str, **given: Any) -> Occurrence:
        """Make an occurrence for this moment."""
        if job.definition.concurrency != "allow":
            # What is due already goes first, although there may be no dispatcher.
            self._admit_planned(job)
        occurrence = self.create(job, self._free_instant(job, self._clock.now), origin, **given)
        self.occurrences.add(occurrence)
        self.occurrences.admit(job, [occurrence])
        return occurrence

    def run_later(self, job: Job, due: datetime, **given: Any) -> Occurrence:
        """Plan an occurrence that is admitted when it is due."""
        at = self._free_instant(job, max(due, self._clock.now))
        occurrence = self.create(job, at, "manual", state=State.SCHEDULED, **given)
        self.occurrences.add(occurrence)
        return occurrence

    def cancel(self, occurrence: Occurrence, reason: str) -> None:
        """End it: at once what no worker runs, otherwise when its worker has stopped it."""
        if occurrence.state in FINAL:
            raise Conflict(f"occurrence {occurrence.id} is already {occurrence.state}; it is too late to cancel it")
        if occurrence.state is State.CANCELLING:
            return
        occurrence.reason = reason
        if occurrence.state is State.RUNNING:
            occurrence.state = State.CANCELLING
            self._interrupt(occurrence)
        else:
            self.occurrences.end(occurrence, State.CANCELLED)

    def last_success_of(self, occurrence: Occurrence) -> datetime | None:
        """What the latest success of its job before it was scheduled for."""
        before = (o.scheduled_for for o in self.occurrences.all if o.of is occurrence.of and o.state is State.SUCCEEDED)
        return max((at for at in before if at < occurrence.scheduled_for), default=None)

    # Time

    def next_due(self) -> datetime | None:
        """When there is something to do next."""
        times: list[datetime | None] = [o.lost_at for o in self.occurrences.live.values()]
        if self.dispatching:
            times += [job.next_fire_at for job in self.jobs.values()]
            times += [o.retry_at for o in self.occurrences.live.values()]
            times += [o.begins_at for o in self.occurrences.live.values() if o.state is State.PENDING]
            times += [o.scheduled_for for o in self.occurrences.live.values() if o.state is State.SCHEDULED]
        return min((at for at in times if at is not None), default=None)

    def tick(self) -> None:
        """Do what is due."""
        now = self._clock.now
        lost = [o for o in self.occurrences.live.values() if o.lost_at is not None and o.lost_at <= now]
        for occurrence in lost:
            occurrence.lost_at = None
        self.settlement.lost(lost)
        if not self.dispatching:
            return
        due = [job for job in self.jobs.values() if job.next_fire_at is not None and job.next_fire_at <= now]
        for job in sorted(due, key=lambda j: (j.next_fire_at, j.id)):
            missed: Occurrence | None = None
            while job.next_fire_at is not None and job.next_fire_at <= now:
                missed = self._fire(job, job.next_fire_at, missed)
        self._admit_and_publish()
        for occurrence in sorted(self.occurrences.live.values(), key=lambda o: (o.retry_at or now, o.id)):
            if occurrence.retry_at is not None and occurrence.retry_at <= now:
                occurrence.state, occurrence.retry_at = State.PENDING, None
        for occurrence in self.occurrences.live.values():
            if occurrence.begins_at is not None and occurrence.begins_at <= now:
                occurrence.begins_at, occurrence.published = None, next(self._publications)
        self._publish(o for o in self.occurrences.live.values() if o.state is State.PENDING and o.begins_at is None)

    def told(self) -> list[Occurrence]:
        """What workers may begin, in the order in which they were told of it."""
        told = [o for o in self.occurrences.live.values() if o.published is not None and o.state is State.PENDING]
        return sorted(told, key=lambda o: o.published or 0)

    def _fire(self, job: Job, tick: datetime, missed: Occurrence | None) -> Occurrence | None:
        """Create what a bounded number of ticks make. What is missed is added to `missed`, or makes it."""
        says, now = job.definition, self._clock.now
        left = None if says.max_runs is None else max(0, says.max_runs - job.runs)
        together = self.occurrences.together(job, key_of(says.concurrency_key, says.payload))
        window = timedelta(seconds=says.catch_up_window)
        decided = plan(DueJob(says.trigger, tick, says.catch_up, window, left, together=together), now)
        if decided.missed:
            count, first, last = decided.missed
            if missed is None:
                missed = self.create(job, first, "schedule", state=State.MISSED, missed=(0, last))
                self.occurrences.add(missed)
            count += missed.missed[0] if missed.missed else 0
            missed.missed, missed.reason = (count, last), _too_late(count, says)
        batch: list[Occurrence] = []
        for at in decided.fire:
            occurrence = self.create(job, at, "schedule")
            deferred = timedelta(seconds=fire_delay(says.trigger, job.id, at))
            occurrence.begins_at = at + deferred if at + deferred > now else None
            self.occurrences.add(occurrence)
            batch.append(occurrence)
        if batch:
            self.occurrences.admit(job, batch)
            told = [o for o in batch if o.state is State.PENDING and o.begins_at is None]
            self._publish(told, by_priority=False)
        job.runs += len(batch)
        job.next_fire_at = decided.next_fire_at
        return missed

    def _admit_and_publish(self) -> None:
        """Admit what was planned for later and is due, and tell workers."""
        for batch in self._admit_planned():
            self._publish((o for o in batch if o.state is State.PENDING), by_priority=False)

    def _admit_planned(self, job: Job | None = None) -> list[list[Occurrence]]:
        """Admit what is due of one job, or of all, those of a concurrency queue together."""
        queues: dict[tuple[int, str], list[Occurrence]] = {}
        due = [o for o in self.occurrences.live.values() if o.state is State.SCHEDULED and o.scheduled_for <= self._clock.now]
        planned = [o for o in due if job is None or o.of is job]
        for occurrence in sorted(planned, key=lambda o: (o.scheduled_for, o.id)):
            occurrence.concurrency_key = key_of(occurrence.of.definition.concurrency_key, occurrence.payload)
            queues.setdefault((occurrence.of.id, occurrence.concurrency_key), []).append(occurrence)
        for batch in queues.values():
            self.occurrences.admit(batch[0].of, batch)
        return list(queues.values())

    def _publish(self, candidates: Iterable[Occurrence], *, by_priority: bool = True) -> None:
        """Tell workers of what may begin, as far as the window of each type allows."""
        waiting = [o for o in candidates if o.published is None]
        if by_priority:
            waiting.sort(key=lambda o: (-o.priority, o.id))
        for occurrence in waiting:
            same = [o for o in self.occurrences.live.values() if o.type == occurrence.type and o.state is State.PENDING]
            behind = not by_priority and any(o.published is None and o.begins_at is None and o.id < occurrence.id for o in same)
            # What jitter defers counts, as it does in the product.
            told = sum(o.published is not None or o.begins_at is not None for o in same)
            if not behind and told < self._rules.publish_window:
                occurrence.published = next(self._publications)

    def _free_instant(self, job: Job, at: datetime) -> datetime:
        # On the full second stand ticks.
        at += MICRO if at.microsecond == 0 else timedelta()
        taken = {o.scheduled_for for o in self.occurrences.all if o.of is job and o.origin != "schedule"}
        while at in taken:
            at += MICRO
        return at


def _too_late(count: int, says: JobDefinition) -> str:
    catch_up = says.catch_up
    newer = ", or gave way to newer ones" if says.concurrency == "skip" and catch_up != "none" else ""
    newest = f", or were not among the newest {CATCH_UP_LIMIT}" if catch_up == "all" else ""
    return f"{count} tick{'s' * (count != 1)} came too late for catch_up={catch_up}{newest}{newer}"
