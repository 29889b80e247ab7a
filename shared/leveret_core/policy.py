"""What becomes of an occurrence when an attempt at it has ended. Pure rules."""

from __future__ import annotations

import random
from dataclasses import dataclass

from leveret_core.retry import RetryPolicy
from leveret_core.states import State

DEFAULT_SNOOZES = 100
"""Snoozes of an occurrence unless its handler says otherwise; one more fails it, so that it cannot go on for ever unseen."""
MAX_SNOOZES = 10_000
MAX_SNOOZE = 30 * 86_400.0
"""Seconds."""


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
