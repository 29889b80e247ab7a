"""How hints become one message."""

from __future__ import annotations

from collections import Counter

from leveret_api.pending import Pending
from leveret_core.hints import MAX_IDS, Hint

NOBODY: Counter[int] = Counter()


def after(*hints: Hint, watched: Counter[int] = NOBODY) -> Pending:
    pending = Pending()
    for hint in hints:
        pending.add(hint, watched)
    return pending


def test_nothing_happened() -> None:
    assert after().empty
    assert after(Hint("wake")).empty


def test_ids_are_gathered_once_each() -> None:
    pending = after(Hint("occurrences", (5, 3)), Hint("jobs", (1,)), Hint("occurrences", (3, 4)))
    assert pending.body() == {
        "jobs": [1],
        "occurrences": [3, 4, 5],
        "workers": False,
        "dispatcher": False,
        "overflow": False,
    }


def test_a_hint_without_ids_means_any_of_them() -> None:
    pending = after(Hint("jobs"), Hint("jobs", (1,)), Hint("occurrences"), Hint("occurrences", (7,)))
    assert pending.body() == {"jobs": True, "occurrences": [], "workers": False, "dispatcher": False, "overflow": True}


def test_too_many_ids_become_all() -> None:
    pending = after(*(Hint("occurrences", (number,)) for number in range(100_000)))
    assert (pending.body()["occurrences"], pending.body()["overflow"]) == ([], True)
    exactly = after(Hint("occurrences", tuple(range(MAX_IDS))))
    assert len(exactly.body()["occurrences"]) == MAX_IDS
    assert not exactly.body()["overflow"]


def test_logs_are_told_only_of_watched_occurrences() -> None:
    watched = Counter({8: 1, 9: 2})
    assert after(Hint("logs", (7,)), watched=watched).empty
    assert after(Hint("logs", (7, 8)), watched=watched).logs == {8}
    assert after(Hint("logs"), watched=watched).logs == {8, 9}
    assert not after(Hint("logs", (8,)), watched=watched).anything_changed


def test_lost_hints_mean_that_everything_changed() -> None:
    pending = after(Hint("resync"), watched=Counter({8: 1}))
    assert pending.body() == {"jobs": True, "occurrences": [], "workers": True, "dispatcher": True, "overflow": True}
    assert pending.logs == {8}


def test_a_new_term_concerns_the_dispatcher() -> None:
    assert after(Hint("term")).body()["dispatcher"] is True
    assert after(Hint("workers")).body()["workers"] is True
