"""What becomes of a due occurrence under its job's concurrency policy, and of an attempt that ended. Pure rules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from leveret_core.retry import RetryPolicy
from leveret_core.states import State


@dataclass(frozen=True)
class Admission:
    """The first state of an occurrence: `slot` is the place it takes, `blocker` the occurrence it has to give way to."""

    state: State
    slot: int | None = None
    reason: str | None = None
    blocker: int | None = None


@dataclass
class JobLoad:
    """How busy a job is: the slots taken (number → occurrence) and the occurrences waiting. Only valid under the job's lock.

    Args:
        concurrency: `skip`, `queue` or `allow`.
        max_concurrent: slots in all; means nothing for `allow`.
        max_waiting: the longest queue for `queue`.
        taken: slot → id of the occurrence that holds it; 0 for one of the same batch, which has no id yet.
        waiting: occurrences in line.
    """

    concurrency: str
    max_concurrent: int
    max_waiting: int
    taken: dict[int, int] = field(default_factory=dict[int, int])
    waiting: int = 0

    def admit(self) -> Admission:
        """Decide about one more occurrence, and count it."""
        if self.concurrency == "allow":
            return Admission(State.PENDING)
        free = next((n for n in range(1, self.max_concurrent + 1) if n not in self.taken), None)
        if free is not None and self.waiting == 0:
            self.taken[free] = 0
            return Admission(State.PENDING, slot=free)
        blocker = min(self.taken.values(), default=None)
        if self.concurrency == "skip":
            return Admission(
                State.SKIPPED, reason=f"{len(self.taken)} of {self.max_concurrent} already running", blocker=blocker
            )
        if self.waiting >= self.max_waiting:
            return Admission(State.SKIPPED, reason=f"the queue is full: {self.waiting} are waiting", blocker=blocker)
        self.waiting += 1
        return Admission(State.WAITING, reason="waits for an earlier occurrence", blocker=blocker)


@dataclass(frozen=True)
class Ended:
    """An attempt that ended, as the rules need to know it.

    Args:
        state: the occurrence's state when it ended, `running` or `cancelling`.
        outcome: `failed`, `timed_out`, `cancelled`, `released` or `lost`.
        attempt: number of the attempt, 1 for the first.
        uncharged: attempts before this one that were lost or released.
        lost_count: attempts lost before this one.
        policy: the occurrence's own copy of its job's policy.
        may_retry: False when the handler said that trying again is of no use.
        retry_after: seconds the handler asked to wait instead of the policy's delay.
    """

    state: State
    outcome: str
    attempt: int
    uncharged: int
    lost_count: int
    policy: RetryPolicy
    may_retry: bool = True
    retry_after: float | None = None


@dataclass(frozen=True)
class Next:
    """What follows: the new state, and for `retrying` the seconds until the next attempt."""

    state: State
    delay: float | None = None
    reason: str | None = None


def after(ended: Ended) -> Next:
    """The state that follows the end of an attempt. Success is not asked about here: it always ends the occurrence."""
    if ended.outcome == "cancelled" or ended.state is State.CANCELLING:
        return Next(State.CANCELLED)
    if ended.outcome == "released":
        return Next(State.PENDING)
    if ended.outcome == "lost":
        lost = ended.lost_count + 1
        if lost >= ended.policy.max_lost:
            return Next(State.FAILED, reason=f"its worker died {lost} times while running it")
        return Next(State.RETRYING, delay=ended.policy.delay * (lost - 1))
    final = State.TIMED_OUT if ended.outcome == "timed_out" else State.FAILED
    if not ended.may_retry:
        return Next(final, reason="the handler said not to retry")
    charged = ended.attempt - ended.uncharged
    delay = ended.policy.next_delay(charged)
    if delay is None:
        return Next(final)
    return Next(State.RETRYING, delay=delay if ended.retry_after is None else max(0.0, ended.retry_after))


def final_ids(pairs: Iterable[tuple[int, State]]) -> list[int]:
    """The ids whose state holds no slot any more."""
    return [id_ for id_, state in pairs if state in (State.SUCCEEDED, State.FAILED, State.TIMED_OUT, State.CANCELLED)]
