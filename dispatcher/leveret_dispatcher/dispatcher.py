"""One term of dispatching: what only the holder runs, each in a loop of its own, and what wakes it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from leveret_core.broker.base import ServerBroker
from leveret_core.errors import BrokerError, TermOver
from leveret_core.hints import Hint, Hints
from leveret_core.messages import Cancel
from leveret_core.settings import Settings
from leveret_core.states import State
from leveret_core.store.attempts.ends import Settled
from leveret_core.store.liveness.failing import FailingTask, note_failing
from leveret_core.store.occurrences.creation import Created
from leveret_core.store.term.fence import next_work
from leveret_core.supervision import END_TIMEOUT, Supervisor, TaskState
from leveret_dispatcher.dispatch.publisher import Publisher
from leveret_dispatcher.dispatch.retrier import Retrier
from leveret_dispatcher.leadership.term import Term
from leveret_dispatcher.loops import STEP_LIMIT, Errand, Loop, Step
from leveret_dispatcher.schedule.admitter import Admitter
from leveret_dispatcher.schedule.backfiller import Backfiller
from leveret_dispatcher.schedule.clock import ClockWatch
from leveret_dispatcher.schedule.commit_listener import CommitListener
from leveret_dispatcher.schedule.scheduler import Scheduler
from leveret_dispatcher.timetable import Timetable
from leveret_dispatcher.upkeep.liveness import LivenessChecker
from leveret_dispatcher.upkeep.pruner import PRUNER_LIMIT, Pruner
from leveret_dispatcher.upkeep.reaper import Reaper
from leveret_dispatcher.upkeep.reconciler import Reconciler

log = logging.getLogger(__name__)


class Dispatcher:
    """Runs what belongs to one term until the term is over.

    Args:
        settings: intervals, windows and limits.
        term: the term.
        broker: where dispatch messages are published.
        hints: wake the loops; told what they changed.
        supervisor: shows how the loops and errands are.
    """

    def __init__(
        self, settings: Settings, term: Term, broker: ServerBroker, hints: Hints, supervisor: Supervisor | None = None
    ) -> None:
        self._settings = settings
        self._term = term
        self._hints = hints
        self._broker = broker
        self._supervisor = supervisor or Supervisor()
        self._failing: list[FailingTask] | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self.publisher = Publisher(
            term,
            broker,
            window=settings.publish_window,
            answer_timeout=settings.ring_timeout,
            unroutable_retry=settings.unroutable_retry,
        )
        self.scheduler = Scheduler(
            term,
            batch=settings.schedule_batch,
            answer_timeout=settings.ring_timeout,
            room=self.publisher.room,
            publish=self.publisher.publish_soon,
            changed=self._created,
            catch_up_limit=settings.catch_up_limit,
        )
        self.admitter = Admitter(
            term,
            batch=settings.schedule_batch,
            answer_timeout=settings.ring_timeout,
            room=self.publisher.room,
            publish=self.publisher.publish_soon,
            changed=self._created,
        )
        self.retrier = Retrier(term, self._retried)
        self.reaper = Reaper(
            term,
            lease=settings.lease,
            grace=settings.timeout_grace,
            reachable=lambda: broker.connected,
            changed=self._settled,
        )
        self.clock = ClockWatch(term, answer_timeout=settings.ring_timeout, changed=self._moved)
        self.liveness = LivenessChecker(
            term,
            lease=settings.lease,
            grace=settings.timeout_grace,
            unnamed=settings.unnamed_grace,
            reachable=lambda: broker.connected,
            changed=self._settled,
        )
        self.reconciler = Reconciler(term, grace=settings.unnamed_grace, backlog=broker.events_backlog, changed=self._settled)
        self.backfiller = Backfiller(term, ahead=settings.backfill_ahead, changed=self._created, finished=self._backfilled)
        self.pruner = Pruner(term, settings.history_days, settings.audit_days)
        self._loops = {
            name: self._loop(name, step)
            for name, step in (
                ("scheduler", self.scheduler.run_once),
                ("publisher", self.publisher.run_once),
                ("retrier", self.retrier.run_once),
                ("admitter", self.admitter.run_once),
                ("backfiller", self.backfiller.run_once),
            )
        }
        self._begin = self._loop("publisher's begin", self._begin_publishing)
        self._look_again = self._loop("dispatcher", self._look)
        listening = term.watch("commit listener", STEP_LIMIT, dispatches=False)
        self._listener = CommitListener(term.database.url, self._loops["admitter"].wake, listening)
        self.errands = (
            # Of these only the reaper dispatches what it ends once more.
            self._errand("reaper", self.reaper.run_once, min(5.0, settings.lease / 3), dispatches=True),
            self._errand("reconciler", self.reconciler.run_once, max(0.2, min(5.0, settings.unnamed_grace / 3))),
            self._errand("pruner", self.pruner.run_once, 600.0, limit=PRUNER_LIMIT),
            self._errand("repair", self.pruner.repair, 60.0),
            self._errand("liveness", self.liveness.run_once, 60.0),
            self._errand("clock", self.clock.run_once, 5.0),
        )
        self._timetable = Timetable(self.errands)

    def _loop(self, name: str, step: Step) -> Loop:
        return Loop(name, step, self._term.watch(name, STEP_LIMIT), self._term.check)

    def _errand(
        self,
        name: str,
        step: Callable[[], Awaitable[object]],
        every: float,
        *,
        limit: float = STEP_LIMIT,
        dispatches: bool = False,
    ) -> Errand:
        return Errand(name, step, every, self._term.watch(name, limit + END_TIMEOUT, dispatches=dispatches), limit)

    def states(self) -> list[TaskState]:
        """How all that runs in this term is."""
        return [*self._term.states(), self._timetable.state]

    async def run(self) -> None:
        """Dispatch. Raises `TermOver` when the term is."""
        unsubscribe = self._hints.subscribe(self._on_hint)
        hide = self._supervisor.show(self.states)
        try:
            await self._begin.once()
            async with asyncio.TaskGroup() as loops:
                loops.create_task(self._listener.run())
                for loop in (*self._loops.values(), self._look_again):
                    loops.create_task(loop.run())
                self._timetable.start(loops.create_task)
                try:
                    await asyncio.Event().wait()
                finally:
                    # Before the group waits for what runs: it takes nothing new any more.
                    self._timetable.stop()
        except* TermOver as over:
            raise TermOver(str(over.exceptions[0])) from over
        finally:
            unsubscribe()
            hide()

    async def _begin_publishing(self) -> None:
        await self.publisher.begin()

    async def _look(self) -> float:
        """Find what a lost hint would have told: one statement every `poll_interval`, which no clock that jumps can delay."""
        self._timetable.look_after()
        for name, seconds in (await next_work(self._term.database)).items():
            if seconds is not None and seconds < self._settings.poll_interval:
                self._loops[name].wake()
        await self._note_failing()
        return self._settings.poll_interval

    async def _note_failing(self) -> None:
        """Keep which tasks do not do their work, if these are others than before; at first nothing is known of what is kept."""
        failing = [
            # Of the error its kind alone: a text may be anything.
            FailingTask(state.name, (state.error or "it does not come on").partition(":")[0])
            for state in self.states()
            if not state.healthy
        ]
        if failing != self._failing:
            async with self._term.transaction() as connection:
                await note_failing(connection, failing)
            self._failing = failing

    def _wake(self, *names: str) -> None:
        for name in names or self._loops:
            self._loops[name].wake()

    def _on_hint(self, hint: Hint) -> None:
        if hint.claimed:
            self.publisher.claimed(hint.claimed)
        if hint.topic == "wake":
            # Not the admitter nor the backfiller: what wakes the others, thousands of times a second, is nothing to them.
            self._wake("scheduler", "publisher", "retrier")
        elif hint.topic in ("scheduled", "resync"):
            self._wake("admitter")
        elif hint.topic == "backfills":
            self._wake("backfiller")
        elif hint.topic == "workers":
            self.publisher.worker_came()
            self._wake("publisher")

    def _created(self, created: Sequence[Created]) -> None:
        if any((c.state is State.PENDING and not c.published) or c.replaced for c in created):
            self._wake("publisher")
        self._hints.send(Hint("occurrences", tuple(c.id for c in created)))
        self._hints.send(Hint("jobs", tuple({c.job_id for c in created})))
        replaced = [old for c in created for old in c.replaced]
        if replaced:
            self._hints.send(Hint("occurrences", tuple(old.id for old in replaced)))
        if words := [old.tell for old in replaced if old.tell is not None]:
            task = asyncio.create_task(self._tell(words))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell(self, words: Sequence[Cancel]) -> None:
        for word in words:
            try:
                await self._broker.tell_workers(word)
            except BrokerError:
                # It is in Postgres: the answer to the worker's next heartbeat repeats it.
                log.info("dispatcher: RabbitMQ did not take the word to a worker")
                return

    def _backfilled(self, backfill_id: int, job_id: int) -> None:
        self._hints.send(Hint("backfills", (backfill_id,)))
        self._hints.send(Hint("jobs", (job_id,)))

    def _moved(self, jobs: Sequence[int]) -> None:
        self._hints.send(Hint("jobs", tuple(jobs)))
        self._wake()

    def _retried(self, ids: list[int]) -> None:
        self._wake("publisher")
        self._hints.send(Hint("occurrences", tuple(ids)))

    def _settled(self, settled: Settled) -> None:
        self._hints.send(Hint("occurrences", tuple(settled.changed)))
        if settled.jobs:
            self._hints.send(Hint("jobs", tuple(settled.jobs)))
        self._hints.send(Hint("workers"))
        self._wake()
