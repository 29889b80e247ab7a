"""How many dispatch messages are out, as the term remembers it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leveret_dispatcher.dispatch.unanswered import Unanswered

KINDS = st.sampled_from(["mail", "report"])


@given(published=st.lists(KINDS), claimed=st.lists(KINDS))
def test_it_is_what_went_out_less_what_was_claimed_and_never_below_zero(published: list[str], claimed: list[str]) -> None:
    unanswered = Unanswered()
    unanswered.published(published)
    for kind in claimed:
        unanswered.claimed({kind: 1})
    for kind in ("mail", "report"):
        assert unanswered.of(kind) == max(0, published.count(kind) - claimed.count(kind))


def test_a_count_of_the_rows_is_believed() -> None:
    unanswered = Unanswered()
    unanswered.published(["mail"] * 5)
    unanswered.counted({"mail": 2, "report": 7})
    assert (unanswered.of("mail"), unanswered.of("report")) == (2, 7)
    assert unanswered.take_answered() == {"mail"}
    assert unanswered.take_answered() == set()


def test_what_did_not_reach_a_queue_is_not_out_and_no_worker_answered_it() -> None:
    unanswered = Unanswered()
    unanswered.published(["mail", "mail"])
    unanswered.withdrawn(["mail"])
    assert unanswered.of("mail") == 1
    assert unanswered.take_answered() == set()


def test_the_rows_are_counted_more_often_while_there_is_no_room() -> None:
    unanswered = Unanswered((0.0, 3600.0))
    unanswered.counted({})
    assert unanswered.to_count(full=True)
    assert not unanswered.to_count(full=False)
