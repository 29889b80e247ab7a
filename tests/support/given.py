"""Servers that exist already, named by TEST_DATABASE_URL, TEST_REDIS_URL and TEST_AMQP_URL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import aio_pika

from leveret_core import topology


class Located(Protocol):
    """A server that tests share. None of them may stop it: that is what private servers are for."""

    @property
    def url(self) -> str:
        """Where it is, with the credentials of an administrator."""
        ...


@dataclass(frozen=True)
class GivenServer:
    """A server that was started outside of the tests."""

    url: str


async def clear_vhost(url: str) -> None:
    """Delete Leveret's exchanges and queues from the virtual host of `url`.

    Queues of job patterns stay, unbound: AMQP cannot list them, and a dispatch message from them is answered as stale.
    """
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for exchange in (topology.JOBS_EXCHANGE, topology.CONTROL_EXCHANGE, topology.DEAD_EXCHANGE):
            await channel.exchange_delete(exchange)
        for queue in (topology.EVENTS_QUEUE, topology.CLAIMS_QUEUE, topology.DEAD_QUEUE):
            await channel.queue_delete(queue)
