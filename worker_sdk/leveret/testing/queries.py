"""What tests ask an environment about what occurred."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from leveret.errors import NotFound
from leveret.testing.given import Moment, instant, states_of
from leveret.testing.records import Job, LogLine, Occurrence, wall_time
from leveret.testing.runtime import Runtime
from leveret_core.job_rules import suggestion
from leveret_core.states import State
from leveret_core.triggers import fire_times, zone

NEVER_RAN = frozenset({State.SKIPPED, State.MISSED})
MAX_LINES = 30
"""Occurrences that a message shows, at most."""


class Queries:
    """The part of an environment that changes nothing.

    Args:
        runtime: what is looked at.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def job(self, name: str) -> Job:
        """The job of that name, as it is now.

        Raises:
            NotFound: there is none.
        """
        if name not in self._runtime.server.jobs:
            there = ", ".join(self._runtime.server.jobs) or "none"
            raise NotFound(f"there is no job named {name!r}{suggestion(name, self._runtime.server.jobs)} (there are: {there})")
        return self._runtime.server.jobs[name]

    def upcoming(self, job: str, count: int = 5) -> list[datetime]:
        """When a job is due next, in the zone of its schedule.

        Args:
            count: how many, at most; fewer when the schedule ends. None for a paused job.
        """
        found = self.job(job)
        if found.next_fire_at is None:
            return []
        if found.definition.max_runs is not None:
            count = min(count, found.definition.max_runs - found.runs)
        place = zone(found.timezone)
        return [at.astimezone(place) for at in fire_times(found.definition.trigger, self._runtime.clock.now, count)]

    def occurrences(
        self, job: str | None = None, *, state: str | Collection[str] | None = None, origin: str | None = None
    ) -> list[Occurrence]:
        """What occurred, in the order it was made.

        Args:
            job: of this job alone.
            state: in this state, or one of these, alone.
            origin: `schedule`, `manual` or `requeue`.
        """
        of = None if job is None else self.job(job)
        states = states_of(state)
        return [
            o
            for o in self._runtime.server.occurrences.all
            if (of is None or o.of is of) and (states is None or o.state in states) and (origin is None or o.origin == origin)
        ]

    def logs(self, job: str | None = None, *, occurrence: Occurrence | None = None, level: str | None = None) -> list[LogLine]:
        """What handlers logged, in order.

        Args:
            job: of this job alone.
            occurrence: of this occurrence alone.
            level: of this level alone.
        """
        name = None if job is None else self.job(job).name
        return [
            line
            for line in self._runtime.worker.logs
            if (name is None or line.job == name)
            and (occurrence is None or line.occurrence == occurrence.id)
            and (level is None or line.level == level)
        ]

    def assert_occurred(
        self,
        job: str,
        *,
        times: int | None = None,
        state: str | Collection[str] | None = None,
        at: Sequence[Moment] | None = None,
        payload: Mapping[str, Any] | None = None,
    ) -> list[Occurrence]:
        """Assert that a job occurred, and return the occurrences that are meant, in the order of their times.

        Args:
            times: exactly so often. Default: as often as `at` says, or at least once.
            state: only those in this state, or in one of these, count. Default: all but `skipped` and `missed`.
            at: exactly at these instants. Text without an offset is wall time in the zone of the job's schedule.
            payload: only those with exactly this payload count.

        Raises:
            AssertionError: with everything that did occur.
        """
        of, states = self.job(job), states_of(state)
        counted = [
            o
            for o in self.occurrences(job)
            if (o.state not in NEVER_RAN if states is None else o.state in states) and (payload is None or o.payload == payload)
        ]
        counted.sort(key=lambda o: (o.scheduled_for, o.id))
        expected = None if at is None else sorted(instant(moment, of.timezone) for moment in at)
        fits = len(counted) == times if times is not None else expected is not None or bool(counted)
        if fits and (expected is None or _same(expected, counted)):
            return counted
        wanted = [f"{times} time{'s' * (times != 1)}"] if times is not None else [] if expected else ["at least once"]
        wanted += [] if states is None else [f"as {' or '.join(sorted(states))}"]
        wanted += [] if payload is None else [f"with the payload {dict(payload)}"]
        wanted += [] if expected is None else ["at " + ", ".join(map(of.show, expected))]
        raise AssertionError(f"{job} should have occurred {' '.join(wanted)}; {self._what_did(of, len(counted))}")

    def assert_not_occurred(self, job: str, *, state: str | Collection[str] | None = None) -> None:
        """Assert that a job did not occur.

        Args:
            state: as for `assert_occurred`.

        Raises:
            AssertionError: with everything that did occur.
        """
        of, states = self.job(job), states_of(state)
        found = [o for o in self.occurrences(job) if (o.state not in NEVER_RAN if states is None else o.state in states)]
        if found:
            as_what = "" if states is None else f" as {' or '.join(sorted(states))}"
            raise AssertionError(f"{job} should not have occurred{as_what}; {self._what_did(of, len(found))}")

    def __str__(self) -> str:
        """Everything that occurred, in lines."""
        return f"at {wall_time(self._runtime.clock.now, 'UTC')}\n" + table(self._runtime.server.occurrences.all, jobs=True)

    def _what_did(self, job: Job, counted: int) -> str:
        all_of_it = self.occurrences(job.name)
        if not all_of_it:
            due = f"it is due {job.show(job.next_fire_at)}" if job.next_fire_at else "it is not due"
            due += f" (paused{': ' * bool(job.pause_reason)}{job.pause_reason or ''})" * job.paused
            return f"it did not occur at all: {due}, and now is {job.show(self._runtime.clock.now)}"
        lines = table(map(self._explained, all_of_it))
        times, now = f"{counted} time{'s' * (counted != 1)}", job.show(self._runtime.clock.now)
        return f"it did {times}. All that occurred until {now}:\n{lines}"

    def _explained(self, occurrence: Occurrence) -> Occurrence:
        if occurrence.state is State.PENDING and not self._runtime.worker.serves(occurrence.type):
            occurrence.reason = f"no handler serves {occurrence.type}"
        return occurrence


def table(occurrences: Iterable[Occurrence], *, jobs: bool = False) -> str:
    """Occurrences in lines, the latest of many; with the names of their jobs if asked."""
    rows = [f"  {o.job}  {o.line}" if jobs else f"  {o.line}" for o in occurrences]
    if len(rows) > MAX_LINES:
        rows = [f"  ... {len(rows) - MAX_LINES} earlier ones", *rows[-MAX_LINES:]]
    return "\n".join(rows)


def _same(expected: Sequence[datetime], counted: Sequence[Occurrence]) -> bool:
    # What is triggered stands on a microsecond of its own.
    near = timedelta(milliseconds=1)
    return len(expected) == len(counted) and all(
        abs(wanted - o.scheduled_for) < near for wanted, o in zip(expected, counted, strict=True)
    )
