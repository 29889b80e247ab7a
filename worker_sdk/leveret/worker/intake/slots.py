"""Which attempts may be asked for and which claims may run: free slots of the handler, and free slots in all.

A dispatch message beyond the free slots waits without being claimed, so that another worker can have the occurrence. One
thing is asked for ahead: where runs are so short that a slot would stand empty while the claim desk answers, the slots that
will be free by then are claimed now.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from leveret.registry import Handler
from leveret.worker.intake.handler_slots import HandlerSlots, OpenAttempt, Slots

LEAD = 0.01
"""Seconds from a claim to its answer, until it was measured."""


class WorkerSlots:
    """The slots of a worker, those of its handlers served in turn.

    Args:
        handlers: each has slots of its own.
        limit: slots in all.
    """

    def __init__(self, handlers: Sequence[Handler], limit: int) -> None:
        self.total = Slots(limit)
        self.all = [HandlerSlots(handler, min(handler.concurrency, limit)) for handler in handlers]
        self.lead = LEAD
        """Seconds from a claim to its answer, as measured."""
        self._claim: Callable[[OpenAttempt], None] = _unconnected
        self._start: Callable[[OpenAttempt], None] = _unconnected
        self._turn = 0

    def connect(self, *, claim: Callable[[OpenAttempt], None], start: Callable[[OpenAttempt], None]) -> None:
        """Before anything else: what slots are used for.

        Args:
            claim: asks for an attempt; its answer comes back as `grant` or `refuse`.
            start: runs a granted attempt; its end comes back as `finish`.
        """
        self._claim = claim
        self._start = start

    def offer(self, attempt: OpenAttempt) -> None:
        """Ask for it now, or when a slot is free."""
        slots = attempt.slots
        if not slots.waiting and slots.can_claim and self.total.can_claim:
            self._take(attempt)
        else:
            slots.waiting.append(attempt)

    def refuse(self, slots: HandlerSlots) -> None:
        """A claim was not granted: its slot is free again."""
        self._give_back(slots)
        self.fill()

    def grant(self, attempt: OpenAttempt) -> None:
        """A claim was granted: run it now, or as soon as a slot is free."""
        slots = attempt.slots
        if not slots.granted and slots.can_run and self.total.can_run:
            self._begin(attempt)
        else:
            slots.granted.append(attempt)

    def finish(self, slots: HandlerSlots, duration: float) -> None:
        """A run of `duration` seconds is really over: its slot is free again."""
        slots.running -= 1
        self.total.running -= 1
        self._give_back(slots)
        slots.learn(duration, self.lead)
        self.total.learn(duration, self.lead)
        self.fill()

    def fill(self) -> None:
        """Give free slots to what waits, one to each handler in turn."""
        idle, count = 0, len(self.all)
        while idle < count:
            slots = self.all[self._turn % count]
            idle = 0 if self._serve(slots) else idle + 1
            self._turn += 1

    def crowded(self, before: float) -> list[HandlerSlots]:
        """Those for which an attempt whose dispatch message came before that time still waits."""
        return [slots for slots in self.all if not slots.on_hold and slots.waiting and slots.waiting[0].received_at <= before]

    def relieved(self) -> list[HandlerSlots]:
        """Those on hold although there is a slot for what comes."""
        return [slots for slots in self.all if slots.on_hold and self.total.can_claim and slots.can_claim]

    def empty_waiting(self) -> list[OpenAttempt]:
        """Take out everything that was not asked for."""
        found = [attempt for slots in self.all for attempt in slots.waiting]
        for slots in self.all:
            slots.waiting.clear()
        return found

    def empty_granted(self, before: float) -> list[OpenAttempt]:
        """Take out the claims granted before that time that got no slot since; their slots are free again."""
        found: list[OpenAttempt] = []
        for slots in self.all:
            while slots.granted and slots.granted[0].granted_at <= before:
                found.append(slots.granted.popleft())
                self._give_back(slots)
        return found

    def withdraw(self, attempt: OpenAttempt) -> None:
        """Take out one granted claim that is not to run; its slot is free again."""
        attempt.slots.granted.remove(attempt)
        self.refuse(attempt.slots)

    def _serve(self, slots: HandlerSlots) -> bool:
        served = False
        if slots.granted and slots.can_run and self.total.can_run:
            self._begin(slots.granted.popleft())
            served = True
        if slots.waiting and slots.can_claim and self.total.can_claim:
            self._take(slots.waiting.popleft())
            served = True
        return served

    def _take(self, attempt: OpenAttempt) -> None:
        attempt.slots.taken += 1
        self.total.taken += 1
        self._claim(attempt)

    def _give_back(self, slots: HandlerSlots) -> None:
        slots.taken -= 1
        self.total.taken -= 1

    def _begin(self, attempt: OpenAttempt) -> None:
        attempt.slots.running += 1
        self.total.running += 1
        self._start(attempt)


def _unconnected(attempt: OpenAttempt) -> None:
    raise AssertionError("connect() comes first")
