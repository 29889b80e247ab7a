from __future__ import annotations

import asyncio
import threading
import time

import pytest

from leveret_dispatcher.leadership import watchdog as module
from leveret_dispatcher.leadership.watchdog import Watchdog


async def test_a_blocked_loop_ends_the_process() -> None:
    ended = threading.Event()
    watchdog = Watchdog(0.2, ended.set)
    watchdog.start()
    await asyncio.sleep(0.05)
    time.sleep(0.6)  # noqa: ASYNC251  # this is the fault
    watchdog.stop()
    assert ended.is_set()


async def test_a_loop_that_turns_is_left_alone() -> None:
    ended = threading.Event()
    watchdog = Watchdog(0.2, ended.set)
    watchdog.start()
    await asyncio.sleep(0.6)
    watchdog.stop()
    assert not ended.is_set()


async def test_a_process_that_was_frozen_as_a_whole_gets_its_full_time_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    watchdog = Watchdog(0.4, ended.set)
    watchdog.start()
    await asyncio.sleep(0.1)
    # Both clocks jump, as they do while a stopped process stands still.
    monkeypatch.setattr(module, "boottime", lambda: time.clock_gettime(time.CLOCK_BOOTTIME) + 3600)
    await asyncio.sleep(0.6)
    watchdog.stop()
    assert not ended.is_set()


def test_a_loop_that_is_closed_is_not_blocked() -> None:
    ended = threading.Event()

    async def forgotten() -> None:
        Watchdog(0.2, ended.set).start()

    asyncio.run(forgotten())
    assert not ended.wait(0.6)
