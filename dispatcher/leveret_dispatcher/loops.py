"""The loops of the control plane: each has its step, is woken or waits for its time, and tries again whatever a step raises."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from leveret_core.cancellation import heed_cancellation
from leveret_core.errors import TermOver
from leveret_core.store.errors import log_failure
from leveret_core.supervision import Steps

log = logging.getLogger(__name__)

FAILURE_PAUSE = 1.0
"""Seconds a loop rests after a failure."""
STEP_LIMIT = 60.0
"""Seconds one step of a loop may take; each of its statements has a time limit of its own, of seconds."""
AGAIN_MIN, AGAIN_MAX = 5.0, 30.0
"""Seconds before an errand that failed is tried again, unless its next time is sooner: at first, and, doubling, at most."""

Step: TypeAlias = Callable[[], Awaitable[float | None]]
"""Does what is to be done; tells the seconds until it has to be called again, None when only a wake can tell."""


async def attempt(name: str, step: Callable[[], Awaitable[object]], then: str = "trying again") -> Exception | None:
    """Call `step` once; returns None if it did its work, or else what it raised, which is logged.

    Args:
        name: of what it belongs to, for the log.
        then: what follows a failure, for the log.

    Raises:
        TermOver: nothing of this term is to be tried again.
    """
    try:
        await step()
        heed_cancellation()
        return None
    except TermOver:
        raise
    except Exception as error:
        log_failure(log, name, error, then)
        heed_cancellation()
        return error


async def repeat(errand: Errand) -> None:
    """Run `errand` again and again, at its interval; returns never."""
    while True:
        await errand.run_once()
        await asyncio.sleep(errand.pause)


class Loop:
    """A loop of a term.

    Args:
        name: of what runs in it.
        step: what it does.
        steps: where it tells what it is at.
        check: raises `TermOver` when nothing may be begun any more.
    """

    def __init__(self, name: str, step: Step, steps: Steps, check: Callable[[], None]) -> None:
        self.name = name
        self._step = step
        self._steps = steps
        self._check = check
        self._wake = asyncio.Event()
        self._pause: float | None = None

    def wake(self) -> None:
        """There may be something to do."""
        self._wake.set()

    async def run(self) -> None:
        """Run a step whenever it is woken or its own time has come. Raises `TermOver` when the term is."""
        while True:
            self._wake.clear()
            pause = await self.once()
            if pause is not None and pause <= 0:
                await asyncio.sleep(0)
                continue
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def once(self) -> float | None:
        """Try until a step has done its work; returns what it said."""
        while True:
            self._check()
            self._steps.begin()
            if (error := await attempt(self.name, self._do)) is None:
                self._steps.rest()
                return self._pause
            self._steps.failed(error)
            await asyncio.sleep(FAILURE_PAUSE)

    async def _do(self) -> None:
        self._pause = await self._step()


class Errand:
    """Something that happens now and then, by a timetable: what fails is tried again soon.

    Args:
        name: of what it does.
        step: what it does.
        every: seconds between two times.
        steps: where it tells what it is at; its limit is for one that cannot be ended, and longer than `limit`.
        limit: seconds after which a run is ended, and counts as failed.
    """

    def __init__(
        self, name: str, step: Callable[[], Awaitable[object]], every: float, steps: Steps, limit: float = STEP_LIMIT
    ) -> None:
        self.name = name
        self.every = every
        self._step = step
        self._steps = steps
        self._limit = limit
        self._failures = 0

    @property
    def pause(self) -> float:
        """Seconds until its next time: fewer than `every` while it fails."""
        return min(self.every, AGAIN_MAX, AGAIN_MIN * 2.0 ** min(self._failures - 1, 10)) if self._failures else self.every

    async def run_once(self) -> None:
        """Do it once."""
        self._steps.begin()
        error: Exception | None = None
        try:
            async with asyncio.timeout(self._limit):
                error = await attempt(self.name, self._step, "trying again soon")
        except TermOver as over:
            log.debug("%s: %s", self.name, over)
        except TimeoutError:
            error = TimeoutError(f"it took more than {self._limit:g} s")
            log.error("%s: was ended after %g s; trying again soon", self.name, self._limit)
        finally:
            # Also when it is cancelled: nothing is under way any more.
            if error is None:
                self._steps.rest()
            else:
                self._steps.failed(error)
        self._failures = 0 if error is None else self._failures + 1
