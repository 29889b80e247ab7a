"""Background tasks that must not die in silence, and the end of tasks that must end.

A task that is not awaited dies unnoticed, and a cancellation can get lost: a network call that ends in the moment it is
cancelled may return as if nothing had been. So whatever should run as long as its process is kept by a `Supervisor`, and
whatever is cancelled is ended by `end_tasks`, which asks twice and does not wait for ever.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from typing import Any

log = logging.getLogger(__name__)

END_TIMEOUT = 10.0
"""Seconds a cancelled task has to end, unless a call says otherwise; it is cancelled again when half of them are over."""
BACKOFF_MIN, BACKOFF_MAX = 0.5, 30.0
"""Seconds before a task is started again: the first pause and, doubling, the last; at random up to half of that less."""
STEADY = 60.0
"""Seconds a task must have run for its end to count as the first one of a series."""
PATIENCE = 60.0
"""Seconds for which what a task does may fail, again and again, before the task counts as one that does not do its work."""
MAX_HUNG = 6
"""Steps in a row that had to be ended for their time limit after which a process is better ended than tried further."""


@dataclass(frozen=True)
class TaskState:
    """How a kept task is.

    Args:
        name: what it does.
        running: whether it runs now; false between its end and its next start.
        restarts: how often it was started again.
        error: how it ended last, or what its step failed of while it fails; None if neither.
        overdue: seconds that the step it is at takes longer than its limit; 0 if it does not.
        failing: seconds for which its steps have failed, one after the other; 0 if the last one did not.
        steps: how many it began; 0 if it does not tell.
        failures: how many of these failed.
    """

    name: str
    running: bool
    restarts: int
    error: str | None
    overdue: float
    failing: float = 0.0
    steps: int = 0
    failures: int = 0

    @property
    def healthy(self) -> bool:
        """Whether it does what it is for."""
        return self.running and not self.overdue and self.failing < PATIENCE


class Steps:
    """What a loop is at: whether it waits for something to do, and since when it has been trying to do it.

    Args:
        name: of the loop.
        limit: seconds one step may take; a longer one is told of in the log and in `/readyz`.
    """

    def __init__(self, name: str, limit: float) -> None:
        self.name = name
        self.limit = limit
        self._trying_since: float | None = None
        self._began: float | None = None
        self._overdue: asyncio.TimerHandle | None = None
        self._begun = 0
        self._failures = 0
        self._hung = 0
        self._error: str | None = None

    def begin(self) -> None:
        """A step begins, which is to end by `rest` or `failed`."""
        self._end()
        self._begun += 1
        self._began = time.monotonic()
        if self._trying_since is None:
            self._trying_since = self._began
        self._overdue = asyncio.get_running_loop().call_later(self.limit, self._tell)

    def rest(self) -> None:
        """What was to be done is done; the loop waits for more, for however long."""
        self._end()
        self._trying_since = None
        self._hung, self._error = 0, None

    def failed(self, error: Exception, *, hung: bool = False) -> None:
        """The step ended in an error; what was to be done is still to be done.

        Args:
            error: shown while no step has succeeded.
            hung: whether it did not end by itself, but was ended for its time limit.
        """
        self._end()
        self._failures += 1
        self._hung = self._hung + 1 if hung else 0
        self._error = f"{type(error).__name__}: {error}"

    def overdue(self, *, beyond: float = 0.0, awake_since: float = 0.0) -> float:
        """Seconds that the step it is at takes longer than the limit; 0 if it does not. Safe to call from other threads.

        Args:
            beyond: seconds to add to the limit.
            awake_since: time before this, on `time.monotonic()`, does not count: the process was stopped.
        """
        began = self._began
        return 0.0 if began is None else max(0.0, time.monotonic() - max(began, awake_since) - self.limit - beyond)

    def stuck(self, *, beyond: float = 0.0, awake_since: float = 0.0) -> bool:
        """Whether only the end of its process helps: the step cannot be ended, or each one hangs. Arguments: see `overdue`."""
        return self._hung >= MAX_HUNG or self.overdue(beyond=beyond, awake_since=awake_since) > 0

    def state(self) -> TaskState:
        """How a loop is of which nothing is known but this."""
        return TaskState(
            self.name,
            running=True,
            restarts=0,
            error=self._error,
            overdue=self.overdue(),
            failing=0.0 if self._error is None else self.trying,
            steps=self._begun,
            failures=self._failures,
        )

    @property
    def trying(self) -> float:
        """Seconds since it last had done what was to be done; 0 while it waits for more."""
        return 0.0 if self._trying_since is None else time.monotonic() - self._trying_since

    def _end(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            if self.overdue():
                log.warning("%s goes on", self.name)
        self._began = self._overdue = None

    def _tell(self) -> None:
        log.error("%s has been at one step for more than %g s", self.name, self.limit)


class Kept:
    """A task that is started again whenever it ends, until it is stopped. Made by `Supervisor.keep`."""

    def __init__(self, name: str, run: Callable[[], Coroutine[Any, Any, None]], steps: Steps | None) -> None:
        self.name = name
        self._run = run
        self.steps = steps
        self._running = True
        self._restarts = 0
        self._failures = 0
        self._error: str | None = None
        self._may_end = False
        self.task = asyncio.create_task(self._keep(), name=f"leveret {name}")

    @property
    def state(self) -> TaskState:
        """How it is now."""
        running = self._running and not self.task.done()
        if self.steps is None:
            return TaskState(self.name, running, self._restarts, self._error, 0.0)
        state = self.steps.state()
        return replace(state, name=self.name, running=running, restarts=self._restarts, error=self._error or state.error)

    def let_end(self) -> None:
        """From now on it is not started again when it ends."""
        self._may_end = True

    async def _keep(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        while True:
            began = time.monotonic()
            ended: BaseException | None = None
            try:
                await self._run()
            except asyncio.CancelledError as error:
                if task.cancelling():
                    raise
                ended = error  # another task's, that got here by mistake
            except Exception as error:
                ended = error
            finally:
                if self.steps is not None:
                    self.steps.rest()
            if task.cancelling():
                raise asyncio.CancelledError
            if self._may_end:
                return
            self._failures = 1 if time.monotonic() - began > STEADY else self._failures + 1
            await self._pause(ended)

    async def _pause(self, ended: BaseException | None) -> None:
        self._running = False
        self._error = "it returned" if ended is None else f"{type(ended).__name__}: {ended}"
        pause = min(BACKOFF_MAX, BACKOFF_MIN * 2.0 ** min(self._failures - 1, 10)) * random.uniform(0.5, 1.0)
        trace = ended if self._failures == 1 else None  # the same again tells nothing new
        log.error("%s ended (%s) and is started again in %.1f s", self.name, self._error, pause, exc_info=trace)
        await asyncio.sleep(pause)
        self._restarts += 1
        self._running = True


class Supervisor:
    """The background tasks of one process."""

    def __init__(self) -> None:
        self._kept: list[Kept] = []
        self._shown: list[Callable[[], Iterable[TaskState]]] = []

    def keep(self, name: str, run: Callable[[], Coroutine[Any, Any, None]], *, steps: Steps | None = None) -> Kept:
        """Run `run` in a task, and again, after a pause, whenever it raises or returns.

        Args:
            name: what it does, for logs, `/readyz` and metrics; unique in the process.
            run: should never return.
            steps: by which it tells what it is at, if it does.
        """
        kept = Kept(name, run, steps)
        self._kept.append(kept)
        return kept

    async def stop(self, *kept: Kept | None, within: float = END_TIMEOUT) -> None:
        """End these tasks, and forget them; see `end_tasks`. None stands for a task that was not started."""
        ending = [each for each in kept if each is not None]
        self._kept = [each for each in self._kept if each not in ending]
        await end_tasks((each.task for each in ending), within)

    def states(self) -> list[TaskState]:
        """How all of them are, in the order in which they were started, and then those that are only shown."""
        return [*(each.state for each in self._kept), *(state for states in self._shown for state in states())]

    def show(self, states: Callable[[], Iterable[TaskState]]) -> Callable[[], None]:
        """Have `states` tell of tasks that something else keeps. Returns the way to stop that."""
        self._shown.append(states)
        return lambda: self._shown.remove(states)

    def stuck(self, *, beyond: float = 0.0, awake_since: float = 0.0) -> str | None:
        """The name of a kept task that will not come on by itself; see `Steps.stuck`. Safe to call from other threads."""
        return next(
            (
                each.name
                for each in tuple(self._kept)
                if each.steps and each.steps.stuck(beyond=beyond, awake_since=awake_since)
            ),
            None,
        )


async def end_tasks(tasks: Iterable[asyncio.Future[Any] | None], within: float = END_TIMEOUT) -> set[asyncio.Future[Any]]:
    """Cancel tasks and wait until they have ended, but not for ever.

    Args:
        tasks: those to end; None and what has ended already is passed over.
        within: seconds they have; when half of them are over they are cancelled again, in case the first time was lost.

    Returns:
        Those that have not ended all the same; it is logged.
    """
    every = {task for task in tasks if task is not None}
    left = {task for task in every if not task.done()}
    for _ in range(2):
        if left:
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=within / 2)
    for task in every - left:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("%s failed while it ended", _name(task), exc_info=error)
    for task in left:
        log.error("%s has not ended within %g s after it was cancelled", _name(task), within)
    return left


def _name(task: asyncio.Future[Any]) -> str:
    return task.get_name() if isinstance(task, asyncio.Task) else repr(task)
