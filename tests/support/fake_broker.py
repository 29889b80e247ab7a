"""A worker's broker and the servers behind it, scripted by tests. It keeps the port's promises and nothing more."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from leveret_core.broker.base import Delivery
from leveret_core.errors import BrokerUnavailable
from leveret_core.messages import (
    Alive,
    Answer,
    Ask,
    Bye,
    Claim,
    Claimed,
    Control,
    Declare,
    Declared,
    DeclaredJob,
    DispatchMessage,
    Event,
    Finished,
    Goodbye,
    Heartbeat,
    Hello,
    Log,
    Progress,
    Refused,
    Reply,
    Request,
    Unknown,
    Welcome,
    decode_events,
)
from leveret_core.patterns import matches

Key = tuple[int, int]


@dataclass
class FakeQueue:
    """The queue of one pattern and its only consumer."""

    broker: FakeBroker
    pattern: str
    prefetch: int
    on_dispatch: Callable[[Delivery], None]
    waiting: deque[DispatchMessage] = field(default_factory=deque[DispatchMessage])
    unsettled: int = 0
    held: bool = False


class FakeServers:
    """The claim desk, the ingestor and the queues, as a test wants them.

    Attributes:
        away: nothing reaches the broker: requests and events fail at once.
        mute: the desk takes requests and does not answer.
        unknown: worker ids that the desk does not know.
        answers: statuses that differ from `granted`; `busy` leaves an ask out of the reply.
        cancel: attempts named in answers to heartbeats.
        drain: worker ids that answers to heartbeats tell to end.
        delay: seconds between a claim and its reply.
        hold_events: events are not confirmed.
        refuse: why every hello is refused.
        problems: what is wrong with every declaration.
        superseded: jobs that a newer release declares otherwise.
        event_workers: the incarnation that sent each of `events`.
    """

    def __init__(self, *, lease: float = 30.0, heartbeat: float = 5.0) -> None:
        self.lease = lease
        self.heartbeat = heartbeat
        self.away = False
        self.mute = False
        self.hold_events = False
        self.delay = 0.0
        self.refuse = ""
        self.problems: list[str] = []
        self.superseded: set[str] = set()
        self.unknown: set[str] = set()
        self.answers: dict[Key, Literal["stale", "not_yet", "busy", "cancelled"]] = {}
        self.cancel: list[Ask] = []
        self.drain: set[str] = set()
        self.requests: list[Request] = []
        self.request_threads: set[str] = set()
        self.events: list[Event] = []
        self.batches: list[int] = []
        self.event_workers: list[str] = []
        self.acked: list[Key] = []
        self.requeued: list[Key] = []
        self.queues: dict[str, FakeQueue] = {}
        self.listeners: list[Callable[[Control], None]] = []
        self._occurrences = itertools.count(1)
        self._details: dict[Key, dict[str, Any]] = {}

    def of(self, *kinds: type[Any]) -> list[Any]:
        """The requests of these kinds."""
        return [request for request in self.requests if isinstance(request, kinds)]

    @property
    def finished(self) -> list[Finished]:
        """The last events of attempts, as confirmed."""
        return [event for event in self.events if isinstance(event, Finished)]

    @property
    def logs(self) -> list[Log]:
        """The log events, as confirmed."""
        return [event for event in self.events if isinstance(event, Log)]

    @property
    def progress(self) -> list[Progress]:
        """The progress events, as confirmed."""
        return [event for event in self.events if isinstance(event, Progress)]

    @property
    def asks(self) -> list[Key]:
        """Every ask of every claim."""
        return [(ask.occurrence, ask.attempt) for claim in self.of(Claim) for ask in claim.asks]

    def outcomes(self) -> list[str]:
        """How attempts ended, in the order of the events."""
        return [event.outcome for event in self.finished]

    def publish(
        self, job_type: str, payload: object = None, *, occurrence: int | None = None, attempt: int = 1, **details: Any
    ) -> Key:
        """Publish a dispatch message to every queue whose pattern matches; `details` go into the answer to its claim."""
        key = (occurrence if occurrence is not None else next(self._occurrences), attempt)
        self._details[key] = {"type": job_type, "payload": msgspec.Raw(msgspec.json.encode(payload or {})), **details}
        dispatch = DispatchMessage(occurrence=key[0], attempt=attempt, type=job_type)
        for queue in self.queues.values():
            if matches(queue.pattern, job_type):
                queue.waiting.append(dispatch)
                self.deliver(queue)
        return key

    def tell(self, word: Control) -> None:
        """Send a word to the workers."""
        for listener in self.listeners:
            listener(word)

    async def answer(self, request: Request, timeout: float) -> Reply:
        """What the desk says to `request`."""
        if self.away:
            raise BrokerUnavailable("the broker is away")
        self.requests.append(request)
        self.request_threads.add(threading.current_thread().name)
        if self.mute:
            await asyncio.sleep(timeout)
            raise BrokerUnavailable("no answer")
        reply = self._reply(request)
        if self.delay and isinstance(request, Claim):
            await asyncio.sleep(self.delay)
        return reply

    async def take_events(self, body: bytes, timeout: float) -> None:
        """Confirm a batch of events, unless told otherwise."""
        if self.away:
            raise BrokerUnavailable("the broker is away")
        if self.hold_events:
            await asyncio.sleep(timeout)
            raise BrokerUnavailable("not confirmed")
        await asyncio.sleep(0)
        batch = decode_events(body)
        self.batches.append(len(batch.events))
        self.event_workers.extend([batch.worker] * len(batch.events))
        self.events.extend(batch.events)

    def _reply(self, request: Request) -> Reply:
        match request:
            case _ if request.worker in self.unknown:
                return Unknown(reason="declared lost")
            case Hello() if self.refuse:
                return Refused(reason=self.refuse)
            case Hello():
                return Welcome(lease=self.lease, heartbeat=self.heartbeat, server="test")
            case Declare(jobs=jobs):
                return self._declare([job["name"] for job in jobs])
            case Claim(asks=asks):
                return Claimed(answers=list(self._claim(asks)))
            case Heartbeat():
                return Alive(lease=self.lease, cancel=self.cancel, drain=request.worker in self.drain)
            case Goodbye():
                self.unknown.add(request.worker)
                return Bye(released=0)

    def _declare(self, names: list[str]) -> Declared:
        if self.problems:
            return Declared(problems=self.problems)
        return Declared(
            jobs=[DeclaredJob(name=name, result="superseded" if name in self.superseded else "unchanged") for name in names]
        )

    def _claim(self, asks: list[Ask]) -> Iterator[Answer]:
        for ask in asks:
            key = (ask.occurrence, ask.attempt)
            status = self.answers.get(key)
            if status == "busy":
                continue
            if status is not None:
                token = f"token-{key[0]}-{key[1]}" if status == "cancelled" else ""
                yield Answer(occurrence=ask.occurrence, attempt=ask.attempt, status=status, token=token)
                continue
            details: dict[str, Any] = {"job": "a-job", "scheduled_for": datetime(2026, 1, 1, tzinfo=UTC)}
            details |= self._details.get(key, {})
            yield Answer(
                occurrence=ask.occurrence, attempt=ask.attempt, status="granted", token=f"token-{key[0]}-{key[1]}", **details
            )

    def deliver(self, queue: FakeQueue) -> None:
        """Deliver what the consumer has room for."""
        while queue.waiting and queue.unsettled < queue.prefetch and not queue.broker.paused and not queue.held:
            dispatch = queue.waiting.popleft()
            queue.unsettled += 1
            queue.on_dispatch(self._delivery(queue, dispatch))

    def _delivery(self, queue: FakeQueue, dispatch: DispatchMessage) -> Delivery:
        key = (dispatch.occurrence, dispatch.attempt)
        settled = False

        def settle(into: list[Key]) -> Callable[[], Any]:
            async def run() -> None:
                nonlocal settled
                if not settled:
                    settled = True
                    into.append(key)
                    queue.unsettled -= 1
                    if into is self.requeued:
                        queue.waiting.append(dispatch)
                    self.deliver(queue)

            return run

        return Delivery(dispatch, queue.pattern, ack=settle(self.acked), requeue=settle(self.requeued))


class FakeBroker:
    """`WorkerBroker` whose other side is a `FakeServers`."""

    def __init__(self, servers: FakeServers) -> None:
        self.servers = servers
        self.paused = False
        self.started = False

    @property
    def connected(self) -> bool:
        """Whether anything gets through."""
        return self.started and not self.servers.away

    async def start(self) -> None:
        """Connect."""
        if self.servers.away:
            raise BrokerUnavailable("the broker is away")
        self.started = True

    async def stop(self) -> None:
        """Close."""
        self.started = False

    async def serve(self, pattern: str, prefetch: int, on_dispatch: Callable[[Delivery], None]) -> None:
        """Consume the queue of `pattern`."""
        self.servers.queues[pattern] = FakeQueue(self, pattern, prefetch, on_dispatch)

    async def pause(self) -> None:
        """Deliver nothing more."""
        self.paused = True

    async def hold(self, pattern: str) -> None:
        """Deliver nothing more of the queue of `pattern`."""
        self.servers.queues[pattern].held = True

    async def resume(self, pattern: str) -> None:
        """Deliver it again."""
        queue = self.servers.queues[pattern]
        queue.held = False
        self.servers.deliver(queue)

    async def request(self, request: Request, timeout: float) -> Reply:
        """Ask the scripted desk."""
        return await self.servers.answer(request, timeout)

    async def send_events(self, body: bytes, timeout: float) -> None:
        """Hand the batch to the scripted ingestor."""
        await self.servers.take_events(body, timeout)

    async def listen(self, on_control: Callable[[Control], None]) -> None:
        """Hear what `FakeServers.tell` says."""
        self.servers.listeners.append(on_control)
