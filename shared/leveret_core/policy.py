"""What becomes of a due occurrence under its job's concurrency policy, and of an attempt that ended. Pure rules."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from leveret_core.retry import RetryPolicy
from leveret_core.states import FINAL, State

DEFAULT_SNOOZES = 100
"""Snoozes of an occurrence unless its handler says otherwise; one more fails it, so that it cannot go on for ever unseen."""
MAX_SNOOZES = 10_000
MAX_SNOOZE = 30 * 86_400.0
"""Seconds."""


@dataclass(frozen=True)
class Admission:
    """The first state of an occurrence.

    Args:
        state: `pending`, `waiting` or `skipped`.
        slot: the place it takes.
        reason: why it does not begin at once.
        blocker: the occurrence it has to give way to; 0 for one of the same batch, which has no id yet.
        replaces: occurrences that have to end because of it, as soon as it exists.
    """

    state: State
    slot: int | None = None
    reason: str | None = None
    blocker: int | None = None
    replaces: tuple[int, ...] = ()


@dataclass
class JobLoad:
    """How busy a job is with occurrences of one key: the slots taken, and who waits. Only valid under the job's lock.

    Args:
        concurrency: `skip`, `queue`, `allow` or `replace`.
        max_concurrent: slots in all; means nothing for `allow`.
        max_waiting: the longest queue for `queue`.
        key: the value of the job's concurrency key; empty for a job without one.
        taken: slot → id of the occurrence that holds it; 0 for one of the same batch, which has no id yet.
        waiting: occurrences in line.
        in_line: for `replace`: the ids of those in line.
        stopping: for `replace`: the holders that have been told to stop.
    """

    concurrency: str
    max_concurrent: int
    max_waiting: int
    key: str = ""
    taken: dict[int, int] = field(default_factory=dict[int, int])
    waiting: int = 0
    in_line: set[int] = field(default_factory=set[int])
    stopping: set[int] = field(default_factory=set[int])

    @property
    def together(self) -> int | None:
        """How many ticks that are found due at once are decided about; None for all.

        Under `skip` as many as there is room for, and the newest if there is none, which then gives way to what is live. One
        that has not begun is no reason to skip another: the older ones are missed, as the dispatcher came too late for them.
        """
        return max(1, self.room) if self.concurrency == "skip" else None

    @property
    def room(self) -> int:
        """How many more may begin now. After the limit was lowered a number may be free although enough are live."""
        return max(0, self.max_concurrent - len(self.taken)) if self.waiting == 0 else 0

    def admit(self, following: int = 0) -> Admission:
        """Decide about one more occurrence, and count it.

        Args:
            following: how many later ones of the same job come in the same batch.
        """
        if self.concurrency == "allow":
            return Admission(State.PENDING)
        room = self.room
        if self.concurrency == "replace" and following >= max(1, room):
            return Admission(State.SKIPPED, reason="replaced by a newer occurrence before it began", blocker=0)
        if room > 0:
            slot = next(n for n in range(1, self.max_concurrent + 1) if n not in self.taken)
            self.taken[slot] = 0
            return Admission(State.PENDING, slot=slot)
        if self.concurrency == "replace":
            return self._replace()
        blocker = min(self.taken.values(), default=None)
        if self.concurrency == "skip":
            return Admission(State.SKIPPED, reason=f"{len(self.taken)} of {self.max_concurrent} already live", blocker=blocker)
        if self.waiting >= self.max_waiting:
            return Admission(State.SKIPPED, reason=f"the queue is full: {self.waiting} are waiting", blocker=blocker)
        self.waiting += 1
        return Admission(State.WAITING, reason="waits for an earlier occurrence", blocker=blocker)

    def _replace(self) -> Admission:
        """The new one is alone in line, and enough of the oldest holders end that its turn comes next."""
        needed = len(self.taken) + 1 - self.max_concurrent - len(self.stopping)
        holders = sorted(set(self.taken.values()) - self.stopping)
        replaced = holders[: max(0, needed)]
        blocker = min(self.stopping | set(replaced), default=None)
        out = (*replaced, *sorted(self.in_line))
        self.stopping.update(replaced)
        self.in_line.clear()
        self.waiting = 1
        return Admission(State.WAITING, reason="waits until an earlier occurrence has stopped", blocker=blocker, replaces=out)


@dataclass(frozen=True)
class Ended:
    """An attempt that ended, as the rules need to know it.

    Args:
        state: the occurrence's state when it ended, `running` or `cancelling`.
        outcome: `failed`, `timed_out`, `cancelled`, `skipped`, `snoozed`, `released` or `lost`.
        attempt: number of the attempt, 1 for the first.
        uncharged: attempts before this one that were lost, released or snoozed.
        lost_count: attempts lost before this one.
        policy: the occurrence's own copy of its job's policy.
        may_retry: False when the handler said that trying again is of no use.
        retry_after: seconds the handler asked to wait instead of the policy's delay.
        snoozed: attempts before this one that were snoozed.
        max_snoozes: how many of an occurrence its handler allows.
        deleted: its job was deleted meanwhile: what runs may finish, and nothing of it begins again.
    """

    state: State
    outcome: str
    attempt: int
    uncharged: int
    lost_count: int
    policy: RetryPolicy
    may_retry: bool = True
    retry_after: float | None = None
    snoozed: int = 0
    max_snoozes: int = DEFAULT_SNOOZES
    deleted: bool = False


@dataclass(frozen=True)
class Next:
    """What follows: the new state, and for `retrying` the seconds until the next attempt."""

    state: State
    delay: float | None = None
    reason: str | None = None


def after(ended: Ended, rng: random.Random | None = None) -> Next:
    """The state that follows the end of an attempt. Success is not asked about here: it always ends the occurrence.

    Args:
        rng: what the jitter of a retry's delay is drawn from. Default: the `random` module.
    """
    following = _after(ended, rng)
    if not ended.deleted or following.state not in (State.RETRYING, State.PENDING):
        return following
    state = {"timed_out": State.TIMED_OUT, "released": State.CANCELLED, "snoozed": State.CANCELLED}.get(
        ended.outcome, State.FAILED
    )
    return Next(state, reason="its job was deleted, so it is not tried again")


def _after(ended: Ended, rng: random.Random | None) -> Next:
    if ended.outcome == "cancelled" or ended.state is State.CANCELLING:
        return Next(State.CANCELLED)
    if ended.outcome == "released":
        return Next(State.PENDING)
    if ended.outcome == "skipped":
        return Next(State.SKIPPED, reason="its handler skipped it")
    if ended.outcome == "snoozed":
        if ended.snoozed >= min(ended.max_snoozes, MAX_SNOOZES):
            return Next(State.FAILED, reason=f"snoozed {ended.snoozed} times, as often as its handler allows")
        return Next(State.RETRYING, delay=min(max(0.0, ended.retry_after or 0.0), MAX_SNOOZE))
    if ended.outcome == "lost":
        lost = ended.lost_count + 1
        if lost >= ended.policy.max_lost:
            return Next(State.FAILED, reason=f"its worker died {lost} times while running it")
        return Next(State.RETRYING, delay=ended.policy.delay * (lost - 1))
    final = State.TIMED_OUT if ended.outcome == "timed_out" else State.FAILED
    if not ended.may_retry:
        return Next(final, reason="the handler said not to retry")
    charged = ended.attempt - ended.uncharged
    delay = ended.policy.next_delay(charged, rng)
    if delay is None:
        return Next(final)
    return Next(State.RETRYING, delay=delay if ended.retry_after is None else max(0.0, ended.retry_after))


def named(admission: Admission, state: str) -> Admission:
    """What is skipped says what it gave way to. The blocker may have ended since, without anybody knowing it then.

    Args:
        state: the blocker's, as it was at the decision.
    """
    return replace(admission, reason=f"{admission.reason}: occurrence {admission.blocker} was {state}")


def final_ids(pairs: Iterable[tuple[int, State]]) -> list[int]:
    """The ids whose state holds no slot any more."""
    return [id_ for id_, state in pairs if state in FINAL]
