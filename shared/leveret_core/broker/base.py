"""What Leveret needs of a broker. RabbitMQ's adapters and the in-memory ones implement it and pass the same contract tests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from leveret_core.messages import Control, DispatchMessage, Reply, Request, Unreadable


class Published(Enum):
    """What became of one dispatch message. Only `CONFIRMED` means that the broker has it."""

    CONFIRMED = "confirmed"
    UNROUTABLE = "unroutable"
    """No queue is bound for the type: no worker has ever served it."""
    UNKNOWN = "unknown"
    """Refused, timed out or cut off: it may or may not arrive."""


@dataclass(eq=False)
class EventMessage:
    """One message of the events queue, settled by `ack` only after its content is durable in Postgres."""

    body: bytes
    ack: Callable[[], Awaitable[None]] = field(repr=False)


@dataclass(eq=False)
class Delivery:
    """A dispatch message as delivered to a worker. Settle it once: `ack` drops it, `requeue` gives it back to the queue.

    Both are no-ops when the channel it came on is gone: the broker then redelivers by itself.
    """

    dispatch: DispatchMessage
    pattern: str
    ack: Callable[[], Awaitable[None]] = field(repr=False)
    requeue: Callable[[], Awaitable[None]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is in the events queue: messages that no consumer has yet, and its consumers."""

    waiting: int
    consumers: int


class ServerBroker(Protocol):
    """The side of API replicas and dispatchers. Every method ends within its own deadline."""

    async def start(self) -> None:
        """Connect and declare the topology; keeps trying in the background, see `connected`."""
        ...

    async def stop(self) -> None:
        """Stop consuming and close. Safe to call twice and before `start`."""
        ...

    @property
    def connected(self) -> bool:
        """Whether publishing and consuming are possible right now."""
        ...

    async def publish(self, dispatches: Sequence[DispatchMessage]) -> list[Published]:
        """Publish all, pipelined, and wait for the broker's word on each; never raises for a single one."""
        ...

    async def serve_claims(
        self,
        desk: Callable[[Sequence[Request]], Awaitable[Sequence[Reply | None]]],
        refused: Callable[[Unreadable], None] = ...,
    ) -> None:
        """Hand batches of requests to `desk`, each of one kind, and send its replies (None: no reply, the worker asks
        again). Those that cannot be read are refused, and told to `refused`.

        Returns at once; survives reconnects until `stop`. When `desk` raises, its batch gets no replies.
        """
        ...

    async def consume_events(self, ingest: Callable[[Sequence[EventMessage]], Awaitable[None]]) -> None:
        """Hand batches of event messages to `ingest`, one batch at a time. Returns at once; survives reconnects.

        When `ingest` raises, the same batch is handed over again after a pause, as long as its connection lives.
        """
        ...

    @property
    def events_behind(self) -> float | None:
        """Seconds since the oldest event arrived here that is not ingested, 0 if there is none; None while none can arrive."""
        ...

    async def events_backlog(self) -> Backlog:
        """What is in the events queue just now. Raises `BrokerUnavailable`."""
        ...

    async def tell_workers(self, word: Control) -> None:
        """Send a word to all workers, best effort. Raises `BrokerUnavailable`."""
        ...


class WorkerBroker(Protocol):
    """The side of a worker: one URL, no other credentials."""

    async def start(self) -> None:
        """Connect. Raises `BrokerUnavailable` when the broker cannot be reached or refuses the credentials."""
        ...

    async def stop(self) -> None:
        """Close. Unsettled deliveries go back to their queues. Safe to call twice and before `start`."""
        ...

    @property
    def connected(self) -> bool:
        """Whether requests and events can be sent right now."""
        ...

    async def serve(self, pattern: str, prefetch: int, on_dispatch: Callable[[Delivery], None]) -> None:
        """Declare and bind the queue of `pattern` and consume it with at most `prefetch` unsettled deliveries.

        `on_dispatch` is called on the event loop and must return at once. Survives reconnects. A queue that the broker
        refuses raises nothing: that is logged and tried again, while other patterns are served.
        """
        ...

    async def pause(self) -> None:
        """Stop consuming (drain); deliveries already made stay valid."""
        ...

    async def hold(self, pattern: str) -> None:
        """Stop consuming the queue of `pattern` until `resume`; deliveries already made stay valid. Survives reconnects."""
        ...

    async def resume(self, pattern: str) -> None:
        """Consume the queue of `pattern` again after `hold`; it brings up to its prefetch besides what is unsettled."""
        ...

    async def request(self, request: Request, timeout: float) -> Reply:
        """Ask the claim desk. Raises `BrokerUnavailable` without an answer within `timeout` seconds."""
        ...

    async def send_events(self, body: bytes, timeout: float) -> None:
        """Publish an encoded `Events` batch; returns when the broker has confirmed it. Raises `BrokerUnavailable`."""
        ...

    async def listen(self, on_control: Callable[[Control], None]) -> None:
        """Call `on_control` for every word of the servers. Survives reconnects."""
        ...
