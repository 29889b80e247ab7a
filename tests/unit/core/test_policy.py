from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leveret_core.policy import Ended, Next, after
from leveret_core.retry import RetryPolicy
from leveret_core.states import FINAL, LIVE, TRANSITIONS, State


def ended(outcome: str, **given: object) -> Ended:
    base: dict[str, object] = {
        "state": State.RUNNING,
        "outcome": outcome,
        "attempt": 1,
        "uncharged": 0,
        "lost_count": 0,
        "policy": RetryPolicy(max_attempts=3, delay=10, max_lost=2),
    }
    return Ended(**(base | given))  # type: ignore[arg-type]


@pytest.mark.parametrize("outcome", ["failed", "timed_out"])
def test_a_failure_is_retried_until_its_attempts_are_used_up(outcome: str) -> None:
    assert after(ended(outcome)).state is State.RETRYING
    assert after(ended(outcome, attempt=3)).state.value == outcome


def test_lost_and_released_attempts_are_not_charged() -> None:
    assert after(ended("failed", attempt=4, uncharged=2)).state is State.RETRYING
    assert after(ended("failed", attempt=5, uncharged=2)).state is State.FAILED


def test_the_first_loss_is_repeated_at_once_and_a_job_that_kills_its_workers_fails() -> None:
    assert after(ended("lost")) == Next(State.RETRYING, delay=0)
    failed = after(ended("lost", lost_count=1))
    assert failed.state is State.FAILED
    assert "died 2 times" in (failed.reason or "")


def test_a_handler_may_forbid_or_postpone_the_retry() -> None:
    assert after(ended("failed", may_retry=False)).state is State.FAILED
    assert after(ended("failed", retry_after=99)).delay == 99


def test_a_released_attempt_goes_back_to_pending() -> None:
    assert after(ended("released")) == Next(State.PENDING)


def test_a_skip_ends_it_and_holds_no_slot() -> None:
    following = after(ended("skipped"))
    assert (following.state, following.reason) == (State.SKIPPED, "its handler skipped it")
    assert following.state in FINAL


def test_a_snooze_charges_nothing_until_there_were_too_many() -> None:
    assert after(ended("snoozed", retry_after=60, attempt=1000, uncharged=999)) == Next(State.RETRYING, delay=60)
    assert after(ended("snoozed", retry_after=60, snoozed=2, max_snoozes=3)).state is State.RETRYING
    following = after(ended("snoozed", retry_after=60, snoozed=3, max_snoozes=3))
    assert (following.state, following.reason) == (State.FAILED, "snoozed 3 times, as often as its handler allows")


@pytest.mark.parametrize("outcome", ["failed", "timed_out", "cancelled", "released", "lost", "skipped", "snoozed"])
def test_whatever_ends_an_attempt_that_is_being_cancelled_cancels_the_occurrence(outcome: str) -> None:
    assert after(ended(outcome, state=State.CANCELLING)).state is State.CANCELLED


@given(
    outcome=st.sampled_from(["failed", "timed_out", "cancelled", "released", "lost", "skipped", "snoozed"]),
    state=st.sampled_from([State.RUNNING, State.CANCELLING]),
    attempt=st.integers(1, 10),
    lost=st.integers(0, 5),
)
def test_every_rule_stays_within_the_table_of_transitions(outcome: str, state: State, attempt: int, lost: int) -> None:
    following = after(ended(outcome, state=state, attempt=attempt, lost_count=lost, uncharged=min(lost, attempt - 1)))
    assert following.state in TRANSITIONS[state]
    assert (following.delay is not None) == (following.state is State.RETRYING)


@given(policy=st.builds(RetryPolicy, max_attempts=st.integers(2, 50), delay=st.floats(0, 100)), charged=st.integers(1, 49))
def test_a_delay_lies_between_half_and_the_whole_of_its_ceiling(policy: RetryPolicy, charged: int) -> None:
    delay = policy.next_delay(charged, random.Random(1))
    if charged >= policy.max_attempts:
        assert delay is None
    else:
        ceiling = min(policy.max_delay, policy.delay * policy.factor ** (charged - 1))
        assert delay is not None
        assert ceiling / 2 <= delay <= ceiling


def test_final_states_lead_nowhere_and_live_ones_lead_to_an_end() -> None:
    assert {State.SUCCEEDED, State.FAILED, State.TIMED_OUT, State.CANCELLED, State.SKIPPED, State.MISSED} == FINAL
    for state in LIVE:
        reached, frontier = {state}, [state]
        while frontier:
            for following in TRANSITIONS[frontier.pop()] - reached:
                reached.add(following)
                frontier.append(following)
        assert reached & FINAL
