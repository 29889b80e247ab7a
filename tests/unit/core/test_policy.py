from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leveret_core.policy import Ended, JobLoad, Next, after, final_ids
from leveret_core.retry import RetryPolicy
from leveret_core.states import FINAL, LIVE, TRANSITIONS, State


def test_skip_gives_way_to_a_running_occurrence_and_names_it() -> None:
    load = JobLoad("skip", 1, 1000, taken={1: 42})
    admission = load.admit()
    assert admission.state is State.SKIPPED
    assert admission.blocker == 42
    assert admission.reason == "1 of 1 already live"


def test_skip_takes_the_lowest_free_slot() -> None:
    load = JobLoad("skip", 3, 1000, taken={1: 7, 3: 9})
    assert load.admit().slot == 2
    assert load.admit().state is State.SKIPPED


def test_queue_waits_behind_whoever_waits_already_even_when_a_slot_is_free() -> None:
    load = JobLoad("queue", 2, 1000, taken={1: 7}, waiting=1)
    assert load.admit().state is State.WAITING


def test_queue_is_bounded_and_says_so() -> None:
    load = JobLoad("queue", 1, 2, taken={1: 7})
    states = [load.admit().state for _ in range(3)]
    assert states == [State.WAITING, State.WAITING, State.SKIPPED]
    assert "queue is full" in (load.admit().reason or "")


def test_allow_never_takes_a_slot() -> None:
    load = JobLoad("allow", 1, 1, taken={1: 7})
    assert [load.admit().slot for _ in range(3)] == [None, None, None]


@given(
    concurrency=st.sampled_from(["skip", "queue"]),
    limit=st.integers(1, 5),
    taken=st.sets(st.integers(1, 5)),
    count=st.integers(0, 20),
)
def test_no_admission_ever_exceeds_the_limit(concurrency: str, limit: int, taken: set[int], count: int) -> None:
    load = JobLoad(concurrency, limit, 10, taken={n: 100 + n for n in taken if n <= limit})
    before = len(load.taken)
    admitted = [load.admit() for _ in range(count)]
    slots = [a.slot for a in admitted if a.slot is not None]
    assert len(slots) == len(set(slots)) == min(count, limit - before)
    assert all(1 <= slot <= limit for slot in slots)


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


def test_the_first_loss_is_repeated_at_once_and_a_job_that_kills_its_workers_is_set_aside() -> None:
    assert after(ended("lost")) == Next(State.RETRYING, delay=0)
    set_aside = after(ended("lost", lost_count=1))
    assert set_aside.state is State.FAILED
    assert "died 2 times" in (set_aside.reason or "")


def test_a_handler_may_forbid_or_postpone_the_retry() -> None:
    assert after(ended("failed", may_retry=False)).state is State.FAILED
    assert after(ended("failed", retry_after=99)).delay == 99


def test_a_released_attempt_goes_back_to_pending() -> None:
    assert after(ended("released")) == Next(State.PENDING)


def test_a_skip_ends_it_and_holds_no_slot() -> None:
    following = after(ended("skipped"))
    assert (following.state, following.reason) == (State.SKIPPED, "its handler skipped it")
    assert final_ids([(1, following.state)]) == [1]


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


def test_final_ids_leaves_out_what_still_holds_its_slot() -> None:
    assert final_ids([(1, State.SUCCEEDED), (2, State.RETRYING), (3, State.CANCELLED)]) == [1, 3]
