"""A term: the right to dispatch, with its fencing epoch."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from leveret_core.errors import TermOver
from leveret_core.store.database import Connection, Database
from leveret_core.store.term import fence
from leveret_core.supervision import Steps, TaskState


def boottime() -> float:
    """Seconds on a clock that also runs while the machine sleeps, unlike CLOCK_MONOTONIC."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Term:
    """Leadership of this process from one raise of the epoch to its end.

    Args:
        database: the pool the term's transactions use.
        epoch: the number that the fence row held when the term began.
        trusted_until: on `boottime()`.
    """

    def __init__(self, database: Database, epoch: int, trusted_until: float) -> None:
        self.database = database
        self.epoch = epoch
        self._trusted_until = trusted_until
        self._over = False
        self._steps: list[Steps] = []
        self._dispatching: list[Steps] = []

    @property
    def trusted_until(self) -> float:
        """Until when, on `boottime()`, no other process can hold a term; in the past once it is given up."""
        return 0.0 if self._over else self._trusted_until

    def trust(self, until: float) -> None:
        """It was renewed.

        Raises:
            TermOver: it has been given up meanwhile, which nothing undoes.
        """
        if self._over:
            raise TermOver(f"the term of epoch {self.epoch} was given up")
        self._trusted_until = until

    def give_up(self) -> None:
        """It is over, whatever still runs."""
        self._over = True
        for steps in self._steps:
            steps.rest()

    def check(self) -> None:
        """Raises `TermOver` once the trust window has passed; asked before each batch of work."""
        if boottime() >= self.trusted_until:
            raise TermOver(f"the term of epoch {self.epoch} was " + ("given up" if self._over else "not renewed in time"))

    def watch(self, name: str, limit: float, *, dispatches: bool = True) -> Steps:
        """For what belongs to this term to tell what it is at. A step that takes longer than it may ends the term.

        Args:
            name: of the loop or errand.
            limit: seconds a step may take.
            dispatches: whether due runs wait when it fails; what does not may fail without a word of the term's.
        """
        steps = Steps(name, limit)
        self._steps.append(steps)
        if dispatches:
            self._dispatching.append(steps)
        return steps

    def states(self) -> list[TaskState]:
        """How all of these are, in the order in which they were made."""
        return [steps.state() for steps in self._steps]

    def stuck(self, *, beyond: float = 0.0, awake_since: float = 0.0) -> str | None:
        """The name of a loop that does not come on, if there is one; see `Steps.overdue`."""
        return next((s.name for s in self._steps if s.overdue(beyond=beyond, awake_since=awake_since)), None)

    @property
    def behind(self) -> float:
        """Seconds since the loop that is longest without success last had any; 0 when none wants for it."""
        return max((steps.trying for steps in self._dispatching), default=0.0)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Connection]:
        """A transaction that can only commit while this epoch is current.

        Raises:
            TermOver: another term has begun, or the trust window has passed.
        """
        self.check()
        async with self.database.transaction() as connection:
            if not await fence.share_epoch(connection, self.epoch):
                raise TermOver(f"epoch {self.epoch} is over: another dispatcher holds the term")
            yield connection
