"""What every broker does: the one inside the process, and RabbitMQ."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from leveret_core.broker import events_feed
from leveret_core.broker.base import Delivery, EventMessage, Published, ServerBroker, WorkerBroker
from leveret_core.broker.memory import MemoryBroker
from leveret_core.broker.rabbitmq_server import RabbitServerBroker
from leveret_core.broker.rabbitmq_worker import RabbitWorkerBroker
from leveret_core.errors import BrokerUnavailable, InvalidInput
from leveret_core.messages import (
    Alive,
    Answer,
    Ask,
    Bye,
    Cancel,
    Claim,
    Claimed,
    Control,
    Declare,
    Declared,
    DeclaredJob,
    DispatchMessage,
    Drain,
    Goodbye,
    Heartbeat,
    Reply,
    Request,
)
from support.eventually import eventually

pytestmark = pytest.mark.timeout(60)


def dispatch(number: int, job_type: str = "sendemail.welcome") -> DispatchMessage:
    return DispatchMessage(occurrence=number + 1, attempt=1, type=job_type)


def dispatches(numbers: Sequence[int], job_type: str = "sendemail.welcome") -> list[DispatchMessage]:
    return [dispatch(number, job_type) for number in numbers]


class Taken(list[Delivery]):
    """Deliveries of a worker, as its `on_dispatch`."""

    def __call__(self, delivery: Delivery) -> None:
        self.append(delivery)

    @property
    def numbers(self) -> list[int]:
        return [delivery.dispatch.occurrence - 1 for delivery in self]

    async def are(self, *numbers: int) -> None:
        """Wait until exactly these have come, in this order."""
        await eventually(lambda: len(self) >= len(numbers))
        assert self.numbers == list(numbers)


@dataclass
class Brokers:
    """Makes started views of one broker, and stops them all at the end."""

    new_server: Callable[[], ServerBroker]
    new_worker: Callable[[], WorkerBroker]
    kind: str
    made: list[ServerBroker | WorkerBroker] = field(default_factory=list[ServerBroker | WorkerBroker])

    async def server(self) -> ServerBroker:
        server = self.new_server()
        self.made.append(server)
        await server.start()
        return server

    async def worker(self) -> WorkerBroker:
        worker = self.new_worker()
        self.made.append(worker)
        await worker.start()
        return worker


@pytest.fixture(params=["memory", "rabbitmq"])
def kind(request: pytest.FixtureRequest) -> Brokers:
    if request.param == "memory":
        hub = MemoryBroker()
        return Brokers(hub.server, hub.worker, "memory")
    url: str = request.getfixturevalue("amqp_url")
    return Brokers(lambda: RabbitServerBroker(url), lambda: RabbitWorkerBroker(url), "rabbitmq")


@pytest.fixture
async def brokers(kind: Brokers) -> AsyncIterator[Brokers]:
    yield kind
    for broker in reversed(kind.made):
        await broker.stop()


# Dispatch messages


async def test_a_dispatch_message_reaches_a_worker_whose_pattern_matches(brokers: Brokers) -> None:
    server, worker, taken = await brokers.server(), await brokers.worker(), Taken()
    await worker.serve("sendemail.*", 10, taken)

    assert await server.publish([dispatch(1)]) == [Published.CONFIRMED]

    await taken.are(1)
    assert taken[0].dispatch == dispatch(1)
    assert taken[0].pattern == "sendemail.*"


async def test_publishing_nothing_returns_nothing(brokers: Brokers) -> None:
    assert await (await brokers.server()).publish([]) == []


async def test_a_type_that_no_worker_ever_served_is_unroutable(brokers: Brokers) -> None:
    server, worker = await brokers.server(), await brokers.worker()
    await worker.serve("report.#", 10, Taken())

    outcomes = await server.publish([dispatch(1), dispatch(2, "report.daily")])

    assert outcomes == [Published.UNROUTABLE, Published.CONFIRMED]


async def test_a_queue_outlives_its_workers(brokers: Brokers) -> None:
    server, worker = await brokers.server(), await brokers.worker()
    await worker.serve("sendemail.*", 10, Taken())
    await worker.stop()

    assert await server.publish(dispatches([1, 2])) == [Published.CONFIRMED] * 2

    taken = Taken()
    await (await brokers.worker()).serve("sendemail.*", 10, taken)
    await taken.are(1, 2)


async def test_each_matching_pattern_gets_its_own_copy(brokers: Brokers) -> None:
    server, worker, of_emails, of_all = await brokers.server(), await brokers.worker(), Taken(), Taken()
    await worker.serve("sendemail.*", 10, of_emails)
    await worker.serve("#", 10, of_all)

    assert await server.publish([dispatch(1), dispatch(2, "other")]) == [Published.CONFIRMED] * 2

    await of_emails.are(1)
    await of_all.are(1, 2)


async def test_dispatch_messages_come_in_the_order_of_publishing(brokers: Brokers) -> None:
    server, worker, taken = await brokers.server(), await brokers.worker(), Taken()
    await worker.serve("sendemail.*", 2000, taken)

    await server.publish(dispatches(range(700)))
    await server.publish(dispatches(range(700, 1000)))

    await taken.are(*range(1000))


async def test_no_more_than_prefetch_are_unsettled_at_once(brokers: Brokers) -> None:
    server, worker, taken = await brokers.server(), await brokers.worker(), Taken()
    await worker.serve("sendemail.*", 3, taken)
    await server.publish(dispatches(range(10)))
    await taken.are(0, 1, 2)

    await taken[1].ack()
    await taken.are(0, 1, 2, 3)
    await taken[0].ack()
    await taken[2].ack()
    await taken.are(*range(6))
    await asyncio.sleep(0.1)
    assert len(taken) == 6


async def test_prefetch_is_counted_for_each_pattern_apart(brokers: Brokers) -> None:
    server, worker, emails, reports = await brokers.server(), await brokers.worker(), Taken(), Taken()
    await worker.serve("sendemail.*", 1, emails)
    await worker.serve("report", 2, reports)

    await server.publish([*dispatches(range(3)), *dispatches(range(10, 13), "report")])

    await emails.are(0)
    await reports.are(10, 11)


async def test_a_requeued_dispatch_message_comes_again_before_later_ones(brokers: Brokers) -> None:
    server, worker, taken = await brokers.server(), await brokers.worker(), Taken()
    await worker.serve("sendemail.*", 1, taken)
    await server.publish(dispatches([1, 2]))
    await taken.are(1)

    await taken[0].requeue()

    await taken.are(1, 1)
    await taken[1].ack()
    await taken.are(1, 1, 2)


async def test_what_a_stopped_worker_held_goes_first_to_the_next_in_the_old_order(brokers: Brokers) -> None:
    server, worker, held = await brokers.server(), await brokers.worker(), Taken()
    await worker.serve("sendemail.*", 4, held)
    await server.publish(dispatches(range(1, 8)))
    await held.are(1, 2, 3, 4)
    await held[1].ack()
    await eventually(lambda: len(held) == 5)

    await worker.stop()

    taken = Taken()
    await (await brokers.worker()).serve("sendemail.*", 10, taken)
    await taken.are(1, 3, 4, 5, 6, 7)


async def test_settling_twice_or_after_the_end_does_nothing(brokers: Brokers) -> None:
    server, worker, taken = await brokers.server(), await brokers.worker(), Taken()
    await worker.serve("sendemail.*", 2, taken)
    await server.publish(dispatches([1, 2]))
    await taken.are(1, 2)

    await taken[0].ack()
    await taken[0].ack()
    await taken[0].requeue()
    await worker.stop()
    await taken[1].ack()
    await taken[1].requeue()

    again = Taken()
    other = await brokers.worker()
    await other.serve("sendemail.*", 10, again)
    await again.are(2)
    await server.publish([dispatch(3)])
    await again.are(2, 3)


async def test_acks_before_the_end_are_not_lost_by_it(brokers: Brokers) -> None:
    server, worker, taken = await brokers.server(), await brokers.worker(), Taken()
    await worker.serve("sendemail.*", 300, taken)
    await server.publish(dispatches(range(301)))
    await eventually(lambda: len(taken) == 300)

    for delivery in reversed(taken[:300]):
        await delivery.ack()
    await worker.stop()

    again = Taken()
    await (await brokers.worker()).serve("sendemail.*", 300, again)
    await again.are(300)


async def test_workers_of_one_pattern_share_its_dispatch_messages(brokers: Brokers) -> None:
    server, first, second = await brokers.server(), Taken(), Taken()
    await (await brokers.worker()).serve("sendemail.*", 5, first)
    await (await brokers.worker()).serve("sendemail.*", 5, second)

    await server.publish(dispatches(range(10)))

    await eventually(lambda: len(first) == len(second) == 5)
    assert sorted(first.numbers + second.numbers) == list(range(10))


async def test_a_paused_worker_gets_nothing_more_but_settles_what_it_has(brokers: Brokers) -> None:
    server, worker, taken = await brokers.server(), await brokers.worker(), Taken()
    await worker.serve("sendemail.*", 2, taken)
    await server.publish(dispatches([1, 2]))
    await taken.are(1, 2)

    await worker.pause()
    await server.publish(dispatches([3]))
    await taken[0].ack()
    await taken[1].requeue()

    other = Taken()
    await (await brokers.worker()).serve("sendemail.*", 10, other)
    await other.are(2, 3)
    await taken.are(1, 2)


async def test_a_pattern_that_is_held_leaves_its_dispatch_messages_to_others_until_it_is_resumed(brokers: Brokers) -> None:
    server, worker, mails, reports, others = await brokers.server(), await brokers.worker(), Taken(), Taken(), Taken()
    await worker.serve("sendemail.*", 2, mails)
    await worker.serve("report.*", 2, reports)
    await server.publish(dispatches([1]))
    await mails.are(1)

    await worker.hold("sendemail.*")
    await worker.hold("sendemail.*")
    await mails[0].requeue()
    await server.publish([*dispatches([2, 3]), dispatch(9, "report.daily")])
    await reports.are(9)
    other = await brokers.worker()
    await other.serve("sendemail.*", 2, others)
    await others.are(1, 2)
    await mails.are(1)

    await worker.resume("sendemail.*")
    await worker.resume("sendemail.*")
    await mails.are(1, 3)
    await server.publish(dispatches([4]))
    await mails.are(1, 3, 4)
    await worker.pause()
    await worker.resume("sendemail.*")
    await mails[1].ack()
    await mails[2].ack()
    await server.publish(dispatches([5]))
    await others[0].ack()
    await others.are(1, 2, 5)
    await mails.are(1, 3, 4)


async def test_outcomes_of_a_large_batch_are_told_one_by_one(brokers: Brokers) -> None:
    server, worker, taken = await brokers.server(), await brokers.worker(), Taken()
    await worker.serve("sendemail.#", 10_000, taken)
    routed = [number % 7 != 3 for number in range(5000)]
    batch = [dispatch(number, "sendemail.a" if known else "nobody.b") for number, known in enumerate(routed)]

    outcomes = await server.publish(batch)

    assert outcomes == [Published.CONFIRMED if known else Published.UNROUTABLE for known in routed]
    expected = [number for number, known in enumerate(routed) if known]
    await eventually(lambda: len(taken) == len(expected))
    assert taken.numbers == expected


async def test_several_publish_at_the_same_time(brokers: Brokers) -> None:
    server, worker, taken = await brokers.server(), await brokers.worker(), Taken()
    await worker.serve("sendemail.*", 10_000, taken)

    batches = [[*dispatches(range(start, start + 600)), dispatch(9, "nobody")] for start in range(0, 3000, 600)]
    outcomes = await asyncio.gather(*(server.publish(batch) for batch in batches))

    assert all(each == [Published.CONFIRMED] * 600 + [Published.UNROUTABLE] for each in outcomes)
    await eventually(lambda: len(taken) == 3000)
    assert sorted(taken.numbers) == list(range(3000))


async def test_a_pattern_that_is_none_is_refused(brokers: Brokers) -> None:
    worker = await brokers.worker()
    with pytest.raises(InvalidInput):
        await worker.serve("send..email", 1, Taken())


# Claims


@dataclass
class Desk:
    """Answers heartbeats, keeps what it was asked. `mute` makes it give no reply, `broken` makes it raise."""

    name: float = 1.0
    mute: bool = False
    broken: bool = False
    batches: list[list[Request]] = field(default_factory=list[list[Request]])

    async def __call__(self, requests: Sequence[Request]) -> Sequence[Reply | None]:
        self.batches.append(list(requests))
        if self.broken:
            raise RuntimeError("the database is away")
        return [None if self.mute else self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        match request:
            case Heartbeat():
                return Alive(lease=float(request.running))
            case Claim():
                answers = [Answer(occurrence=ask.occurrence, attempt=ask.attempt, status="stale") for ask in request.asks]
                return Claimed(answers=answers)
            case _:
                return Bye(released=0)


def heartbeat(running: int) -> Heartbeat:
    return Heartbeat(worker="w", running=running, holding=None)


async def test_each_request_gets_its_own_reply(brokers: Brokers) -> None:
    server, worker, desk = await brokers.server(), await brokers.worker(), Desk()
    await server.serve_claims(desk)

    replies = await asyncio.gather(*(worker.request(heartbeat(number), 5) for number in range(100)))

    assert [reply.lease for reply in replies if isinstance(reply, Alive)] == list(range(100))
    assert max(len(batch) for batch in desk.batches) <= 32
    assert len(desk.batches) < 100


async def test_a_claim_is_answered_ask_by_ask(brokers: Brokers) -> None:
    server, worker = await brokers.server(), await brokers.worker()
    await server.serve_claims(Desk())

    reply = await worker.request(Claim(worker="w", asks=[Ask(1, 1), Ask(2, 3)]), 5)

    assert isinstance(reply, Claimed)
    assert [(answer.occurrence, answer.attempt) for answer in reply.answers] == [(1, 1), (2, 3)]


async def test_a_request_without_a_reply_ends_by_its_timeout(brokers: Brokers) -> None:
    server, worker, desk = await brokers.server(), await brokers.worker(), Desk(mute=True)
    await server.serve_claims(desk)
    with pytest.raises(BrokerUnavailable, match=r"no answer within 0\.3 s"):
        await worker.request(heartbeat(1), 0.3)

    desk.mute = False
    assert await worker.request(heartbeat(2), 5) == Alive(lease=2)


async def test_a_desk_that_raises_leaves_requests_without_reply_and_serves_the_next(
    brokers: Brokers, caplog: pytest.LogCaptureFixture
) -> None:
    server, worker, desk = await brokers.server(), await brokers.worker(), Desk(broken=True)
    await server.serve_claims(desk)
    for _ in range(2):
        with pytest.raises(BrokerUnavailable):
            await worker.request(heartbeat(1), 0.3)
    assert caplog.text.count("the claim desk fails") == 1

    desk.broken = False
    assert await worker.request(heartbeat(2), 5) == Alive(lease=2)
    # On a slow machine the first two come together; each comes once, in order.
    assert [request for batch in desk.batches for request in batch] == [heartbeat(1), heartbeat(1), heartbeat(2)]


async def test_a_request_is_told_when_there_never_was_a_server(brokers: Brokers) -> None:
    worker = await brokers.worker()
    with pytest.raises(BrokerUnavailable, match="no server takes"):
        await worker.request(heartbeat(1), 5)
    with pytest.raises(BrokerUnavailable):
        await worker.send_events(b"{}", 5)


async def test_requests_wait_for_a_server_and_given_up_ones_are_dropped(brokers: Brokers) -> None:
    server, worker = await brokers.server(), await brokers.worker()
    with pytest.raises(BrokerUnavailable):
        await worker.request(heartbeat(1), 0.2)
    waiting = asyncio.create_task(worker.request(heartbeat(2), 10))
    await asyncio.sleep(0.3)

    desk = Desk()
    await server.serve_claims(desk)

    assert await waiting == Alive(lease=2)
    assert desk.batches == [[heartbeat(2)]]


async def test_another_server_answers_when_one_stops(brokers: Brokers) -> None:
    first, second, worker = await brokers.server(), await brokers.server(), await brokers.worker()
    await first.serve_claims(Desk())
    await second.serve_claims(Desk())
    await asyncio.gather(*(worker.request(heartbeat(number), 5) for number in range(10)))

    await first.stop()

    await asyncio.gather(*(worker.request(heartbeat(number), 5) for number in range(10)))


async def test_a_worker_asks_from_the_loop_of_another_thread(brokers: Brokers) -> None:
    server, main = await brokers.server(), await brokers.worker()
    await server.serve_claims(Desk())
    replies: list[Reply] = []
    failures: list[BaseException] = []

    async def beat() -> None:
        worker = brokers.new_worker()
        await worker.start()
        for number in range(20):
            replies.append(await worker.request(heartbeat(number), 5))
        with pytest.raises(BrokerUnavailable):
            await worker.request(heartbeat(1), 0.000001)
        await worker.stop()

    def run() -> None:
        try:
            asyncio.run(beat())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert await main.request(Goodbye(worker="w"), 5) == Bye(released=0)
    await asyncio.to_thread(thread.join)

    assert not failures
    assert replies == [Alive(lease=number) for number in range(20)]


async def test_a_declaration_and_its_answer_come_through_whole(brokers: Brokers) -> None:
    server, worker = await brokers.server(), await brokers.worker()
    heard: list[Request] = []
    told = Declared(jobs=[DeclaredJob(name="report", result="superseded")], problems=["job x: type: is required"])

    async def desk(requests: Sequence[Request]) -> Sequence[Reply]:
        heard.extend(requests)
        return [told] * len(requests)

    await server.serve_claims(desk)
    declare = Declare(worker="w", jobs=[{"name": "report", "payload": {"text": "Grüße", "list": [1, None, {"a": 0.5}]}}])
    assert await worker.request(declare, 5) == told
    assert heard == [declare]


async def test_claims_carry_checkpoints_and_the_last_success_only_where_there_are_some(brokers: Brokers) -> None:
    server, worker = await brokers.server(), await brokers.worker()
    heard: list[Request] = []
    with_both = Answer(
        occurrence=1,
        attempt=2,
        status="granted",
        checkpoint=msgspec.Raw(b'{"row": 7}'),
        last_success_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    neither = Answer(occurrence=2, attempt=1, status="granted")

    async def desk(requests: Sequence[Request]) -> Sequence[Reply]:
        heard.extend(requests)
        return [Claimed(answers=[with_both, neither])] * len(requests)

    await server.serve_claims(desk)
    reply = await worker.request(Claim(worker="w", asks=[Ask(1, 2), Ask(2, 1)], last_success=[1]), 5)
    assert isinstance(reply, Claimed)
    assert bytes(reply.answers[0].checkpoint or b"") == b'{"row": 7}'
    assert reply.answers[0].last_success_at == with_both.last_success_at
    assert reply.answers[1].checkpoint is msgspec.UNSET
    await worker.request(Claim(worker="w", asks=[Ask(2, 1)]), 5)
    assert [claim.last_success for claim in heard if isinstance(claim, Claim)] == [[1], msgspec.UNSET]


async def test_callbacks_of_a_worker_in_another_thread_come_on_its_own_loop(brokers: Brokers) -> None:
    server = await brokers.server()
    heard: list[tuple[int, Any]] = []
    ready, done = threading.Event(), threading.Event()

    async def work() -> None:
        worker, taken = brokers.new_worker(), Taken()
        await worker.start()
        await worker.serve("sendemail.*", 1, taken)
        await worker.listen(lambda word: heard.append((threading.get_ident(), word)))
        ready.set()
        await eventually(lambda: len(taken) == 1)
        await taken[0].ack()
        await eventually(lambda: len(taken) == 2)
        await worker.send_events(b"{}", 5)
        await asyncio.to_thread(done.wait, 10)
        await eventually(lambda: bool(heard))
        await worker.stop()

    thread = threading.Thread(target=asyncio.run, args=(work(),))
    thread.start()
    assert await asyncio.to_thread(ready.wait, 10)
    await server.publish(dispatches([1, 2]))
    await server.tell_workers(Drain(worker="w"))
    done.set()
    await asyncio.to_thread(thread.join)

    assert heard == [(thread.ident, Drain(worker="w"))]


# Events


@dataclass
class Ingestor:
    """Keeps what it was given. Acknowledges unless `holding`, raises while `broken`."""

    holding: bool = False
    broken: bool = False
    calls: int = 0
    under_way: int = 0
    batches: list[int] = field(default_factory=list[int])
    bodies: list[bytes] = field(default_factory=list[bytes])

    async def __call__(self, messages: Sequence[EventMessage]) -> None:
        self.calls += 1
        self.under_way += 1
        assert self.under_way == 1
        await asyncio.sleep(0.01)
        self.under_way -= 1
        if self.broken:
            raise RuntimeError("the database is away")
        self.batches.append(len(messages))
        self.bodies += [message.body for message in messages]
        if not self.holding:
            for message in messages:
                await message.ack()


async def test_events_come_in_order_and_in_batches(brokers: Brokers) -> None:
    server, worker, ingestor = await brokers.server(), await brokers.worker(), Ingestor()
    await server.consume_events(ingestor)

    for number in range(500):
        await worker.send_events(b"%d" % number, 5)

    await eventually(lambda: len(ingestor.bodies) == 500)
    assert ingestor.bodies == [b"%d" % number for number in range(500)]
    assert max(ingestor.batches) <= 200


async def test_events_wait_for_a_server_that_takes_them(brokers: Brokers) -> None:
    server, worker, ingestor = await brokers.server(), await brokers.worker(), Ingestor()
    await worker.send_events(b"1", 5)

    await server.consume_events(ingestor)

    await eventually(lambda: ingestor.bodies == [b"1"])


async def test_events_are_held_until_they_are_acked(brokers: Brokers) -> None:
    server, worker, ingestor = await brokers.server(), await brokers.worker(), Ingestor(holding=True)
    await server.consume_events(ingestor)
    for number in range(3):
        await worker.send_events(b"%d" % number, 5)
    await eventually(lambda: len(ingestor.bodies) == 3)
    await server.stop()

    second = Ingestor()
    await (await brokers.server()).consume_events(second)

    await eventually(lambda: second.bodies == [b"0", b"1", b"2"])
    await brokers.made[-1].stop()
    third = Ingestor()
    await (await brokers.server()).consume_events(third)
    await worker.send_events(b"3", 5)
    await eventually(lambda: bool(third.bodies))
    assert third.bodies == [b"3"]


async def test_events_survive_an_ingestor_that_raises(
    brokers: Brokers, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_feed, "RETRY_MIN", 0.01)
    server, worker, ingestor = await brokers.server(), await brokers.worker(), Ingestor(broken=True)
    await server.consume_events(ingestor)
    for number in range(50):
        await worker.send_events(b"%d" % number, 5)
    await eventually(lambda: ingestor.calls >= 4)
    assert caplog.text.count("the ingestor fails") == 1

    ingestor.broken = False

    await eventually(lambda: len(ingestor.bodies) == 50)
    # Not in their order: what fails again and again is handed over one by one.
    assert sorted(ingestor.bodies, key=int) == [b"%d" % number for number in range(50)]


@pytest.mark.parametrize("poison", [b"0", b"7"])
async def test_a_message_that_fails_again_and_again_holds_up_no_other(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch, poison: bytes
) -> None:
    monkeypatch.setattr(events_feed, "RETRY_MIN", 0.01)
    monkeypatch.setattr(events_feed, "PARKED_PAUSE", 0.3)
    server, worker, ingestor = await brokers.server(), await brokers.worker(), Ingestor()
    broken = True

    async def ingest(messages: Sequence[EventMessage]) -> None:
        if broken and any(message.body == poison for message in messages):
            raise RuntimeError("a bug")
        await ingestor(messages)

    await server.consume_events(ingest)
    for number in range(20):
        await worker.send_events(b"%d" % number, 5)
    await eventually(lambda: len(ingestor.bodies) == 19)
    assert (server.events_behind or 0) > 0, "it is not forgotten"
    broken = False
    await eventually(lambda: poison in ingestor.bodies)
    assert sorted(ingestor.bodies, key=int) == [b"%d" % number for number in range(20)]
    await eventually(lambda: server.events_behind == 0)


async def test_stopping_does_not_wait_for_an_ingestor_that_keeps_raising(brokers: Brokers) -> None:
    server, worker, ingestor = await brokers.server(), await brokers.worker(), Ingestor(broken=True)
    await server.consume_events(ingestor)
    await worker.send_events(b"1", 5)
    await eventually(lambda: ingestor.calls == 1)

    async with asyncio.timeout(2):
        await server.stop()

    second = Ingestor()
    await (await brokers.server()).consume_events(second)
    await eventually(lambda: second.bodies == [b"1"])


# Words to workers


async def test_every_listening_worker_hears_a_word(brokers: Brokers) -> None:
    server, first, second = await brokers.server(), await brokers.worker(), await brokers.worker()
    heard: list[list[Control]] = [[], []]
    await first.listen(heard[0].append)
    await second.listen(heard[1].append)
    words: list[Control] = [Cancel(worker="a", occurrence=1, attempt=2), Drain(worker="b")]

    for word in words:
        await server.tell_workers(word)

    await eventually(lambda: heard == [words, words])


async def test_a_word_with_nobody_to_hear_it_is_no_error(brokers: Brokers) -> None:
    await (await brokers.server()).tell_workers(Drain(worker="a"))


# Starting and stopping


async def test_stopping_twice_or_before_the_start_does_nothing(brokers: Brokers) -> None:
    made: list[ServerBroker | WorkerBroker] = [brokers.new_server(), brokers.new_worker()]
    for broker in made:
        await broker.stop()
        assert not broker.connected
        await broker.start()
        assert broker.connected
        await broker.stop()
        await broker.stop()
        assert not broker.connected


async def test_a_stopped_broker_says_so(brokers: Brokers) -> None:
    server, worker = await brokers.server(), await brokers.worker()
    await server.stop()
    await worker.stop()

    assert await server.publish([dispatch(1)]) == [Published.UNKNOWN]
    with pytest.raises(BrokerUnavailable):
        await server.tell_workers(Drain(worker="a"))
    with pytest.raises(BrokerUnavailable):
        await worker.request(heartbeat(1), 5)
    with pytest.raises(BrokerUnavailable):
        await worker.send_events(b"", 5)


async def test_a_worker_can_start_again_after_it_stopped(brokers: Brokers) -> None:
    server, worker = await brokers.server(), await brokers.worker()
    await server.serve_claims(Desk())
    await worker.stop()
    await worker.start()

    assert await worker.request(heartbeat(3), 5) == Alive(lease=3)


async def test_stopping_leaves_no_task_running(brokers: Brokers) -> None:
    before = asyncio.all_tasks()
    server, worker = await brokers.server(), await brokers.worker()
    await server.serve_claims(Desk())
    await server.consume_events(Ingestor())
    await worker.serve("sendemail.*", 5, Taken())
    await worker.listen(lambda _: None)
    await worker.request(heartbeat(3), 5)
    await worker.send_events(b"{}", 5)

    await worker.stop()
    await server.stop()

    await eventually(lambda: asyncio.all_tasks() <= before)
