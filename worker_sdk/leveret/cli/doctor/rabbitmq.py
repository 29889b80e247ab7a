"""RabbitMQ: there, recent enough, and willing to keep a quorum queue for us."""

from __future__ import annotations

import contextlib
import uuid
from typing import Any

import aio_pika
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import AMQPError

from leveret.cli.doctor.checks import Checks
from leveret_core.broker.rabbitmq_errors import explain_connecting, explain_refusal
from leveret_core.broker.rabbitmq_urls import parse_urls
from leveret_core.errors import ConfigurationError
from leveret_core.settings import Settings
from leveret_core.topology import durable_queue_arguments

OLDEST = (3, 10)
TIMEOUT = 10.0


async def examine(settings: Settings, checks: Checks) -> None:
    """Look at RabbitMQ."""
    try:
        urls = parse_urls(settings.amqp_url, heartbeat=10)
    except ConfigurationError as error:
        checks.fail("connection", str(error), "check LEVERET_AMQP_URL")
        return
    connections: list[AbstractConnection] = []
    for url in urls:
        try:
            connections.append(await aio_pika.connect(url, timeout=TIMEOUT))
        except (AMQPError, OSError, TimeoutError, RuntimeError) as error:
            problem, _, advice = explain_connecting(error, url).rpartition(": ")
            # Another node will do, as long as there is one.
            (checks.warn if len(urls) > 1 else checks.fail)("connection", problem, f"{advice} (LEVERET_AMQP_URL)")
    if not connections:
        if len(urls) > 1:
            checks.fail("cluster", f"none of its {len(urls)} nodes can be used", "see above")
        return
    try:
        of = f" on {len(connections)} of {len(urls)} nodes" if len(urls) > 1 else ""
        checks.ok("connection", f"it answers, and lets this user in{of}")
        _examine_version(connections[0], checks)
        await _examine_queues(connections[0], checks)
    finally:
        for connection in connections:
            await connection.close()


def _examine_version(connection: AbstractConnection, checks: Checks) -> None:
    transport: Any = connection.transport
    properties: dict[str, Any] = transport.connection.server_properties
    version = properties.get("version", "unknown")
    version = version.decode() if isinstance(version, bytes) else str(version)
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if len(numbers) == 2 and numbers < OLDEST:
        checks.fail("version", version, "upgrade to RabbitMQ 3.10 or newer")
    else:
        checks.ok("version", version)


async def _examine_queues(connection: AbstractConnection, checks: Checks) -> None:
    """Declare a queue like those of jobs, put a message through it, and delete it."""
    name = f"leveret.doctor.{uuid.uuid4().hex}"
    # Should we die on the way, the broker deletes it.
    arguments = durable_queue_arguments() | {"x-expires": 60_000}
    advice = (
        "allow this user to configure, write and read `leveret.*` and `jobs.*` on its virtual host, and to write `amq.default`:"
        " answers to workers go by way of it"
    )
    try:
        channel = await connection.channel(publisher_confirms=True)
        await channel.declare_queue(name, durable=True, arguments=arguments, timeout=TIMEOUT)
    except (AMQPError, OSError, TimeoutError, RuntimeError) as error:
        checks.fail("queues", explain_refusal(error, "a quorum queue"), advice)
        return
    try:
        await channel.default_exchange.publish(aio_pika.Message(b"{}"), name, timeout=TIMEOUT)
        checks.ok("queues", "a quorum queue was declared, and took a message")
    except TimeoutError:
        checks.fail(
            "queues",
            f"a message was not taken within {TIMEOUT:g} s",
            "see whether the broker has an alarm: `rabbitmqctl status` names memory and disk",
        )
    except (AMQPError, OSError, RuntimeError) as error:
        checks.fail("queues", f"a message was refused: {error}", advice)
    finally:
        # On a channel of its own: a refusal has closed the other.
        with contextlib.suppress(AMQPError, OSError, TimeoutError, RuntimeError):
            async with await connection.channel() as tidying:
                await tidying.queue_delete(name, timeout=TIMEOUT)
