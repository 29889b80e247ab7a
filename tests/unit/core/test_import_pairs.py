"""Entries of a source and the jobs that came from it."""

from __future__ import annotations

from leveret_core.import_pairs import Entry, pair


def entries(*pairs: str) -> list[Entry]:
    return [Entry(*text.split("@")) for text in pairs]


def test_what_has_not_changed_stays_what_it_is_when_another_of_the_same_command_goes() -> None:
    known = entries("once@1", "once@13", "other@5")
    assert pair(known, entries("once@13", "other@5")) == [1, 2]
    assert pair(known, entries("once@1", "other@5")) == [0, 2]


def test_a_time_that_changed_is_that_of_the_entry_that_is_left() -> None:
    known = entries("once@1", "once@13")
    assert pair(known, entries("once@2", "once@13")) == [0, 1]
    assert pair(known, entries("once@13", "once@2")) == [1, 0]
    assert pair(known, entries("once@2", "once@3")) == [0, 1]
    assert pair(known, entries("once@1", "once@13", "once@20")) == [0, 1, None]


def test_another_command_is_another_job() -> None:
    assert pair(entries("a@1"), entries("b@1", "a@2")) == [None, 0]
    assert pair([], entries("a@1", "a@1")) == [None, None]
    assert pair(entries("a@1", "a@1"), entries("a@1")) == [0]
