"""A term: the right to dispatch, with its fencing epoch."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from leveret_core.errors import TermOver
from leveret_core.store.database import Connection, Database, sql

NAME = "dispatcher"


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
        self.trusted_until = trusted_until

    def check(self) -> None:
        """Raises `TermOver` once the trust window has passed; asked before each batch of work."""
        if boottime() >= self.trusted_until:
            raise TermOver(f"the term of epoch {self.epoch} was not renewed in time")

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Connection]:
        """A transaction that can only commit while this epoch is current.

        Raises:
            TermOver: another term has begun, or the trust window has passed.
        """
        self.check()
        async with self.database.transaction() as connection:
            if await connection.fetchval(sql("term/fence"), NAME, self.epoch, timeout=5) is None:
                raise TermOver(f"epoch {self.epoch} is over: another dispatcher holds the term")
            yield connection
