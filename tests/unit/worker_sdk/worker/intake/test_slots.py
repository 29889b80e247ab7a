"""Who gets the free slots."""

from __future__ import annotations

import itertools

from leveret import Handler
from leveret.worker.intake.handler_slots import HandlerSlots, OpenAttempt
from leveret.worker.intake.slots import WorkerSlots
from leveret_core.broker.base import Delivery
from leveret_core.messages import DispatchMessage


async def nothing() -> None: ...


def delivery(number: int, job_type: str) -> Delivery:
    """A dispatch message whose acknowledgement does nothing."""
    return Delivery(DispatchMessage(occurrence=number, attempt=1, type=job_type), job_type, nothing, nothing)


class Bench:
    """Slots whose claims and starts are only noted."""

    def __init__(self, limit: int, **handlers: int) -> None:
        self.asked: list[OpenAttempt] = []
        self.started: list[OpenAttempt] = []
        served = [Handler(nothing, pattern, concurrency) for pattern, concurrency in handlers.items()]
        self.slots = WorkerSlots(served, limit)
        self.slots.connect(claim=self.asked.append, start=self.started.append)
        self.by_pattern = {slots.handler.pattern: slots for slots in self.slots.all}
        self._ids = itertools.count(1)

    def offer(self, pattern: str, count: int = 1) -> list[OpenAttempt]:
        found = [
            OpenAttempt((number, 1), self.by_pattern[pattern], delivery(number, pattern)) for number in self._numbers(count)
        ]
        for attempt in found:
            self.slots.offer(attempt)
        return found

    def _numbers(self, count: int) -> list[int]:
        return [next(self._ids) for _ in range(count)]

    def grant(self, *attempts: OpenAttempt) -> None:
        for each in attempts:
            self.slots.grant(each)

    def finish(self, attempt: OpenAttempt, duration: float = 10.0) -> None:
        self.started.remove(attempt)
        self.slots.finish(attempt.slots, duration)


def test_a_dispatch_message_beyond_the_handlers_slots_waits_without_being_claimed() -> None:
    bench = Bench(100, a=2)
    one, two, three = bench.offer("a", 3)
    assert bench.asked == [one, two]
    bench.grant(one, two)
    assert bench.started == [one, two]
    bench.finish(one)
    assert bench.asked == [one, two, three]


def test_a_refused_claim_gives_its_slot_to_the_next() -> None:
    bench = Bench(100, a=1)
    one, two = bench.offer("a", 2)
    bench.slots.refuse(one.slots)
    assert bench.asked == [one, two]


def test_the_limit_in_all_holds_across_handlers_and_is_shared_in_turn() -> None:
    bench = Bench(2, a=2, b=2)
    a1, a2, a3, _ = bench.offer("a", 4)
    b1, _ = bench.offer("b", 2)
    assert bench.asked == [a1, a2]
    bench.grant(a1, a2)
    bench.finish(a1)
    bench.finish(a2)
    assert set(bench.asked[2:]) == {a3, b1}


def test_a_handler_never_has_more_slots_than_the_worker() -> None:
    assert Bench(3, a=10).by_pattern["a"].limit == 3


def test_long_runs_are_never_claimed_ahead() -> None:
    bench = Bench(100, a=2)
    bench.grant(*bench.offer("a", 2))
    bench.finish(bench.started[0], duration=30)
    bench.offer("a", 10)
    assert bench.by_pattern["a"].taken == 2


def test_short_runs_are_claimed_ahead_by_what_will_be_free_when_the_answer_comes() -> None:
    bench = Bench(100, a=10)
    bench.slots.lead = 0.01
    (first,) = bench.offer("a")
    bench.grant(first)
    bench.finish(first, duration=0.1)
    offered = bench.offer("a", 50)
    assert len(bench.asked) == 1 + 11
    bench.grant(*offered[:11])
    assert len(bench.started) == 10
    bench.finish(offered[0], duration=0.1)
    assert bench.started[-1] is offered[10]


def test_claims_ahead_never_exceed_twice_the_slots() -> None:
    bench = Bench(100, a=4)
    bench.slots.lead = 1.0
    (first,) = bench.offer("a")
    bench.grant(first)
    bench.finish(first, duration=0.0)
    bench.offer("a", 50)
    assert bench.by_pattern["a"].taken == 8


def test_a_claim_that_got_no_slot_in_time_can_be_taken_out() -> None:
    bench = Bench(100, a=1)
    (first,) = bench.offer("a")
    bench.grant(first)
    bench.finish(first, duration=0.0)
    one, two = bench.offer("a", 2)
    one.granted_at, two.granted_at = 1.0, 2.0
    bench.grant(one, two)
    assert bench.slots.empty_granted(before=1.5) == []
    assert bench.slots.empty_granted(before=2.0) == [two]
    assert bench.by_pattern["a"].taken == 1


def test_slots_are_never_exceeded_whatever_the_order() -> None:
    bench = Bench(5, a=3, b=4)
    for step in range(2_000):
        bench.offer("ab"[step % 2])
        pending = [attempt for attempt in bench.asked if attempt.answer is None]
        for attempt in pending[: step % 4]:
            attempt.answer = "granted"  # type: ignore[assignment]  # pyright: ignore
            bench.grant(attempt)
        if bench.started and step % 3:
            bench.finish(bench.started[step % len(bench.started)], duration=(step % 7) / 10)
        each: list[HandlerSlots] = bench.slots.all
        assert all(slots.running <= slots.limit and slots.taken <= 2 * slots.limit for slots in each)
        assert sum(slots.running for slots in each) == bench.slots.total.running == len(bench.started) <= 5
