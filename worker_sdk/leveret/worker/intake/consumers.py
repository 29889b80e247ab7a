"""Consumes the queue of each handler, and leaves to other workers what would wait here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from leveret.worker.intake.handler_slots import HandlerSlots
from leveret.worker.intake.slots import WorkerSlots
from leveret_core.broker.base import Delivery, WorkerBroker

PATIENCE = 5.0
"""Seconds a dispatch message may wait unclaimed for a slot of this worker, about; then others get it."""


class Consumers:
    """One consumer for each handler.

    Args:
        broker: where the queues are.
        slots: of the handlers.
    """

    def __init__(self, broker: WorkerBroker, slots: WorkerSlots) -> None:
        self._broker = broker
        self._slots = slots

    async def start(self, receive: Callable[[HandlerSlots, Delivery], None]) -> None:
        """Declare all queues and begin to consume them; `receive` takes each dispatch message."""
        async with asyncio.TaskGroup() as group:
            for slots in self._slots.all:
                group.create_task(self._broker.serve(slots.handler.pattern, slots.limit, partial(receive, slots)))

    async def share(self, give_back: Callable[[HandlerSlots], None]) -> None:
        """Give back what has waited for longer than `PATIENCE`, and consume its queue again when there is a slot.

        Such messages come when one is acknowledged before its run has ended, or when the slots in all are fewer than those of
        the handlers.
        """
        for slots in self._slots.crowded(time.monotonic() - PATIENCE):
            slots.on_hold = True
            await self._broker.hold(slots.handler.pattern)
            give_back(slots)
        for slots in self._slots.relieved():
            slots.on_hold = False
            await self._broker.resume(slots.handler.pattern)
