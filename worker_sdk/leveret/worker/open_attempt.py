"""One occurrence in the worker's hands, from its first doorbell until its end is confirmed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from leveret_core.broker.base import Delivery
from leveret_core.messages import Answer

if TYPE_CHECKING:
    from leveret.worker.intake.slots import Lane
    from leveret.worker.run.runner import Run

Key = tuple[int, int]
"""Occurrence and attempt."""


class Held:
    """An attempt that was rung for: waiting, asked for, granted, running, or reported and not yet confirmed.

    Attributes:
        type: the job's, as the doorbell says.
        deliveries: its doorbells that are not settled yet; more than one when it was rung again.
        settled: doorbells are acknowledged as they come, because the claim in Postgres protects the attempt.
        over: it has ended as far as this worker goes; only the confirmation of its last event may be missing.
        worker: the incarnation that the claim was granted to.
        rung_at: when its first doorbell came, by the monotonic clock.
        granted_at: when the answer came, by the same clock.
    """

    __slots__ = ("answer", "deliveries", "granted_at", "key", "lane", "over", "run", "rung_at", "settled", "type", "worker")

    def __init__(self, key: Key, lane: Lane, delivery: Delivery) -> None:
        self.key = key
        self.type = delivery.doorbell.type
        self.lane = lane
        self.deliveries = [delivery]
        self.settled = False
        self.over = False
        self.answer: Answer | None = None
        self.worker = ""
        self.rung_at = time.monotonic()
        self.granted_at = 0.0
        self.run: Run | None = None
