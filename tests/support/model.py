"""What should be in the tables, kept by plain Python: small, slow, and written from the promises instead of the code."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

FINAL = frozenset({"succeeded", "failed", "timed_out", "cancelled", "skipped", "missed"})
ON_TIME = timedelta(seconds=60)


@dataclass
class Retry:
    """A job's retry policy; delays do not grow."""

    max_attempts: int
    delay: float
    max_lost: int


@dataclass
class ModelJob:
    """A job; `due` are the ticks that came to pass while it was active."""

    id: int
    start: datetime
    every: timedelta
    concurrency: str
    max_concurrent: int
    max_waiting: int
    catch_up: str
    window: timedelta
    retry: Retry
    timeout: float | None
    max_runs: int | None
    next_fire_at: datetime | None = None
    payload: int = 0
    version: int = 1
    runs: int = 0
    paused: bool = False
    deleted: bool = False
    due: list[datetime] = field(default_factory=list[datetime])

    def tick_after(self, now: datetime) -> datetime:
        tick = self.start
        while tick <= now:
            tick += self.every
        return tick

    @property
    def used_up(self) -> bool:
        return self.max_runs is not None and self.runs >= self.max_runs


@dataclass
class ModelOccurrence:
    """An occurrence; `between` bounds the time of a retry that only Postgres knows exactly."""

    id: int
    job: ModelJob
    scheduled_for: datetime
    origin: str
    state: str
    epoch: int | None
    version: int
    payload: int
    retry: Retry
    timeout: float | None
    slot: bool = False
    attempt: int = 0
    lost: int = 0
    released: int = 0
    snoozed: int = 0
    worker: str | None = None
    token: str | None = None
    started_at: datetime | None = None
    retry_at: datetime | None = None
    between: tuple[datetime, datetime] | None = None
    missed: tuple[int, datetime] | None = None
    blockers: frozenset[int] = frozenset()


@dataclass
class Word:
    """What a worker says of the end of an attempt."""

    occurrence: int
    attempt: int
    token: str
    outcome: str
    retry: bool = True
    retry_after: float | None = None
    max_snoozes: int = 100


