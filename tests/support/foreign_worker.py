"""A worker written from docs/protocol.md alone: a plain AMQP client, JSON, and nothing of Leveret.

    python foreign_worker.py AMQP_URL PATTERN QUEUE

Payloads: {"echo": …} is the result; {"sleep": seconds} takes that long and can be cancelled. SIGTERM drains.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import signal
import socket
import sys
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

JOBS_ARGUMENTS: dict[str, Any] = {
    "x-queue-type": "quorum",
    "x-delivery-limit": 20,
    "x-overflow": "reject-publish",
    "x-dead-letter-exchange": "leveret.dead",
    "x-dead-letter-strategy": "at-least-once",
}
CONTROL_ARGUMENTS: dict[str, Any] = {
    "x-queue-type": "classic",
    "x-message-ttl": 60000,
    "x-max-length": 10000,
    "x-overflow": "drop-head",
}


class ForeignWorker:
    def __init__(self, url: str, pattern: str, queue: str) -> None:
        self.url, self.pattern, self.queue = url, pattern, queue
        self.id, self.secret = str(uuid.uuid4()), secrets.token_urlsafe()
        self.lease_until = 0.0
        self.heartbeat = 5.0
        self.replies: dict[str, asyncio.Future[Any]] = {}
        self.running: dict[tuple[int, int], asyncio.Task[None]] = {}
        self.holding: list[tuple[int, int]] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.draining = False

    async def run(self) -> None:
        connection = await aio_pika.connect(self.url)
        async with connection:
            self.requests = await connection.channel()
            replies = await self.requests.get_queue("amq.rabbitmq.reply-to", ensure=False)
            await replies.consume(self.replied, no_ack=True)

            self.events = await connection.channel(publisher_confirms=True)
            words = await connection.channel()
            own = await words.declare_queue(f"leveret.control.{uuid.uuid4()}", exclusive=True, arguments=CONTROL_ARGUMENTS)
            await own.bind(await words.get_exchange("leveret.control"))
            await own.consume(self.heard, no_ack=True)

            dispatches = await connection.channel()
            await dispatches.set_qos(prefetch_count=10)
            jobs = await dispatches.declare_queue(self.queue, durable=True, arguments=JOBS_ARGUMENTS)
            await jobs.bind(await dispatches.get_exchange("leveret.jobs"), self.pattern)

            await self.hello()
            tag = await jobs.consume(self.received)
            beating = asyncio.create_task(self.beat())
            stop = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
            print("serving", flush=True)
            await stop.wait()
            self.draining = True
            await jobs.cancel(tag)
            await asyncio.gather(*self.tasks, return_exceptions=True)
            print(json.dumps(await self.request({"kind": "goodbye"})), flush=True)
            beating.cancel()

    async def hello(self) -> None:
        handler = {"pattern": self.pattern, "concurrency": 10}
        facts = {"name": "foreign", "host": socket.gethostname(), "pid": 1, "sdk": "foreign/1", "concurrency": 10}
        sent = time.clock_gettime(time.CLOCK_BOOTTIME)
        welcome = await self.request({"kind": "hello", "handlers": [handler], **facts})
        assert welcome["kind"] == "welcome", welcome
        self.lease_until, self.heartbeat = sent + welcome["lease"] - 3, welcome["heartbeat"]
        trigger = {"kind": "cron", "expression": "0 3 * * *", "timezone": "Europe/Berlin"}
        job = {"name": "foreign-nightly", "type": "foreign.nightly", "trigger": trigger}
        declared = await self.request({"kind": "declare", "jobs": [job]})
        assert (declared["problems"], declared["jobs"][0]["result"]) == ([], "created"), declared

    async def request(self, body: dict[str, Any]) -> Any:
        """Send it until it is answered."""
        while True:
            number = str(uuid.uuid4())
            self.replies[number] = asyncio.get_running_loop().create_future()
            message = aio_pika.Message(
                json.dumps({"worker": self.id, "secret": self.secret, "v": 1, **body}).encode(),
                content_type="application/json",
                correlation_id=number,
                reply_to="amq.rabbitmq.reply-to",
                expiration=5,
            )
            await self.requests.default_exchange.publish(message, "leveret.claims", mandatory=True)
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(self.replies[number], 5)

    async def replied(self, message: AbstractIncomingMessage) -> None:
        waiting = self.replies.pop(message.correlation_id or "", None)
        if waiting is not None and not waiting.done():
            waiting.set_result(json.loads(message.body))

    async def beat(self) -> None:
        while True:
            await asyncio.sleep(self.heartbeat)
            sent = time.clock_gettime(time.CLOCK_BOOTTIME)
            beat = {"kind": "heartbeat", "running": len(self.running), "loop_lag": 0, "draining": self.draining}
            alive = await self.request(beat | {"holding": self.holding})
            if alive["kind"] != "alive":
                sys.exit(f"lost: {alive}")
            self.lease_until = sent + alive["lease"] - 3
            for occurrence, attempt in alive["cancel"]:
                self.cancel(occurrence, attempt)

    async def heard(self, message: AbstractIncomingMessage) -> None:
        word = json.loads(message.body)
        if word["worker"] == self.id and word["kind"] == "cancel":
            self.cancel(word["occurrence"], word["attempt"])

    def cancel(self, occurrence: int, attempt: int) -> None:
        if (occurrence, attempt) in self.running:
            self.running[occurrence, attempt].cancel()

    async def received(self, message: AbstractIncomingMessage) -> None:
        task = asyncio.create_task(self.serve(message))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def serve(self, message: AbstractIncomingMessage) -> None:
        dispatch = json.loads(message.body)
        key = dispatch["occurrence"], dispatch["attempt"]
        self.holding.append(key)
        while True:
            about = {"types": [dispatch["type"]], "last_success": [key[0]]}
            claimed = await self.request({"kind": "claim", "asks": [list(key)], **about})
            assert claimed["kind"] == "claimed", claimed
            if claimed["answers"]:
                break
            await asyncio.sleep(0.02)
        (answer,) = claimed["answers"]
        if answer["status"] == "granted":
            self.running[key] = asyncio.create_task(self.attempt(answer))
            await self.running[key]
            del self.running[key]
        elif answer["status"] == "cancelled" and key not in self.running:
            end = {"occurrence": key[0], "attempt": key[1], "token": answer["token"], "seq": 1}
            await self.send({"kind": "finished", **end, "outcome": "cancelled", "duration": 0.0})
        self.holding.remove(key)
        await message.ack()

    async def attempt(self, answer: dict[str, Any]) -> None:
        begun = time.monotonic()
        payload = answer.get("payload", {})
        about = {"occurrence": answer["occurrence"], "attempt": answer["attempt"], "token": answer["token"]}
        now = datetime.now(UTC).isoformat()
        await self.send(
            {"kind": "log", **about, "seq": 1, "at": now, "level": "info", "message": "begun", "fields": {"by": "foreign"}},
            {"kind": "progress", **about, "seq": 1, "fraction": 0.5, "message": "half way"},
        )
        end: dict[str, Any] = {"kind": "finished", **about, "seq": 3}
        if payload.get("snooze") and "checkpoint" not in answer:
            await self.send({"kind": "checkpoint", **about, "seq": 2, "data": {"step": 1}})
            await self.send(end | {"outcome": "snoozed", "retry_after": 0.1, "max_snoozes": 1, "duration": 0.0})
            return
        if payload.get("snooze"):
            payload["echo"] = [answer["checkpoint"], answer.get("last_success_at")]
        try:
            await asyncio.sleep(payload.get("sleep", 0))
            end |= {"outcome": "succeeded", "result": payload.get("echo")}
        except asyncio.CancelledError:
            end |= {"outcome": "cancelled"}
        await self.send(end | {"duration": time.monotonic() - begun})

    async def send(self, *events: dict[str, Any]) -> None:
        body = json.dumps({"v": 1, "worker": self.id, "events": events}).encode()
        message = aio_pika.Message(body, content_type="application/json", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await self.events.default_exchange.publish(message, "leveret.events", mandatory=True)


if __name__ == "__main__":
    asyncio.run(ForeignWorker(*sys.argv[1:4]).run())
    assert not any(name.partition(".")[0].startswith("leveret") for name in sys.modules)
