"""Waiting for an assertion to hold."""

from __future__ import annotations

import pytest

from support.eventually import eventually


async def test_it_waits_until_assertions_hold_and_returns_the_value() -> None:
    calls: list[int] = []

    def third_time() -> int:
        calls.append(1)
        assert len(calls) >= 3, "too early"
        return len(calls)

    assert await eventually(third_time, interval=0.001) == 3


async def test_it_awaits_coroutines_and_waits_for_what_is_false() -> None:
    answers = iter([0, "", [], "done"])

    async def ask() -> object:
        return next(answers)

    assert await eventually(ask, interval=0.001) == "done"


async def test_it_gives_up_with_the_last_failure() -> None:
    def never() -> None:
        raise AssertionError("one is not two")

    with pytest.raises(AssertionError, match=r"after 0.01 s, never still failed: one is not two") as raised:
        await eventually(never, timeout=0.01, interval=0.001)
    assert isinstance(raised.value.__cause__, AssertionError)


async def test_other_errors_are_not_waited_out() -> None:
    def broken() -> None:
        raise KeyError("typo")

    with pytest.raises(KeyError):
        await eventually(broken)
