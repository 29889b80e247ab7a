"""All attempts in a worker's hands, from their first doorbell until their end is confirmed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from datetime import UTC, datetime
from functools import partial
from typing import Literal

import msgspec
from msgspec import UNSET

from leveret.config import WorkerConfig
from leveret.context import JobContext
from leveret.worker.intake.claims import Claims
from leveret.worker.intake.membership import Membership
from leveret.worker.intake.slots import SHORT, Lane, Lanes
from leveret.worker.open_attempt import Held, Key
from leveret.worker.report.acks import Settling
from leveret.worker.report.events import EventBuffer
from leveret.worker.report.reporter import Ending, Reporter
from leveret.worker.run.lifespans import Lifespans
from leveret.worker.run.runner import Run
from leveret_core.broker.base import Delivery, WorkerBroker
from leveret_core.messages import Answer, Ask, Finished

log = logging.getLogger(__name__)

REMEMBERED = 200_000
"""Granted claims a worker remembers, so that it uses none twice: more than the events on their way to the servers."""


class Attempts:
    """Brings each attempt through its stations: rung, asked for, granted, running, over, confirmed.

    Nothing runs without a claim granted to the present incarnation; nothing is reported after its lease.

    Args:
        lanes: made by `lanes` with this object's methods.
        on_lost: called with the incarnation whose lease is over, and why.
    """

    def __init__(
        self,
        broker: WorkerBroker,
        membership: Membership,
        config: WorkerConfig,
        lanes: Callable[[Callable[[Held], None], Callable[[Held], None]], Lanes],
        on_lost: Callable[[str, str], None],
    ) -> None:
        self.executor: Executor | None = None
        """For handlers that run in a thread."""
        self.lifespans = Lifespans(())
        """What handlers share."""
        self.capture: object = None
        """The log capture of this worker."""
        self.runs: set[Run] = set()
        """Runs under way, stuck ones included."""
        self.finished = 0
        """Runs that have ended."""
        self.lanes = lanes(self._ask, self._start)
        self.settling = Settling()
        self.events = EventBuffer(broker, config, self._confirmed)
        self.claims = Claims(
            broker,
            membership,
            config,
            on_answer=self._answered,
            on_unclaimed=self._hand_back,
            on_unknown=lambda worker: on_lost(worker, "the servers do not know this worker any more"),
            room=self.events.room,
        )
        self._membership = membership
        self._config = config
        self._on_lost = on_lost
        self._held: dict[Key, Held] = {}
        self._granted: dict[int, int] = {}
        """Occurrence → the attempt that was granted to this worker last; the oldest are dropped."""
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def ring(self, lane: Lane, delivery: Delivery) -> None:
        """Take a doorbell that came by the queue of `lane`."""
        if self._closing:
            self.settling.requeue(delivery)
            return
        key = (delivery.doorbell.occurrence, delivery.doorbell.attempt)
        held = self._held.get(key)
        if held is None or held.over:
            # One that is over here and rung for again was handed back: only the desk knows what it is now.
            held = self._held[key] = Held(key, lane, delivery)
            self.lanes.offer(held)
        elif held.settled:
            self.settling.ack(delivery)
        else:
            held.deliveries.append(delivery)

    def cancel(self, asks: Sequence[Ask]) -> None:
        """Interrupt what runs of `asks`. What is not granted yet is left to the desk, which will not grant it."""
        for ask in asks:
            held = self._held.get((ask.occurrence, ask.attempt))
            if held is None or held.over:
                continue
            if held.run is not None:
                held.run.stop("cancelled")
            elif held.answer is not None:
                held.lane.granted.remove(held)
                self._end_unrun(held, "cancelled")
                self.lanes.refuse(held.lane)

    def holding(self) -> list[Key]:
        """All that is asked for, runs, or has ended without a confirmation. Safe to call from any thread."""
        # Each copy is one step of the interpreter. The ends come last, so that one which moves there meanwhile is in either.
        held = list(self._held)
        return list(dict.fromkeys([*held, *self.events.unconfirmed]))

    def close(self) -> None:
        """Take nothing more: doorbells go back, and so does what was claimed and has not begun."""
        self._closing = True
        for held in self.lanes.empty_waiting():
            self._forget(held, self.settling.requeue)
        for held in self.lanes.empty_granted(float("inf")):
            self._end_unrun(held, "released")

    def give_up_asking(self) -> None:
        """Wait for no more answers; the doorbells go back."""
        for held in list(self._held.values()):
            if self.claims.pending(held.key):
                self.claims.forget(held.key)
                self._forget(held, self.settling.requeue)

    def abandon(self) -> list[Run]:
        """The lease is over: stop all runs, tell nobody how they ended, and forget them. Returns what was stopped."""
        stopped = list(self.runs)
        for run in stopped:
            run.stop("lost")
        for held in self.lanes.empty_granted(float("inf")):
            self._forget(held, self.settling.ack)
        for held in list(self._held.values()):
            if held.answer is not None and not held.over:
                self._forget(held, self.settling.ack)
        return stopped

    def sweep(self) -> None:
        """Once a second: acknowledge the doorbells of long runs, and hand back claims that got no slot."""
        now = time.monotonic()
        for held in list(self._held.values()):
            if held.run is not None and not held.settled and now - held.run.started > self._config.early_ack:
                self._settle(held)
        for held in self.lanes.empty_granted(now - SHORT):
            self._end_unrun(held, "released")

    def give_back(self, lane: Lane) -> None:
        """What waits in `lane` for a slot goes back to its queue, for others."""
        while lane.waiting:
            self._forget(lane.waiting.popleft(), self.settling.requeue)

    def _ask(self, held: Held) -> None:
        self.claims.ask(held.key, held.type, last_success=held.lane.handler.last_success)

    def _answered(self, answer: Answer) -> None:
        held = self._held[answer.occurrence, answer.attempt]
        if answer.status not in ("granted", "cancelled") or not self._first_grant(answer):
            self._forget(held, self.settling.ack)
            self.lanes.refuse(held.lane)
            return
        held.answer = answer
        held.worker = self._membership.id
        if answer.status == "cancelled":
            # It was granted, which nobody here heard of, and cancelled since: only this worker can say that it has ended.
            self._end_unrun(held, "cancelled")
            self.lanes.refuse(held.lane)
            return
        held.granted_at = time.monotonic()
        if self._closing:
            self._end_unrun(held, "released")
            self.lanes.refuse(held.lane)
            return
        if held.lane.short:
            # The claim protects it, and the broker may bring the next doorbell while it runs.
            self._settle(held)
        self.lanes.lead = self.claims.lead
        self.lanes.grant(held)

    def _first_grant(self, answer: Answer) -> bool:
        """Whether the claim is new. It is not when a doorbell was rung twice and the end of the run is still on its way: until
        the servers have read it, they give the same answer again.
        """
        if self._granted.pop(answer.occurrence, 0) == answer.attempt:
            self._granted[answer.occurrence] = answer.attempt
            return False
        self._granted[answer.occurrence] = answer.attempt
        if len(self._granted) > REMEMBERED:
            del self._granted[next(iter(self._granted))]
        return True

    def _hand_back(self, answer: Answer) -> None:
        # Also one that was cancelled since: the servers know, and end it so.
        if self._first_grant(answer):
            self.events.finish(self._membership.id, _unrun(answer, "released"))

    def _start(self, held: Held) -> None:
        answer, handler = held.answer, held.lane.handler
        assert answer is not None
        self._loop = asyncio.get_running_loop()
        reporter = Reporter(
            partial(self.events.add, held.worker),
            self._later,
            occurrence=answer.occurrence,
            attempt=answer.attempt,
            token=answer.token,
            log_limit=self._config.log_limit,
            capture=self.capture,
        )
        context = JobContext(
            reporter,
            job=answer.job,
            type=answer.type,
            scheduled_for=answer.scheduled_for or datetime.now(UTC),
            max_attempts=answer.max_attempts,
            worker=held.worker,
            timeout=answer.timeout if answer.timeout is not None else handler.timeout,
            checkpoint=None if answer.checkpoint is UNSET else msgspec.json.decode(answer.checkpoint),
            last_success_at=answer.last_success_at if handler.last_success else UNSET,
            state=self.lifespans.state,
        )
        run = held.run = Run(
            handler,
            context,
            answer.payload,
            self.executor,
            self._config,
            on_end=partial(self._ended, held, reporter),
            on_free=partial(self._freed, held),
        )
        self.runs.add(run)
        if self._lease_is_over(held):
            run.stop("lost")  # it begins and ends without its handler
        run.start()

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        assert self._loop is not None, "something runs"
        self._loop.call_soon_threadsafe(self._loop.call_later, seconds, call)

    def _ended(self, held: Held, reporter: Reporter, ending: Ending, duration: float) -> None:
        if self._lease_is_over(held):
            self._forget(held, self.settling.ack)
            return
        held.over = True
        held.answer = None  # its payload is not to wait for the confirmation
        self.events.finish(held.worker, reporter.close(ending, duration), held)

    def _freed(self, held: Held, duration: float) -> None:
        run, held.run = held.run, None  # the two name each other: let them go without the garbage collector
        assert run is not None
        self.runs.discard(run)
        self.finished += 1
        self.lanes.finish(held.lane, duration)

    def _lease_is_over(self, held: Held) -> bool:
        # Looked at where it counts, since the whole process may have been asleep until a moment ago.
        if not self._membership.lease.over:
            return False
        reason = "it ended before anybody could say so"
        asyncio.get_running_loop().call_soon(self._on_lost, held.worker, reason)
        return True

    def _end_unrun(self, held: Held, outcome: Literal["cancelled", "released"]) -> None:
        assert held.answer is not None
        held.over = True
        end = _unrun(held.answer, outcome)
        held.answer = None
        self.events.finish(held.worker, end, held)

    def _confirmed(self, held: Held) -> None:
        self._forget(held, self.settling.ack)

    def _settle(self, held: Held) -> None:
        held.settled = True
        for delivery in held.deliveries:
            self.settling.ack(delivery)
        held.deliveries.clear()

    def _forget(self, held: Held, settle: Callable[[Delivery], None]) -> None:
        held.over = True
        for delivery in held.deliveries:
            settle(delivery)
        held.deliveries.clear()
        if self._held.get(held.key) is held:
            del self._held[held.key]


def _unrun(answer: Answer, outcome: Literal["cancelled", "released"]) -> Finished:
    """The end of an attempt that was granted and has not begun."""
    return Finished(
        occurrence=answer.occurrence, attempt=answer.attempt, token=answer.token, seq=1, outcome=outcome, duration=0.0
    )
