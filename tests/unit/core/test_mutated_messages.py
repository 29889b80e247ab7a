"""Dispatch messages and words that are wrong in one place: a worker drops them, and hears their neighbours."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from leveret_core.broker.base import Delivery
from leveret_core.broker.memory_hub import MemoryHub
from leveret_core.broker.memory_worker import MemoryWorkerBroker
from leveret_core.messages import Control, Drain, Unreadable, encode, take_request
from support.eventually import eventually
from support.mutations import mutated

DISPATCH = {"occurrence": 1001, "attempt": 1, "type": "sendemail.welcome", "v": 1}
CANCEL = {"kind": "cancel", "worker": "0b5a4f0e-8f0b-4f9c-9a55-2f6f8c1f6a01", "occurrence": 1001, "attempt": 1, "v": 1}
CLAIM = {"kind": "claim", "worker": CANCEL["worker"], "secret": "s" * 16, "asks": [[1, 1], [2, 1]], "types": ["a", "b"]}


@settings(max_examples=50, deadline=None)
@given(st.lists(mutated(DISPATCH), max_size=5))
def test_a_worker_takes_the_dispatch_messages_that_can_be_asked_for_and_no_other(bodies: list[bytes]) -> None:
    async def run() -> list[Delivery]:
        heard: list[Delivery] = []
        hub = MemoryHub()
        worker = MemoryWorkerBroker(hub)
        await worker.start()
        await worker.serve("sendemail.*", 100, heard.append)
        for body in [*bodies, json.dumps(DISPATCH).encode()]:
            hub.dispatches["sendemail.*"].put(body)
        await eventually(lambda: bool(heard) and heard[-1].dispatch.occurrence == 1001, interval=0)
        await worker.stop()
        return heard

    for delivery in asyncio.run(run()):
        assert 1 <= delivery.dispatch.occurrence < 2**63
        assert 1 <= delivery.dispatch.attempt < 2**31
        assert "\n" not in delivery.dispatch.type


@settings(max_examples=50, deadline=None)
@given(st.lists(mutated(CANCEL), max_size=5))
def test_a_worker_hears_the_words_beside_one_that_is_none(bodies: list[bytes]) -> None:
    last = Drain(worker="the last")

    async def run() -> None:
        heard: list[Control] = []
        hub = MemoryHub()
        worker = MemoryWorkerBroker(hub)
        await worker.start()
        await worker.listen(heard.append)
        for body in [*bodies, encode(last)]:
            for listener in hub.listeners:
                listener(body)
        await eventually(lambda: last in heard, interval=0)
        await worker.stop()

    asyncio.run(run())


@settings(max_examples=150, deadline=None)
@given(mutated(CLAIM))
def test_of_a_claim_nothing_but_good_asks_comes_through(body: bytes) -> None:
    claim: Any = take_request(body)
    if isinstance(claim, Unreadable):
        assert claim.reason
        assert "\n" not in claim.reason + claim.worker + claim.name
        return
    for ask in claim.asks:
        assert 1 <= ask.occurrence < 2**63
        assert 1 <= ask.attempt < 2**31
