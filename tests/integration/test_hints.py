"""Hints between replicas over a real Redis: what is lost with a connection is made up for."""

from __future__ import annotations

from redis.asyncio import Redis

from leveret_core.hints import CHANNEL, Hint, Hints
from leveret_core.redis_clients import hints_client
from support.eventually import eventually


async def test_who_was_cut_off_looks_again_for_everything(redis_url: str) -> None:
    client = hints_client(redis_url)
    hints = Hints(client)
    heard: list[Hint] = []
    hints.subscribe(heard.append)
    async with Redis.from_url(redis_url) as redis:

        async def listens() -> None:
            ((_, listeners),) = await redis.pubsub_numsub(CHANNEL)
            assert listeners == 1

        await hints.start()
        try:
            await eventually(listens)
            assert heard == []
            await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # type: ignore[no-untyped-call]
            await eventually(lambda: {hint.topic for hint in heard} >= {"resync", "wake"})
        finally:
            await hints.stop()
            await client.aclose()
