"""A value that many want at once."""

from __future__ import annotations

import asyncio

import pytest

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
