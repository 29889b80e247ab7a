"""Hints between replicas over a real Redis: what is lost with a connection is made up for, and what is none costs no other."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from leveret_core.hints import CHANNEL, Hint, Hints
from leveret_core.redis_clients import hints_client
from support.eventually import eventually
from support.mutations import mutated


async def test_who_was_cut_off_looks_again_for_everything(redis_url: str) -> None:
    client = hints_client(redis_url)
    hints = Hints(client)
    heard: list[Hint] = []
    hints.subscribe(heard.append)
    async with Redis.from_url(redis_url) as redis:
        await hints.start()
        try:
            await eventually(lambda: _listens(redis))
            assert heard == []
            await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # type: ignore[no-untyped-call]
            await eventually(lambda: {hint.topic for hint in heard} >= {"resync", "wake"})
        finally:
            await hints.stop()
            await client.aclose()


async def test_a_hint_that_is_wrong_costs_no_other(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    client = hints_client(redis_url)
    hints = Hints(client)
    heard: list[Hint] = []
    hints.subscribe(heard.append)
    count = itertools.count(1)

    async with Redis.from_url(redis_url) as redis:

        async def check(wrong: list[bytes]) -> None:
            heard.clear()
            caplog.clear()
            before, after = (Hint("occurrences", (next(count),)) for _ in range(2))
            at_once = redis.pipeline(transaction=False)
            for body in (_sent(before), *wrong, _sent(after)):
                at_once.publish(CHANNEL, body)
            assert set(await at_once.execute()) == {1}, "the listener is gone"
            await eventually(lambda: bool(heard) and heard[-1] == after, interval=0)
            assert heard[0] == before
            for hint in heard:
                assert all(1 <= id_ < 2**63 for id_ in hint.ids)
                assert all(1 <= number <= 1_000_000 for number in hint.claimed.values())
            assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []

        good = {"topic": "occurrences", "ids": [1001, 1002], "claimed": {"sendemail.welcome": 2}}
        body = mutated(good).map(lambda text: b"another " + text)
        whole = st.one_of(body, mutated(good), st.binary(max_size=50), st.just(b""))

        @settings(max_examples=1_000 if os.environ.get("LEVERET_EXHAUSTIVE") else 60, deadline=None, database=None)
        @given(st.lists(st.one_of(body, whole), min_size=1, max_size=6))
        def explore(wrong: list[bytes]) -> None:
            asyncio.run_coroutine_threadsafe(check(wrong), loop).result(30)

        await hints.start()
        try:
            await eventually(lambda: _listens(redis))
            await asyncio.to_thread(explore)
        finally:
            await hints.stop()
            await client.aclose()


async def _listens(redis: Redis) -> None:
    ((_, listeners),) = await redis.pubsub_numsub(CHANNEL)
    assert listeners == 1


def _sent(hint: Hint) -> bytes:
    return b"another " + msgspec.json.encode(hint)