class Model:
    """Jobs, occurrences and workers under a clock that stands still until it is moved."""

    def __init__(self, now: datetime, lease: float) -> None:
        self.now = now
        self.epoch = 0
        self.lease = timedelta(seconds=lease)
        self.jobs: dict[int, ModelJob] = {}
        self.occurrences: dict[int, ModelOccurrence] = {}
        self.keys: dict[tuple[int, str], int] = {}
        self.alive: dict[str, datetime] = {}

    # Looking

    def of(self, job: ModelJob, *states: str) -> list[ModelOccurrence]:
        found = [o for o in self.occurrences.values() if o.job is job and o.state in states]
        return sorted(found, key=lambda o: (o.scheduled_for, o.id))

    def holders(self, job: ModelJob) -> list[ModelOccurrence]:
        return [o for o in self.occurrences.values() if o.job is job and o.slot]

    def live(self) -> list[ModelOccurrence]:
        return [o for o in self.occurrences.values() if o.state not in FINAL]

    def held_by(self, workers: Iterable[str]) -> list[ModelOccurrence]:
        held = set(workers)
        return [o for o in self.live() if o.state in ("running", "cancelling") and o.worker in held]

    # Creating

    def tick(self, find: Callable[[int, datetime], int]) -> None:
        """A scheduler looks; `find` gives the id of what it created for (job, instant)."""
        for job in self.jobs.values():
            ticks: list[datetime] = []
            tick = job.next_fire_at
            while tick is not None and tick <= self.now:
                ticks.append(tick)
                tick += job.every
            if not ticks:
                continue
            fire = [t for t in ticks if self._fires(job, t, newest=t == ticks[-1])]
            if job.concurrency == "skip":
                # No more than there are places: what has not begun is no reason to skip another.
                free = 0 if self.of(job, "waiting") else job.max_concurrent - len(self.holders(job))
                fire = fire[-max(1, free) :]
            late = [t for t in ticks if t not in fire]
            job.next_fire_at = tick
            if job.max_runs is not None and job.runs + len(fire) >= job.max_runs:
                fire = fire[: job.max_runs - job.runs]
                job.next_fire_at = None
            if late:
                record = self._new(find(job.id, late[0]), job, late[0], "schedule", "missed", self.epoch)
                record.missed = (len(late), late[-1])
            for t in fire:
                self.admit(find(job.id, t), job, t, "schedule", self.epoch)
            job.runs += len(fire)
            job.due += late + fire

    def _fires(self, job: ModelJob, tick: datetime, *, newest: bool) -> bool:
        age = self.now - tick
        if age <= ON_TIME:
            return newest or job.catch_up != "none"
        return age <= job.window and (job.catch_up == "all" or (job.catch_up == "latest" and newest))

    def admit(self, id_: int, job: ModelJob, at: datetime, origin: str, epoch: int | None) -> ModelOccurrence:
        made = self._new(id_, job, at, origin, "scheduled", epoch)
        self._begin(made)
        return made

    def plan(self, id_: int, job: ModelJob, at: datetime) -> None:
        self._new(id_, job, at, "manual", "scheduled", None)

    def admit_due(self) -> None:
        """What was planned for later and is due comes under the policy that its job has now."""
        for o in self._due():
            o.epoch = self.epoch
            self._begin(o)

    def by_hand(self, id_: int, job: ModelJob, at: datetime, origin: str) -> ModelOccurrence:
        """A trigger or requeue. What is due already goes first."""
        for o in self._due():
            if o.job is job and job.concurrency != "allow":
                self._begin(o)
        return self.admit(id_, job, at, origin, None)

    def _due(self) -> list[ModelOccurrence]:
        due = [o for o in self.live() if o.state == "scheduled" and o.scheduled_for <= self.now]
        return sorted(due, key=lambda o: (o.scheduled_for, o.id))

    def _begin(self, o: ModelOccurrence) -> None:
        job = o.job
        holders, waiting = self.holders(job), self.of(job, "waiting")
        if job.concurrency == "allow":
            o.state = "pending"
        elif len(holders) < job.max_concurrent and not waiting:
            o.state, o.slot = "pending", True
        else:
            waits = job.concurrency == "queue" and len(waiting) < job.max_waiting
            o.state = "waiting" if waits else "skipped"
            o.blockers = frozenset(h.id for h in holders)

    def _new(self, id_: int, job: ModelJob, at: datetime, origin: str, state: str, epoch: int | None) -> ModelOccurrence:
        assert id_ not in self.occurrences, f"occurrence {id_} was created before"
        made = ModelOccurrence(id_, job, at, origin, state, epoch, job.version, job.payload, job.retry, job.timeout)
        self.occurrences[id_] = made
        return made

    # Running

    def claim(self, worker: str, id_: int, attempt: int) -> str:
        """The desk's answer; with `granted` there is a new token if `token` is None now."""
        if worker not in self.alive:
            return "unknown"
        o = self.occurrences.get(id_)
        if o is None:
            return "stale"
        if o.state == "pending" and attempt == o.attempt + 1:
            o.state, o.attempt, o.worker, o.token, o.started_at = "running", attempt, worker, None, self.now
            return "granted"
        if o.state in ("running", "cancelling") and (o.worker, o.attempt) == (worker, attempt):
            return "granted" if o.state == "running" else "cancelled"
        return "not_yet" if o.state in ("waiting", "retrying") and o.attempt < attempt else "stale"

    def report(self, words: Iterable[Word]) -> None:
        """One batch: successes count before everything else."""
        batch = list(words)
        for word in [w for w in batch if w.outcome == "succeeded"] + [w for w in batch if w.outcome != "succeeded"]:
            o = self.occurrences[word.occurrence]
            if o.state in ("running", "cancelling") and (o.attempt, o.token) == (word.attempt, word.token):
                self.end(o, word.outcome, retry=word.retry, retry_after=word.retry_after, max_snoozes=word.max_snoozes)

    def end(
        self,
        o: ModelOccurrence,
        outcome: str,
        *,
        retry: bool = True,
        retry_after: float | None = None,
        max_snoozes: int = 100,
    ) -> None:
        o.snoozed += outcome == "snoozed"
        o.lost += outcome == "lost"
        o.released += outcome == "released"
        if outcome == "succeeded":
            self._finish(o, "succeeded")
        elif outcome == "cancelled" or o.state == "cancelling" or (outcome == "released" and o.job.deleted):
            self._finish(o, "cancelled")
        elif outcome == "released":
            o.state, o.token = "pending", None
        elif outcome == "skipped":
            self._finish(o, "skipped")
        elif outcome == "snoozed":
            if o.snoozed > max_snoozes:
                self._finish(o, "failed")
            elif o.job.deleted:
                self._finish(o, "cancelled")
            else:
                self._later(o, retry_after or 0, retry_after or 0)
        elif outcome == "lost":
            if o.lost >= o.retry.max_lost or o.job.deleted:
                self._finish(o, "failed")
            else:
                self._later(o, o.retry.delay * (o.lost - 1), o.retry.delay * (o.lost - 1))
        elif retry and not o.job.deleted and o.attempt - o.lost - o.released - o.snoozed < o.retry.max_attempts:
            self._later(o, *((o.retry.delay / 2, o.retry.delay) if retry_after is None else (retry_after, retry_after)))
        else:
            self._finish(o, outcome)

    def _later(self, o: ModelOccurrence, least: float, most: float) -> None:
        o.state, o.token = "retrying", None
        o.between = (self.now + timedelta(seconds=least), self.now + timedelta(seconds=most))

    def _finish(self, o: ModelOccurrence, state: str) -> None:
        o.state, o.token, o.retry_at, o.between = state, None, None, None
        if o.slot:
            o.slot = False
            self.admit_next(o.job)

    def admit_next(self, job: ModelJob) -> None:
        for o in self.of(job, "waiting")[: max(0, job.max_concurrent - len(self.holders(job)))]:
            o.state, o.slot = "pending", True

    def retry_due(self) -> None:
        for o in self.live():
            if o.state == "retrying" and o.retry_at is not None and o.retry_at <= self.now:
                o.state, o.retry_at, o.between = "pending", None, None

    def reap(self) -> None:
        for o in self.live():
            if o.state not in ("running", "cancelling") or o.timeout is None or o.worker not in self.alive:
                continue
            assert o.started_at is not None
            deadline = o.started_at + timedelta(seconds=o.timeout)
            # Who was silent since before the deadline may be dead: what it runs is lost with its lease.
            if deadline < self.now and self.alive[o.worker] - self.lease >= deadline:
                self.end(o, "timed_out")
        self.leave([w for w, until in self.alive.items() if until < self.now], "lost")

    def leave(self, workers: list[str], outcome: str) -> None:
        """Workers end; what they hold is lost or released."""
        for worker in workers:
            del self.alive[worker]
        for o in self.held_by(workers):
            self.end(o, outcome)

    def cancel(self, o: ModelOccurrence) -> str | None:
        """The state after it, None when it is too late."""
        if o.state in FINAL:
            return None
        if o.state in ("running", "cancelling"):
            o.state = "cancelling"
        else:
            self._finish(o, "cancelled")
        return o.state

    # Changing jobs

    def edited(self, job: ModelJob, **changes: object) -> None:
        before = {name: getattr(job, name) for name in changes}
        if before == changes:
            return
        limited = job.concurrency != "allow"
        for name, value in changes.items():
            setattr(job, name, value)
        job.version += 1
        if job.paused or job.used_up:
            job.next_fire_at = None
        elif before.get("every", job.every) != job.every or job.next_fire_at is None:
            job.next_fire_at = job.tick_after(self.now)
        if job.concurrency == "allow":
            for o in self.of(job, "waiting"):
                o.state = "pending"
            return
        if not limited:
            for o in self.of(job, "pending", "running", "cancelling", "retrying"):
                o.slot = True
        self.admit_next(job)

    def deleted(self, job: ModelJob) -> None:
        job.deleted, job.next_fire_at = True, None
        for o in self.of(job, "scheduled", "waiting", "pending", "retrying"):
            o.state, o.slot, o.retry_at, o.between = "cancelled", False, None, None
