"""The states of an occurrence and the one table of transitions between them.

The same pairs stand in the database (`occurrence_transition`), where a trigger enforces them; a test compares the two.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where an occurrence is. `missed` is final from birth, and so is `skipped`, unless a handler ends its attempt so."""

    SCHEDULED = "scheduled"
    WAITING = "waiting"
    PENDING = "pending"
    RUNNING = "running"
    CANCELLING = "cancelling"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    MISSED = "missed"


TRANSITIONS: dict[State, frozenset[State]] = {
    State.SCHEDULED: frozenset({State.PENDING, State.WAITING, State.SKIPPED, State.CANCELLED}),
    State.WAITING: frozenset({State.PENDING, State.CANCELLED}),
    State.PENDING: frozenset({State.RUNNING, State.CANCELLED}),
    State.RUNNING: frozenset(
        {
            State.SUCCEEDED,
            State.FAILED,
            State.TIMED_OUT,
            State.CANCELLED,
            State.RETRYING,
            State.PENDING,
            State.CANCELLING,
            State.SKIPPED,
        }
    ),
    State.CANCELLING: frozenset({State.SUCCEEDED, State.FAILED, State.TIMED_OUT, State.CANCELLED}),
    State.RETRYING: frozenset({State.PENDING, State.CANCELLED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.TIMED_OUT: frozenset(),
    State.CANCELLED: frozenset(),
    State.SKIPPED: frozenset(),
    State.MISSED: frozenset(),
}

FINAL = frozenset(state for state, following in TRANSITIONS.items() if not following)
LIVE = frozenset(TRANSITIONS) - FINAL
"""States that are not final. All but `scheduled` hold a place in the job's concurrency policy or wait for one."""
