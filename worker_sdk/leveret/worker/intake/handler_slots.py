"""The slots of one handler, and the attempts that wait for one."""

from __future__ import annotations

import math
import time
from collections import deque

from leveret.registry import Handler
from leveret.worker.attempt_key import AttemptKey
from leveret_core.broker.base import Delivery
from leveret_core.messages import Answer

SHORT = 1.0
"""Seconds of an average run below which claims are asked for ahead."""
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

    @property
    def can_claim(self) -> bool:
        """Whether one more attempt may be asked for."""
        return self.taken < self.allowed

    @property
    def can_run(self) -> bool:
        """Whether one more attempt may run."""
        return self.running < self.limit

    def learn(self, duration: float, lead: float) -> None:
        """Count a run of `duration` seconds; a claim takes `lead` seconds."""
        average = duration if self.average is None else self.average + WEIGHT * (duration - self.average)
        self.average = average
        ahead = math.ceil(self.limit * lead / max(average, lead, 1e-6)) if average < SHORT else 0
        self.allowed = self.limit + ahead


class HandlerSlots(Slots):
    """The slots of one handler, the attempts that wait to be asked for, and the claims that wait for a slot."""

    def __init__(self, handler: Handler, limit: int) -> None:
        super().__init__(limit)
        self.handler = handler
        self.waiting: deque[OpenAttempt] = deque()
        self.granted: deque[OpenAttempt] = deque()
        self.on_hold = False
        """Whether its queue is not consumed at the moment."""


class OpenAttempt:
    """An attempt of which a dispatch message has come: waiting, asked for, granted, running, or ended and not yet confirmed.

    Attributes:
        key: its occurrence and number.
        type: the job's, as the dispatch message says.
        slots: of the handler that serves it.
        deliveries: its dispatch messages that are not acknowledged yet; more than one when it was published again.
        acknowledged: dispatch messages are acknowledged as they come, because the claim in Postgres protects the attempt.
        over: it has ended as far as this worker goes; only the confirmation of its last event may be missing.
        answer: of the claim desk, from the grant to the end.
        worker: the incarnation that the claim was granted to.
        received_at: when its first dispatch message came, by the monotonic clock.
        granted_at: when the answer came, by the same clock.
    """

    __slots__ = (
        "acknowledged",
        "answer",
        "deliveries",
        "granted_at",
        "key",
        "over",
        "received_at",
        "slots",
        "type",
        "worker",
    )

    def __init__(self, key: AttemptKey, slots: HandlerSlots, delivery: Delivery) -> None:
        self.key = key
        self.type = delivery.dispatch.type
        self.slots = slots
        self.deliveries = [delivery]
        self.acknowledged = False
        self.over = False
        self.answer: Answer | None = None
        self.worker = ""
        self.received_at = time.monotonic()
        self.granted_at = 0.0
