"""Which messages the feed keeps apart: those that fail while others succeed, and only as long as they are few."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from leveret_core.broker import events_feed
from leveret_core.broker.base import EventMessage
from leveret_core.broker.events_feed import ALONE_AFTER, Arrived, EventsFeed
from support.eventually import eventually


async def _ack() -> None: ...


class Feeding:
    """A feed whose ingestor refuses every batch with one of `bad` in it."""

    def __init__(self, *bodies: bytes, bad: set[bytes]) -> None:
        self.bad = bad
        self.taken: set[bytes] = set()
        self.refused = 0
        self.feed = EventsFeed(self.ingest)
        for body in bodies:
            self.feed.inbox.put(Arrived(EventMessage(body, _ack), lambda: False))

    async def ingest(self, batch: Sequence[EventMessage]) -> None:
        bodies = {message.body for message in batch}
        if bodies & self.bad:
            self.refused += 1
            raise RuntimeError("a bug")
        self.taken |= bodies


@pytest.fixture(autouse=True)
def _never_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_feed, "RETRY_MIN", 0.0)
    monkeypatch.setattr(events_feed, "PARKED_PAUSE", 1000.0)


@pytest.mark.parametrize("bad", [{b"1", b"2", b"3"}, {b"1", b"2"}], ids=["all fail", "more fail than are kept apart"])
async def test_where_not_only_few_are_at_fault_nothing_is_kept_apart(monkeypatch: pytest.MonkeyPatch, bad: set[bytes]) -> None:
    monkeypatch.setattr(events_feed, "MAX_PARKED", 1 if len(bad) == 2 else 50)
    feeding = Feeding(b"1", b"2", b"3", bad=bad)
    task = asyncio.create_task(feeding.feed.run())
    # A batch of them was handed over one by one, more than once.
    await eventually(lambda: feeding.refused > ALONE_AFTER + 4 * len(bad))
    feeding.bad = set()
    await eventually(lambda: feeding.taken == {b"1", b"2", b"3"})
    feeding.feed.stop()
    await task


async def test_a_single_one_is_kept_apart_and_the_next_batch_comes_through() -> None:
    feeding = Feeding(b"1", b"2", b"3", bad={b"2"})
    task = asyncio.create_task(feeding.feed.run())
    await eventually(lambda: feeding.taken == {b"1", b"3"})
    refused = feeding.refused
    feeding.feed.inbox.put(Arrived(EventMessage(b"4", _ack), lambda: False))
    await eventually(lambda: b"4" in feeding.taken)
    assert feeding.refused == refused, "the next batch is not held up by it"
    assert feeding.feed.behind > 0
    feeding.feed.stop()
    await task
