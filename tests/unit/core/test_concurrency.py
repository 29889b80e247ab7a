"""The concurrency policy: what `decide` and `effects` say of any new occurrences beside any that are live."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from leveret_core.concurrency import (
    JOB_DELETED,
    Among,
    Decision,
    Limits,
    New,
    QueueLoad,
    decide,
    effects,
    free_slots,
    with_state,
)
from leveret_core.states import State


def load(
    concurrency: str, slots: int, max_waiting: int = 1000, taken: dict[int, int] | None = None, waiting: int = 0
) -> QueueLoad:
    """A queue whose holders are `taken`; those who wait have ids from 1,000 on."""
    ids = set(range(1000, 1000 + waiting))
    return QueueLoad(Limits(concurrency, slots, max_waiting), taken or {}, waiting, ids if concurrency == "replace" else set())


def decisions(queue: QueueLoad, count: int) -> list[Decision]:
    return decide([New("q")] * count, {"q": queue})


@st.composite
def loads(draw: st.DrawFn, policies: Sequence[str] = ("skip", "queue", "allow", "replace")) -> QueueLoad:
    """Any load that the tables may hold: more may be live than there are slots, after `max_concurrent` was lowered."""
    concurrency = draw(st.sampled_from(policies))
    taken = {n: 100 + n for n in draw(st.sets(st.integers(1, 6)))}
    waiting = draw(st.integers(0, 4)) if taken and concurrency in ("queue", "replace") else 0
    queue = load(concurrency, draw(st.integers(1, 5)), draw(st.integers(0, 4)), taken, waiting)
    if concurrency == "replace":
        queue.stopping = set(draw(st.sets(st.sampled_from(sorted(taken.values()))))) if taken else set()
    return queue


counts = st.integers(0, 12)


def test_skip_names_what_is_live() -> None:
    assert decisions(load("skip", 1, taken={1: 42}), 1) == [Decision(State.SKIPPED, reason="1 of 1 already live", blocker=42)]


def test_what_is_skipped_tells_how_its_blocker_stood() -> None:
    (decision,) = decisions(load("skip", 1, taken={1: 42}), 1)
    assert with_state(decision, "running").reason == "1 of 1 already live: occurrence 42 was running"


def test_the_lowest_free_slot_is_taken_and_the_next_is_skipped_for_that_one() -> None:
    first, second = decisions(load("skip", 3, taken={1: 7, 3: 9}), 2)
    assert first == Decision(State.PENDING, slot=2)
    assert second == Decision(State.SKIPPED, reason="3 of 3 already live", blocker=Among.FIRST)


def test_the_queue_is_bounded_and_says_so() -> None:
    found = decisions(load("queue", 1, 2, taken={1: 7}), 4)
    assert [d.state for d in found] == [State.WAITING, State.WAITING, State.SKIPPED, State.SKIPPED]
    assert found[-1].reason == "the queue is full: 2 are waiting"


def test_replace_keeps_the_newest_and_ends_the_oldest_holder() -> None:
    older, newest = decisions(load("replace", 2, taken={1: 7, 2: 9}, waiting=1), 2)
    assert (older.state, older.blocker) == (State.SKIPPED, Among.LAST)
    assert (newest.state, newest.replaces, newest.blocker) == (State.WAITING, (7, 1000), 7)


def test_what_is_missed_counts_for_nothing() -> None:
    new = [New("q", missed="too late"), New("q")]
    missed, other = decide(new, {"q": load("replace", 1)})
    assert missed == Decision(State.MISSED, reason="too late")
    assert other == Decision(State.PENDING, slot=1)


def test_what_belongs_to_a_deleted_job_is_cancelled() -> None:
    assert decide([New("gone")], {}) == [Decision(State.CANCELLED, reason=JOB_DELETED)]


@given(loads(("skip", "queue", "replace")), counts)
def test_no_more_begin_than_there_are_slots_and_none_shares_one(queue: QueueLoad, count: int) -> None:
    taken = dict(queue.taken)
    slots = [d.slot for d in decisions(queue, count) if d.state is State.PENDING]
    assert queue.taken == taken, "what was given stays as it was"
    assert len({*slots, *taken}) == len(slots) + len(taken)
    assert all(slot is not None and 1 <= slot <= queue.limits.max_concurrent for slot in slots)
    assert len(slots) <= max(0, queue.limits.max_concurrent - len(taken))
    assert all(d.slot is None for d in decisions(queue, count) if d.state is not State.PENDING)


@given(loads(("skip",)), counts)
def test_skip_never_lets_one_wait_and_never_ends_one(queue: QueueLoad, count: int) -> None:
    found = decisions(queue, count)
    assert {d.state for d in found} <= {State.PENDING, State.SKIPPED}
    assert not any(d.replaces for d in found)
    began = sum(d.state is State.PENDING for d in found)
    assert began == min(count, max(0, queue.limits.max_concurrent - len(queue.taken)))


@given(loads(("queue",)), counts)
def test_nothing_overtakes_what_waits(queue: QueueLoad, count: int) -> None:
    states = [d.state for d in decisions(queue, count)]
    order = [State.PENDING, State.WAITING, State.SKIPPED]
    assert states == sorted(states, key=order.index)
    if queue.waiting:
        assert State.PENDING not in states
    assert queue.waiting + states.count(State.WAITING) <= max(queue.waiting, queue.limits.max_waiting)


@given(loads(("replace",)), counts)
def test_replace_ends_what_waits_and_leaves_the_newest(queue: QueueLoad, count: int) -> None:
    found = decisions(queue, count)
    ended = [old for d in found for old in d.replaces]
    assert len(ended) == len(set(ended))
    assert not queue.stopping.intersection(ended), "a holder is told once"
    if count:
        assert found[-1].state in (State.PENDING, State.WAITING)
        assert sum(d.state is State.WAITING for d in found) <= 1
    if found and found[-1].state is State.WAITING:
        assert queue.waiting_ids <= set(ended)
        stays = set(queue.taken.values()) - queue.stopping - set(ended)
        assert len(stays) < queue.limits.max_concurrent, "its turn is next"


@given(loads(("allow",)), counts)
def test_allow_lets_all_begin_without_a_slot(queue: QueueLoad, count: int) -> None:
    assert decisions(queue, count) == [Decision(State.PENDING)] * count


@given(loads(), loads(), st.lists(st.sampled_from("ab"), max_size=12))
def test_queues_know_nothing_of_each_other(a: QueueLoad, b: QueueLoad, keys: list[str]) -> None:
    mixed = decide([New(key) for key in keys], {"a": a, "b": b})
    for key, queue in (("a", a), ("b", b)):
        alone = decisions(queue, keys.count(key))
        assert [d for d, of in zip(mixed, keys, strict=True) if of == key] == alone


@given(loads(), counts, st.data())
def test_effects_are_those_of_what_was_created(queue: QueueLoad, count: int, data: st.DataObject) -> None:
    new, found = [New("q")] * count, decisions(queue, count)
    ids = [None if data.draw(st.booleans()) else 5000 + n for n in range(count)]
    known = effects(new, found, ids)
    created = {id_ for id_ in ids if id_ is not None}
    assert {holder for _, _, holder in known.slots} == {
        id_ for d, id_ in zip(found, ids, strict=True) if id_ is not None and d.slot is not None
    }
    assert {id_ for id_, _ in known.blockers} | {blocker for _, blocker in known.blockers} <= created
    assert {newer for _, newer in known.replaced} <= created


def test_a_blocker_of_the_same_batch_is_named_when_it_has_an_id() -> None:
    new, found = [New("q")] * 3, decisions(load("skip", 1), 3)
    assert effects(new, found, [11, 12, 13]).blockers == [(12, 11), (13, 11)]
    new, found = [New("q")] * 3, decisions(load("replace", 1), 3)
    assert effects(new, found, [11, 12, 13]).blockers == [(11, 13), (12, 13)]


def test_a_lowered_limit_frees_no_slot() -> None:
    assert list(free_slots(2, {3, 4})) == []
    assert list(free_slots(3, {3})) == [1, 2]
