"""A claim is used once, however often it is granted."""

from __future__ import annotations

import pytest

from leveret.worker.intake import grants
from leveret.worker.intake.grants import Grants
from leveret_core.messages import Answer


def granted(occurrence: int, attempt: int = 1) -> Answer:
    return Answer(occurrence=occurrence, attempt=attempt, status="granted")


def test_a_grant_that_comes_again_is_not_new_and_that_of_the_next_attempt_is() -> None:
    remembered = Grants()
    assert remembered.is_new(granted(7))
    assert not remembered.is_new(granted(7))
    assert remembered.is_new(granted(8))
    assert not remembered.is_new(granted(7))
    assert remembered.is_new(granted(7, attempt=2))
    assert not remembered.is_new(granted(7, attempt=2))


def test_only_the_oldest_grants_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grants, "REMEMBERED", 3)
    remembered = Grants()
    for occurrence in (1, 2, 3):
        assert remembered.is_new(granted(occurrence))
    assert not remembered.is_new(granted(1)), "asked about again: the latest now"
    assert remembered.is_new(granted(4)), "for which 2 is forgotten"
    assert not remembered.is_new(granted(1))
    assert not remembered.is_new(granted(3))
    assert remembered.is_new(granted(2))
