"""The door by which workers' requests come to a claim desk: bodies in, replies out, without a broker in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from leveret_core.broker.claims_feed import Asked, ClaimsFeed
from leveret_core.messages import Reply, encode
from leveret_dispatcher.claims.claim_desk import ClaimDesk


class ClaimsDoor:
    """What is put in at once is one batch."""

    def __init__(self, desk: ClaimDesk) -> None:
        self.feed = ClaimsFeed(desk.answer, desk.refused)

    async def ask(self, *requests: dict[str, Any] | bytes, timeout: float = 10) -> list[Any]:
        """The replies as JSON, in the order of the requests; None where there was none."""
        return await asyncio.wait_for(asyncio.gather(*self.put(requests)), timeout)

    def put(self, requests: Sequence[dict[str, Any] | bytes]) -> list[asyncio.Future[Any]]:
        """Put requests in; returns what will hold their replies."""
        answers = [asyncio.get_running_loop().create_future() for _ in requests]
        for request, answer in zip(requests, answers, strict=True):
            body = request if isinstance(request, bytes) else json.dumps({"v": 1, **request}).encode()
            self.feed.inbox.put(Asked(body, _into(answer)))
        return answers


@asynccontextmanager
async def claims_door(desk: ClaimDesk) -> AsyncGenerator[ClaimsDoor]:
    door = ClaimsDoor(desk)
    running = asyncio.create_task(door.feed.run())
    try:
        yield door
    finally:
        door.feed.stop()
        await asyncio.wait_for(running, 10)


def _into(answer: asyncio.Future[Any]) -> Any:
    async def settle(reply: Reply | None) -> None:
        answer.set_result(None if reply is None else json.loads(encode(reply)))

    return settle
