"""A value that many want at once."""

from __future__ import annotations

import asyncio

import pytest

from leveret_api import cached as cached_module
from leveret_api.cached import Cached


async def test_many_who_ask_at_once_share_one_load() -> None:
    loads = 0

    async def load() -> int:
        nonlocal loads
        loads += 1
        await asyncio.sleep(0.01)
        return loads

    cached = Cached(load, 60)
    assert await asyncio.gather(*(cached.get() for _ in range(50))) == [1] * 50


async def test_a_value_is_loaded_again_when_it_is_too_old() -> None:
    values = iter(range(10))

    async def load() -> int:
        return next(values)

    cached = Cached(load, 0)
    assert await cached.get() == 0
    await asyncio.sleep(0.01)
    assert await cached.get() == 1


async def test_a_failure_reaches_all_who_wait_and_is_not_repeated_at_once() -> None:
    loads = 0

    async def load() -> int:
        nonlocal loads
        loads += 1
        await asyncio.sleep(0)
        raise OSError("away")

    cached = Cached(load, 60)
    outcomes = await asyncio.gather(*(cached.get() for _ in range(20)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [OSError] * 20
    assert loads == 1


async def test_one_who_leaves_does_not_take_the_value_from_the_others() -> None:
    begun = asyncio.Event()

    async def load() -> str:
        begun.set()
        await asyncio.sleep(0.01)
        return "value"

    cached = Cached(load, 60)
    first, second = asyncio.create_task(cached.get()), asyncio.create_task(cached.get())
    await begun.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await second == "value"


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


async def test_what_was_slow_once_is_not_kept_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, loads = Clock(), 0
    monkeypatch.setattr(cached_module, "time", clock)

    async def load() -> int:
        nonlocal loads
        loads += 1
        clock.now += 60  # a service hung
        return loads

    cached = Cached(load, 1)
    assert await cached.get() == 1
    clock.now += 14
    assert await cached.get() == 1
    clock.now += 2
    assert await cached.get() == 2


async def test_a_failure_lasts_a_second_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, loads = Clock(), 0
    monkeypatch.setattr(cached_module, "time", clock)

    async def load() -> int:
        nonlocal loads
        loads += 1
        if loads == 1:
            raise OSError("away")
        return loads

    cached = Cached(load, 60)
    for moved in (0.0, 0.9):
        clock.now += moved
        with pytest.raises(OSError, match="away"):
            await cached.get()
    clock.now += 0.2
    assert await cached.get() == 2
