"""What follows the end of an attempt: the state, the next attempt, the job's failures in a row."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from leveret.testing.clock import Clock
from leveret.testing.occurrences import Occurrences
from leveret.testing.records import Job, Occurrence
from leveret.worker.report.reporter import Ending
from leveret_core import policy
from leveret_core.messages import JobError
from leveret_core.states import State

WORKER_LOST = JobError(type="WorkerLost", message="its worker stopped sending heartbeats")
MAX_SHOWN = 300
"""Characters of the last error that a pause reason quotes."""


class Settlement:
    """Applies the ends of attempts.

    Args:
        clock: what it goes by.
        rng: what the delays of retries are drawn from.
        occurrences: what frees their slots.
        pause: called with a job that failed too often, and why.
    """

    def __init__(
        self, clock: Clock, rng: random.Random, occurrences: Occurrences, pause: Callable[[Job, str | None], None]
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._occurrences = occurrences
        self._pause = pause

    def finish(self, occurrence: Occurrence, ending: Ending, result: Any) -> None:
        """An attempt ended as its worker says."""
        if ending.outcome == "succeeded":
            self._close_attempt(occurrence, "succeeded", ending)
            occurrence.result = result
            self._occurrences.end(occurrence, State.SUCCEEDED)
            occurrence.of.failures = 0
        else:
            self._settle(occurrence, ending, ending.outcome)
            self._count_failures([occurrence])

    def lost(self, occurrences: Sequence[Occurrence]) -> None:
        """Their worker is dead."""
        for occurrence in occurrences:
            self._settle(occurrence, Ending("released", error=WORKER_LOST), "lost")
        self._count_failures(occurrences)

    def _settle(self, occurrence: Occurrence, ending: Ending, outcome: str) -> None:
        """An attempt ended otherwise: what follows?"""
        lost, released, snoozed = (occurrence.count(word) for word in ("lost", "released", "snoozed"))
        following = policy.after(
            policy.Ended(
                state=occurrence.state,
                outcome=outcome,
                attempt=len(occurrence.attempts),
                uncharged=lost + released + snoozed,
                lost_count=lost,
                policy=occurrence.retry,
                may_retry=ending.retry,
                retry_after=ending.retry_after,
                snoozed=snoozed,
                max_snoozes=ending.max_snoozes if isinstance(ending.max_snoozes, int) else policy.DEFAULT_SNOOZES,
            ),
            self._rng,
        )
        self._close_attempt(occurrence, outcome, ending)
        said = ending.error.message if ending.error is not None and outcome in ("cancelled", "skipped") else None
        occurrence.reason = said or following.reason or occurrence.reason
        occurrence.published = None
        if following.state is State.RETRYING:
            occurrence.state = State.RETRYING
            occurrence.retry_at = self._clock.after(following.delay) if following.delay else self._clock.now
        elif following.state is State.PENDING:
            occurrence.state = State.PENDING
        else:
            self._occurrences.end(occurrence, following.state)

    def _close_attempt(self, occurrence: Occurrence, outcome: str, ending: Ending) -> None:
        attempt = occurrence.attempts[-1]
        attempt.ended_at, attempt.outcome = self._clock.now, outcome
        attempt.error = ending.error
        if ending.error is not None and outcome != "skipped":
            occurrence.error = ending.error

    def _count_failures(self, ended: Sequence[Occurrence]) -> None:
        """Count what failed for good, all at once, and pause the jobs for which it is too much."""
        failed = [o for o in ended if o.state in (State.FAILED, State.TIMED_OUT)]
        for occurrence in failed:
            occurrence.of.failures += 1
        for occurrence in reversed(failed):
            job, limit = occurrence.of, occurrence.of.definition.disable_after
            if limit is not None and not job.paused and job.failures >= limit:
                times = f"{job.failures} failure{'s' * (job.failures != 1)}"
                self._pause(job, f"disabled after {times} in a row; the last: {_shown(occurrence)}")


def _shown(occurrence: Occurrence) -> str:
    error = occurrence.error
    if error is None:
        return (occurrence.reason or "no error was reported")[:MAX_SHOWN]
    text = f"{error.type}: {error.message}" if error.message else error.type
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
