"""All exchange, queue and routing names, and the arguments of every queue. Nothing else names them.

Every argument is explicit, so that the same declaration is right on RabbitMQ 3.10 to 4.x, whose defaults differ.
"""

from __future__ import annotations

from typing import Any

JOBS_EXCHANGE = "leveret.jobs"
"""Topic exchange; the routing key of a dispatch message is the job's type."""
CONTROL_EXCHANGE = "leveret.control"
"""Fan-out to all workers."""
DEAD_EXCHANGE = "leveret.dead"
"""Fan-out into the queue of the same name; what a consumer could not take at all ends there."""
EVENTS_QUEUE = "leveret.events"
CLAIMS_QUEUE = "leveret.claims"
DEAD_QUEUE = "leveret.dead"
CONTROL_QUEUE_PREFIX = "leveret.control."
"""Before the random name of a worker's exclusive queue."""

DELIVERY_LIMIT = 20
"""Deliveries after which a message that keeps breaking its consumer is dead-lettered."""

WORKER_PERMISSIONS = (
    r"^(jobs|leveret\.control)\..*",
    r"^((jobs|leveret\.control)\..*|leveret\.dead|amq\.default)$",
    r"^((jobs|leveret\.control)\..*|leveret\.jobs|leveret\.control)$",
)
"""What a worker's user needs, as regular expressions for `rabbitmqctl set_permissions`: configure, write, read."""

SERVER_PERMISSIONS = (r"^leveret\..*", r"^(leveret\..*|amq\.default)$", r"^leveret\..*")
"""What a server's user needs, likewise. Answers to workers go by way of the default exchange, `amq.default`."""


def durable_queue_arguments() -> dict[str, Any]:
    """Arguments of the queues of jobs and events: quorum, nothing dropped, what cannot be delivered goes to `leveret.dead`."""
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": DEAD_EXCHANGE,
        "x-dead-letter-strategy": "at-least-once",
    }


def claims_queue_arguments() -> dict[str, Any]:
    """Arguments of the queue of requests: a late request is worthless, because the worker asks again."""
    return {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT, "x-message-ttl": 10_000}


def dead_queue_arguments() -> dict[str, Any]:
    """Arguments of the queue of what could not be delivered: bounded, the oldest goes first."""
    return {"x-queue-type": "quorum", "x-max-length": 100_000, "x-overflow": "drop-head"}


def control_queue_arguments() -> dict[str, Any]:
    """Arguments of a worker's own queue of words from the servers: exclusive, thus classic; what is missed is told again."""
    return {"x-queue-type": "classic", "x-message-ttl": 60_000, "x-max-length": 10_000, "x-overflow": "drop-head"}
