"""Handlers that do what a test tells them, when it tells them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from leveret import JobContext
from leveret.registry import Handler

log = logging.getLogger(__name__)
# Under pytest the root logger keeps quiet below WARNING; a worker started from the shell does not.
log.setLevel(logging.INFO)


class Bench:
    """The handlers of one test's worker, which runs on the test's own event loop."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        """A run of `demo.steps` waits for it."""
        self.ran: list[dict[str, Any]] = []
        """The payload of each run of `demo.quick`."""

    def handlers(self) -> list[Handler]:
        """`demo.quick` returns its payload, `demo.steps` says how far it is and waits, `demo.broken` raises."""
        return [Handler(self.quick, "demo.quick"), Handler(self.steps, "demo.steps"), Handler(self.broken, "demo.broken")]

    def let_go(self) -> None:
        """Let the runs that wait end."""
        self.go_on.set()

    async def quick(self, **payload: Any) -> dict[str, Any]:
        self.ran.append(payload)
        return {"got": payload}

    async def steps(self, ctx: JobContext, lines: int = 3, **rest: Any) -> str:
        for line in range(lines):
            log.info("line %d of %d", line + 1, lines)
        ctx.progress(0.42, "42 of 100 rows")
        await self.go_on.wait()
        log.warning("the last line")
        return "all rows"

    async def broken(self) -> None:
        log.error("about to raise")
        raise RuntimeError("the printer is on fire")
