"""Workers on a real RabbitMQ, and a claim desk and an ingestor behind it that a test scripts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aio_pika

from leveret import Registry
from leveret.config import WorkerConfig
from leveret.worker import Worker
from leveret_core.broker.base import EventMessage, Published
from leveret_core.broker.rabbitmq_server import RabbitServerBroker
from leveret_core.broker.rabbitmq_worker import RabbitWorkerBroker
from leveret_core.messages import DispatchMessage, Reply, Request
from leveret_core.patterns import queue_name
from support.fake_broker import FakeServers, Key


class Servers(FakeServers):
    """The scripted desk and ingestor, behind a real broker."""

    def __init__(self, broker: RabbitServerBroker, **times: float) -> None:
        super().__init__(**times)
        self._broker = broker

    async def start(self) -> None:
        await self._broker.start()
        await self._broker.serve_claims(self._desk)
        await self._broker.consume_events(self._ingest)

    async def publish_for(self, job_type: str, payload: object = None, **details: Any) -> Key:
        key = self.publish(job_type, payload, **details)
        dispatch = DispatchMessage(occurrence=key[0], attempt=key[1], type=job_type)
        assert await self._broker.publish([dispatch]) == [Published.CONFIRMED]
        return key

    async def _desk(self, requests: Sequence[Request]) -> list[Reply | None]:
        if self.mute:
            self.requests.extend(requests)
            return [None] * len(requests)
        return [await self.answer(request, 5) for request in requests]

    async def _ingest(self, batch: Sequence[EventMessage]) -> None:
        for message in batch:
            await self.take_events(message.body, 5)
            await message.ack()


@asynccontextmanager
async def working(url: str, registry: Registry, **config: Any) -> AsyncGenerator[Worker]:
    config = {"stop_grace": 0.5, "ask_timeout": 2.0, "send_timeout": 2.0, **config}
    worker = Worker(
        registry.handlers,
        RabbitWorkerBroker(url),
        heartbeat_broker=lambda: RabbitWorkerBroker(url),
        config=WorkerConfig(**config),
    )
    await worker.start()
    try:
        await asyncio.wait_for(worker.serving.wait(), 20)
        yield worker
    finally:
        await worker.stop()


async def consumers_of(url: str, pattern: str) -> int:
    """How many workers take from the queue of `pattern`."""
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(queue_name(pattern), passive=True)
        return queue.declaration_result.consumer_count or 0


async def left_in(url: str, pattern: str) -> int:
    """Messages that wait in the queue of `pattern`; unsettled deliveries of ended workers come back to it first."""
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(queue_name(pattern), passive=True)
        return queue.declaration_result.message_count or 0
