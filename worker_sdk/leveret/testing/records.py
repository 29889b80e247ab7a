"""What there is in an environment: its rules, jobs, occurrences, attempts, log lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from leveret_core.job_definition import JobDefinition
from leveret_core.messages import JobError
from leveret_core.retry import RetryPolicy
from leveret_core.states import State
from leveret_core.triggers import timezone_of, zone

MAX_ERROR = 200
"""Characters of an error that a line about an occurrence shows."""


@dataclass(frozen=True)
class ServerRules:
    """What is set on servers rather than on jobs.

    Args:
        publish_window: occurrences of a type that workers are told of and have not begun, at most.
        lease: seconds after which a dead worker's attempts are lost.
    """

    publish_window: int = 10_000
    lease: float = 30.0


@dataclass(eq=False, repr=False)
class Job:
    """A job as it is now.

    Attributes:
        id: 1 for the first.
        definition: what was said about it, defaults filled in.
        next_fire_at: when it is due next, UTC; None when it is paused, used up or manual.
        runs: how many times its schedule has fired.
        failures: occurrences that failed for good in a row.
        paused: whether it is paused.
        pause_reason: why, if the test or `disable_after` said.
    """

    id: int
    definition: JobDefinition
    next_fire_at: datetime | None = None
    runs: int = 0
    failures: int = 0
    paused: bool = False
    pause_reason: str | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return self.definition.name

    @property
    def timezone(self) -> str:
        """The IANA name of the zone its schedule is in."""
        return timezone_of(self.definition.trigger)

    def __repr__(self) -> str:
        due = "paused" if self.paused else "not due" if self.next_fire_at is None else f"due {self.show(self.next_fire_at)}"
        return f"<job {self.name} of type {self.definition.type}, {due}>"

    def show(self, instant: datetime) -> str:
        """An instant as a clock in the job's zone shows it."""
        return wall_time(instant, self.timezone)


@dataclass(eq=False, repr=False)
class Attempt:
    """One try at an occurrence.

    Attributes:
        number: 1 for the first.
        started_at: UTC.
        ended_at: UTC; None while it runs.
        outcome: how it ended: `succeeded`, `failed`, `timed_out`, `cancelled`, `skipped`, `snoozed`, `released` or `lost`.
        error: type, message and traceback of what went wrong.
    """

    number: int
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None
    error: JobError | None = None

    def __repr__(self) -> str:
        text = f"<attempt {self.number} {self.outcome or 'running'}, {self.started_at:%Y-%m-%d %H:%M:%S}"
        text += f" to {self.ended_at:%Y-%m-%d %H:%M:%S} UTC" if self.ended_at else " UTC"
        return text + (f", {self.error.type}: {self.error.message}>" if self.error else ">")


@dataclass(eq=False)
class LogLine:
    """What a handler logged.

    Attributes:
        at: UTC, by the environment's clock.
        job: name of the job.
        occurrence, attempt: which.
        level: `debug`, `info`, `warning`, `error` or `critical`.
        message: the text.
        fields: what came with it in `extra`.
    """

    at: datetime
    job: str
    occurrence: int
    attempt: int
    level: str
    message: str
    fields: dict[str, Any]


@dataclass(eq=False, repr=False)
class Occurrence:
    """One planned run of a job, as it is now.

    Attributes:
        id: 1 for the first of the environment.
        of: its job.
        type, payload, priority: as they were when it was made.
        scheduled_for: when it was due, UTC.
        origin: `schedule`, `manual` or `requeue`.
        state: equal to its name, as in `occurrence.state == "succeeded"`.
        reason: why it is in that state, where there is more to say.
        blocker: id of the occurrence that it was skipped for, or waits for.
        attempts: all so far, the running one included.
        result: what the handler returned, as it comes back from JSON.
        error: of the last attempt that went wrong.
        concurrency_key: the value of the job's `concurrency_key` in the payload; empty without one.
        idempotency_key, requeue_of: as given.
        missed: for `missed`: how many ticks it stands for, and the last of them.
        retry_at: when the next attempt is due, while it is `retrying`.
        finished_at: when it became final.
        progress: the last report, as (fraction, message).
        checkpoint: what an attempt saved last.
    """

    id: int
    of: Job
    type: str
    payload: dict[str, Any]
    priority: int
    scheduled_for: datetime
    origin: str
    state: State
    timeout: float | None
    retry: RetryPolicy
    reason: str | None = None
    blocker: int | None = None
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    result: Any = None
    error: JobError | None = None
    concurrency_key: str = ""
    idempotency_key: str | None = None
    requeue_of: int | None = None
    missed: tuple[int, datetime] | None = None
    retry_at: datetime | None = None
    finished_at: datetime | None = None
    progress: tuple[float, str] | None = None
    checkpoint: Any = None
    slot: int | None = None
    begins_at: datetime | None = None
    """When it may begin, where jitter defers that."""
    published: int | None = None
    """Its place among those that workers were told of."""
    lost_at: datetime | None = None
    """When the lease of its dead worker is over."""

    @property
    def job(self) -> str:
        """Name of its job."""
        return self.of.name

    @property
    def started_at(self) -> datetime | None:
        """When its latest attempt began."""
        return self.attempts[-1].started_at if self.attempts else None

    @property
    def line(self) -> str:
        """What there is to say about it, in one line."""
        job = self.of
        words = [f"#{self.id}", f"{job.show(self.scheduled_for)}", f"{self.state.value:<9}"]
        if self.missed:
            count, until = self.missed
            words.append(f"{count} tick{'s' * (count != 1)}, the last {job.show(until)}")
        if len(self.attempts) > 1:
            words.append(f"{len(self.attempts)} attempts")
        if self.retry_at:
            words.append(f"next attempt {job.show(self.retry_at)}")
        if self.reason:
            words.append(f"({self.reason})")
        if self.error is not None:
            text = f"{self.error.type}: {self.error.message}"
            words.append(text if len(text) <= MAX_ERROR else text[: MAX_ERROR - 1] + "…")
        return "  ".join(words).rstrip()

    def count(self, outcome: str) -> int:
        """How many of its attempts ended as `outcome`."""
        return sum(attempt.outcome == outcome for attempt in self.attempts)

    def __repr__(self) -> str:
        return f"<{self.job} {self.line}>"


def wall_time(instant: datetime, timezone: str) -> str:
    """An instant as people in a zone write it: `Sun 2026-03-29 03:00:00 +02:00`; fractions of a second are left out."""
    there = instant.astimezone(zone(timezone))
    offset = there.strftime("%z")
    return f"{there:%a %Y-%m-%d %H:%M:%S} {offset[:3]}:{offset[3:5]}"
