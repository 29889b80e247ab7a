"""All attempts in a worker's hands, from their first dispatch message until their end is confirmed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from leveret.config import WorkerConfig
from leveret.worker.attempt_key import AttemptKey
from leveret.worker.intake.claims import Claims
from leveret.worker.intake.grants import Grants
from leveret.worker.intake.handler_slots import SHORT, HandlerSlots, OpenAttempt
from leveret.worker.intake.membership import Membership
from leveret.worker.intake.slots import WorkerSlots
from leveret.worker.report.acks import Acks
from leveret.worker.report.events import EventBuffer
from leveret.worker.report.reporter import Ending, Reporter
from leveret.worker.run.launcher import Launcher
from leveret.worker.run.runner import Run
from leveret_core.broker.base import Delivery
from leveret_core.messages import Answer, Ask, Finished


class Attempts:
    """Brings each attempt through its stations: received, asked for, granted, running, over, confirmed.

    Nothing runs without a claim granted to the present incarnation; nothing is reported after its lease.

    Args:
        membership: whose incarnation claims.
        slots: say what may be claimed and run; connected here.
        claims: ask the claim desk; connected here.
        launcher: makes runs.
        events: take the ends.
        acks: acknowledge and return dispatch messages.
        on_lost: called with the incarnation whose lease is over, and why.
    """

    def __init__(
        self,
        membership: Membership,
        slots: WorkerSlots,
        claims: Claims,
        launcher: Launcher,
        events: EventBuffer,
        acks: Acks,
        config: WorkerConfig,
        *,
        on_lost: Callable[[str, str], None],
    ) -> None:
        self.runs: dict[OpenAttempt, Run] = {}
        """Runs under way, stuck ones included."""
        self.finished = 0
        """Runs that have ended."""
        self._membership = membership
        self._slots = slots
        self._claims = claims
        self._launcher = launcher
        self._events = events
        self._acks = acks
        self._early_ack = config.early_ack
        self._on_lost = on_lost
        self._grants = Grants()
        self._open: dict[AttemptKey, OpenAttempt] = {}
        self._closing = False
        slots.connect(claim=self._claim, start=self._start)
        claims.connect(
            on_answer=self._answered,
            on_unclaimed=self._hand_back,
            on_unknown=lambda worker: on_lost(worker, "the servers do not know this worker any more"),
        )

    def receive(self, slots: HandlerSlots, delivery: Delivery) -> None:
        """Take a dispatch message that came by the queue of a handler."""
        if self._closing:
            self._acks.requeue(delivery)
            return
        key = (delivery.dispatch.occurrence, delivery.dispatch.attempt)
        attempt = self._open.get(key)
        if attempt is None or attempt.over:
            # One that is over here and published again was handed back: only the desk knows what it is now.
            attempt = self._open[key] = OpenAttempt(key, slots, delivery)
            self._slots.offer(attempt)
        elif attempt.acknowledged:
            self._acks.ack(delivery)
        else:
            attempt.deliveries.append(delivery)

    def cancel(self, asks: Sequence[Ask]) -> None:
        """Interrupt what runs of `asks`. What is not granted yet is left to the desk, which will not grant it."""
        for ask in asks:
            attempt = self._open.get((ask.occurrence, ask.attempt))
            if attempt is None or attempt.over:
                continue
            if (run := self.runs.get(attempt)) is not None:
                run.stop("cancelled")
            elif attempt.answer is not None:
                self._end_unrun(attempt, "cancelled")
                self._slots.withdraw(attempt)

    def holding(self) -> list[AttemptKey]:
        """All that is asked for, runs, or has ended without a confirmation. Safe to call from any thread."""
        # Each copy is one step of the interpreter. The ends come last, so that one which moves there meanwhile is in either.
        found = list(self._open)
        return list(dict.fromkeys([*found, *self._events.unconfirmed]))

    def close(self) -> None:
        """Take nothing more: dispatch messages go back, and so does what was claimed and has not begun."""
        self._closing = True
        for attempt in self._slots.empty_waiting():
            self._forget(attempt, self._acks.requeue)
        for attempt in self._slots.empty_granted(float("inf")):
            self._end_unrun(attempt, "released")

    def give_up_asking(self) -> None:
        """Wait for no more answers; the dispatch messages go back."""
        for attempt in list(self._open.values()):
            if self._claims.pending(attempt.key):
                self._claims.forget(attempt.key)
                self._forget(attempt, self._acks.requeue)

    def abandon(self) -> list[Run]:
        """The lease is over: stop all runs, report none of their ends, and forget them. Returns what was stopped."""
        stopped = list(self.runs.values())
        for run in stopped:
            run.stop("lost")
        for attempt in self._slots.empty_granted(float("inf")):
            self._forget(attempt, self._acks.ack)
        for attempt in list(self._open.values()):
            if attempt.answer is not None and not attempt.over:
                self._forget(attempt, self._acks.ack)
        return stopped

    def sweep(self) -> None:
        """Once a second: acknowledge the dispatch messages of long runs, and hand back claims that got no slot."""
        now = time.monotonic()
        for attempt, run in list(self.runs.items()):
            if not attempt.acknowledged and now - run.started > self._early_ack:
                self._acknowledge(attempt)
        for attempt in self._slots.empty_granted(now - SHORT):
            self._end_unrun(attempt, "released")

    def give_back(self, slots: HandlerSlots) -> None:
        """What waits for a slot of a handler goes back to its queue, for other workers."""
        while slots.waiting:
            self._forget(slots.waiting.popleft(), self._acks.requeue)

    def _claim(self, attempt: OpenAttempt) -> None:
        self._claims.ask(attempt.key, attempt.type, last_success=attempt.slots.handler.last_success)

    def _answered(self, answer: Answer) -> None:
        attempt = self._open[answer.occurrence, answer.attempt]
        if answer.status not in ("granted", "cancelled") or not self._grants.is_new(answer):
            self._forget(attempt, self._acks.ack)
            self._slots.refuse(attempt.slots)
            return
        attempt.answer = answer
        attempt.worker = self._membership.id
        if answer.status == "cancelled" or self._closing:
            # A cancelled one was granted, which this worker did not hear, and cancelled since: it must say that it has ended.
            self._end_unrun(attempt, "cancelled" if answer.status == "cancelled" else "released")
            self._slots.refuse(attempt.slots)
            return
        attempt.granted_at = time.monotonic()
        if attempt.slots.short:
            # The claim protects it, and the broker may bring the next message while it runs.
            self._acknowledge(attempt)
        self._slots.lead = self._claims.lead
        self._slots.grant(attempt)

    def _hand_back(self, answer: Answer) -> None:
        # Also one that was cancelled since: the servers know, and end it so.
        if self._grants.is_new(answer):
            self._events.finish(self._membership.id, _unrun(answer, "released"))

    def _start(self, attempt: OpenAttempt) -> None:
        assert attempt.answer is not None
        run = self.runs[attempt] = self._launcher.launch(
            attempt.slots.handler,
            attempt.answer,
            attempt.worker,
            on_end=partial(self._ended, attempt),
            on_free=partial(self._freed, attempt),
        )
        if self._lease_is_over(attempt):
            run.stop("lost")  # it begins and ends without its handler
        run.start()

    def _ended(self, attempt: OpenAttempt, reporter: Reporter, ending: Ending, duration: float) -> None:
        if self._lease_is_over(attempt):
            self._forget(attempt, self._acks.ack)
            return
        attempt.over = True
        attempt.answer = None  # its payload is not to wait for the confirmation
        self._finish(attempt, reporter.close(ending, duration))

    def _freed(self, attempt: OpenAttempt, duration: float) -> None:
        del self.runs[attempt]
        self.finished += 1
        self._slots.finish(attempt.slots, duration)

    def _lease_is_over(self, attempt: OpenAttempt) -> bool:
        # Looked at where it counts, since the whole process may have been asleep until a moment ago.
        if not self._membership.lease.over:
            return False
        asyncio.get_running_loop().call_soon(self._on_lost, attempt.worker, "it ended before the heartbeat could say so")
        return True

    def _end_unrun(self, attempt: OpenAttempt, outcome: Literal["cancelled", "released"]) -> None:
        assert attempt.answer is not None
        attempt.over = True
        end = _unrun(attempt.answer, outcome)
        attempt.answer = None
        self._finish(attempt, end)

    def _finish(self, attempt: OpenAttempt, end: Finished) -> None:
        """Report the end; when the broker has it, the dispatch messages may go."""
        self._events.finish(attempt.worker, end, partial(self._forget, attempt, self._acks.ack))

    def _acknowledge(self, attempt: OpenAttempt) -> None:
        attempt.acknowledged = True
        for delivery in attempt.deliveries:
            self._acks.ack(delivery)
        attempt.deliveries.clear()

    def _forget(self, attempt: OpenAttempt, send: Callable[[Delivery], None]) -> None:
        attempt.over = True
        for delivery in attempt.deliveries:
            send(delivery)
        attempt.deliveries.clear()
        if self._open.get(attempt.key) is attempt:
            del self._open[attempt.key]


def _unrun(answer: Answer, outcome: Literal["cancelled", "released"]) -> Finished:
    """The end of an attempt that was granted and has not begun."""
    return Finished(
        occurrence=answer.occurrence, attempt=answer.attempt, token=answer.token, seq=1, outcome=outcome, duration=0.0
    )
