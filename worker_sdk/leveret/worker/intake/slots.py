"""Which doorbells may be asked for and which claims may run: free slots of the handler, and free slots in all.

A doorbell beyond the free slots waits without being claimed, so that another worker can have the occurrence. One thing is
asked ahead: where runs are so short that a slot would stand empty while the claim desk answers, the slots that will be free
by then are asked for now.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence

from leveret.registry import Handler
from leveret.worker.open_attempt import Held

SHORT = 1.0
"""Seconds of an average run below which claims are asked ahead."""
WEIGHT = 0.1
"""Of the latest run in the average."""


class Slots:
    """A limit, what runs under it, and what is taken by runs and claims together."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.running = 0
        self.taken = 0
        self.allowed = limit
        self.average: float | None = None

    @property
    def short(self) -> bool:
        """Whether runs are known to be short."""
        return self.average is not None and self.average < SHORT

    def learn(self, duration: float, lead: float) -> None:
        """Count a run of `duration` seconds; a claim takes `lead` seconds."""
        average = duration if self.average is None else self.average + WEIGHT * (duration - self.average)
        self.average = average
        ahead = math.ceil(self.limit * lead / max(average, lead, 1e-6)) if average < SHORT else 0
        self.allowed = self.limit + ahead


class Lane(Slots):
    """The slots of one handler, the doorbells that wait to be asked for, and the claims that wait for a slot."""

    def __init__(self, handler: Handler, limit: int) -> None:
        super().__init__(limit)
        self.handler = handler
        self.waiting: deque[Held] = deque()
        self.granted: deque[Held] = deque()
        self.held_back = False
        """Whether its queue is not consumed at the moment."""


class Lanes:
    """The lanes of a worker, served in turn.

    Args:
        handlers: one lane each.
        limit: slots in all.
        ask: claims an occurrence; its answer comes back as `grant` or `refuse`.
        start: runs a granted occurrence; its end comes back as `finish`.
    """

    def __init__(
        self,
        handlers: Sequence[Handler],
        limit: int,
        ask: Callable[[Held], None],
        start: Callable[[Held], None],
    ) -> None:
        self.total = Slots(limit)
        self.all = [Lane(handler, min(handler.concurrency, self.total.limit)) for handler in handlers]
        self.lead = 0.01
        """Seconds from asking to the answer, as measured."""
        self._ask = ask
        self._start = start
        self._turn = 0

    def offer(self, held: Held) -> None:
        """Ask for it now, or when a slot is free."""
        lane, total = held.lane, self.total
        if not lane.waiting and lane.taken < lane.allowed and total.taken < total.allowed:
            self._take(held)
        else:
            lane.waiting.append(held)

    def refuse(self, lane: Lane) -> None:
        """A claim was not granted: its slot is free again."""
        lane.taken -= 1
        self.total.taken -= 1
        self.fill()

    def grant(self, held: Held) -> None:
        """A claim was granted: run it now, or as soon as a slot is free."""
        lane, total = held.lane, self.total
        if not lane.granted and lane.running < lane.limit and total.running < total.limit:
            self._begin(held)
        else:
            lane.granted.append(held)

    def finish(self, lane: Lane, duration: float) -> None:
        """A run is really over: its slot is free again."""
        lane.running -= 1
        self.total.running -= 1
        lane.taken -= 1
        self.total.taken -= 1
        lane.learn(duration, self.lead)
        self.total.learn(duration, self.lead)
        self.fill()

    def fill(self) -> None:
        """Give free slots to what waits, one to each lane in turn."""
        idle, count = 0, len(self.all)
        while idle < count:
            lane = self.all[self._turn % count]
            idle = 0 if self._serve(lane) else idle + 1
            self._turn += 1

    def crowded(self, before: float) -> list[Lane]:
        """Lanes where a doorbell that came before that time still waits for a slot."""
        return [lane for lane in self.all if not lane.held_back and lane.waiting and lane.waiting[0].rung_at <= before]

    def relieved(self) -> list[Lane]:
        """Lanes that are held back although there is a slot for what comes."""
        free = self.total.taken < self.total.allowed
        return [lane for lane in self.all if lane.held_back and free and lane.taken < lane.allowed]

    def empty_waiting(self) -> list[Held]:
        """Take out everything that was not asked for."""
        found = [held for lane in self.all for held in lane.waiting]
        for lane in self.all:
            lane.waiting.clear()
        return found

    def empty_granted(self, before: float) -> list[Held]:
        """Take out the claims granted before that time that got no slot since; their slots are free again."""
        found: list[Held] = []
        for lane in self.all:
            while lane.granted and lane.granted[0].granted_at <= before:
                found.append(lane.granted.popleft())
                lane.taken -= 1
                self.total.taken -= 1
        return found

    def _serve(self, lane: Lane) -> bool:
        served, total = False, self.total
        if lane.granted and lane.running < lane.limit and total.running < total.limit:
            self._begin(lane.granted.popleft())
            served = True
        if lane.waiting and lane.taken < lane.allowed and total.taken < total.allowed:
            self._take(lane.waiting.popleft())
            served = True
        return served

    def _take(self, held: Held) -> None:
        held.lane.taken += 1
        self.total.taken += 1
        self._ask(held)

    def _begin(self, held: Held) -> None:
        held.lane.running += 1
        self.total.running += 1
        self._start(held)
