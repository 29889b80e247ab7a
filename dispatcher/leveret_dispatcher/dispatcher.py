"""One term of dispatching: the services that only the holder runs, each in a loop of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from leveret_core.broker.base import ServerBroker
from leveret_core.cancellation import heed_cancellation
from leveret_core.errors import BrokerError, TermOver
from leveret_core.hints import Hint, Hints
from leveret_core.messages import Cancel
from leveret_core.settings import Settings
from leveret_core.states import State
from leveret_core.store.errors import is_unavailable
from leveret_core.store.occurrences.creation import Created
from leveret_core.supervision import Steps
from leveret_dispatcher.dispatch.publisher import Publisher
from leveret_dispatcher.dispatch.retrier import Retrier
from leveret_dispatcher.ends.settlement import Settled
from leveret_dispatcher.leadership.term import Term
from leveret_dispatcher.schedule.admitter import Promoter
from leveret_dispatcher.schedule.backfiller import Backfiller
from leveret_dispatcher.schedule.clock import ClockWatch
from leveret_dispatcher.schedule.commit_listener import CommitListener
from leveret_dispatcher.schedule.scheduler import Scheduler
from leveret_dispatcher.upkeep.liveness import LivenessChecker
from leveret_dispatcher.upkeep.pruner import Pruner
from leveret_dispatcher.upkeep.reaper import Reaper
from leveret_dispatcher.upkeep.reconciler import Reconciler

log = logging.getLogger(__name__)

FAILURE_PAUSE = 1.0
"""Seconds a loop rests after a failure."""
STEP_LIMIT = 60.0
"""Seconds one step of a loop may take; each of its statements has a time limit of its own, of seconds."""


class Dispatcher:
    """Runs the services of one term until the term is over.

    Args:
        settings: intervals, windows and limits.
        term: the term.
        broker: where doorbells are rung.
        hints: wake the loops; told what they changed.
    """

    def __init__(self, settings: Settings, term: Term, broker: ServerBroker, hints: Hints) -> None:
        self._settings = settings
        self._term = term
        self._hints = hints
        self._broker = broker
        self._telling: set[asyncio.Task[None]] = set()
        services = ("scheduler", "publisher", "retrier", "promoter", "backfiller")
        self._wake: dict[str, asyncio.Event] = {name: asyncio.Event() for name in services}
        self._steps = {name: term.watch(name, STEP_LIMIT) for name in (*services, "dispatcher", "reaper")}
        self.publisher = Publisher(
            term,
            broker,
            window=settings.publish_window,
            ring_timeout=settings.ring_timeout,
            unroutable_retry=settings.unroutable_retry,
        )
        self.scheduler = Scheduler(
            term,
            batch=settings.schedule_batch,
            ring_timeout=settings.ring_timeout,
            room=self.publisher.room,
            ring=self.publisher.ring_soon,
            changed=self._created,
            catch_up_limit=settings.catch_up_limit,
        )
        self.promoter = Promoter(
            term,
            batch=settings.schedule_batch,
            ring_timeout=settings.ring_timeout,
            room=self.publisher.room,
            ring=self.publisher.ring_soon,
            changed=self._created,
        )
        self._listener = CommitListener(term.database.url, self._wake["promoter"].set)
        self.retrier = Retrier(term, self._retried)
        self.reaper = Reaper(
            term,
            lease=settings.lease,
            grace=settings.timeout_grace,
            reachable=lambda: broker.connected,
            changed=self._settled,
        )
        self.clock = ClockWatch(term, ring_timeout=settings.ring_timeout, changed=self._moved)
        self.liveness = LivenessChecker(
            term,
            lease=settings.lease,
            grace=settings.timeout_grace,
            reachable=lambda: broker.connected,
            changed=self._settled,
        )
        self.reconciler = Reconciler(term, grace=settings.unnamed_grace, backlog=broker.events_backlog, changed=self._settled)
        self.backfiller = Backfiller(term, ahead=settings.backfill_ahead, changed=self._created, finished=self._backfilled)
        self.pruner = Pruner(term, settings.history_days, settings.audit_days)

    async def run(self) -> None:
        """Dispatch. Raises `TermOver` when the term is."""
        unsubscribe = self._hints.subscribe(self._on_hint)
        housekeeping = self._housekeeping()
        try:
            await self._keep_trying("publisher", self.publisher.begin)
            housekeeping.start()
            async with asyncio.TaskGroup() as loops:
                loops.create_task(self._loop("scheduler", self.scheduler.run_once))
                loops.create_task(self._loop("publisher", self.publisher.run_once))
                loops.create_task(self._loop("retrier", self.retrier.run_once))
                loops.create_task(self._loop("promoter", self.promoter.run_once))
                loops.create_task(self._listener.run())
                loops.create_task(self._loop("backfiller", self.backfiller.run_once))
                loops.create_task(self._look_again())
        except* TermOver as over:
            raise TermOver(str(over.exceptions[0])) from over
        finally:
            unsubscribe()
            if housekeeping.running:
                housekeeping.shutdown(wait=False)

    def _housekeeping(self) -> AsyncIOScheduler:
        """The timetable of what need not happen at once. Misfires are of no interest: the next run does the same work."""
        timetable = AsyncIOScheduler(
            timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        every: Sequence[tuple[str, float, Callable[[], Awaitable[object]]]] = (
            ("reaper", min(5.0, self._settings.lease / 3), self.reaper.run_once),
            ("reconciler", max(0.2, min(5.0, self._settings.unnamed_grace / 3)), self.reconciler.run_once),
            ("pruner", 600.0, self.pruner.run_once),
            ("repair", 60.0, self.pruner.repair),
            ("liveness", 60.0, self.liveness.run_once),
            ("clock", 5.0, self.clock.run_once),
        )
        for name, seconds, run_once in every:
            # Those that the term does not watch may fail, and no run is the later for it.
            self._steps.setdefault(name, Steps(name, STEP_LIMIT))
            trigger = IntervalTrigger(seconds=cast("int", seconds), timezone="UTC")
            timetable.add_job(self._tidy, trigger, args=(name, run_once), id=name)
        return timetable

    async def _tidy(self, name: str, run_once: Callable[[], Awaitable[object]]) -> None:
        steps = self._steps[name]
        steps.begin()
        try:
            await run_once()
            steps.rest()
        except TermOver as error:
            log.debug("%s: %s", name, error)
        except Exception as error:
            steps.failed()
            if is_unavailable(error):
                log.warning("%s: Postgres cannot be asked (%s: %s)", name, type(error).__name__, error)
            else:
                log.exception("%s: failed, and tries again later", name)

    async def _loop(self, name: str, run_once: Callable[[], Awaitable[float | None]]) -> None:
        """Run a service whenever it is woken or its own time has come."""
        wake = self._wake[name]
        while True:
            wake.clear()
            pause = await self._keep_trying(name, run_once)
            if pause is not None and pause <= 0:
                await asyncio.sleep(0)
                continue
            try:
                async with asyncio.timeout(pause):
                    await wake.wait()
            except TimeoutError:
                pass

    async def _look_again(self) -> None:
        """Find what a lost hint would have told: one statement every `poll_interval`."""
        while True:
            await asyncio.sleep(self._settings.poll_interval)
            await self._keep_trying("dispatcher", self._look)

    async def _look(self) -> None:
        row = await self._term.database.fetchrow("term/look")
        for name, seconds in row.items() if row is not None else ():
            if seconds is not None and seconds < self._settings.poll_interval:
                self._wake[name].set()

    async def _keep_trying(self, name: str, step: Callable[[], Awaitable[float | None]]) -> float | None:
        steps = self._steps[name]
        while True:
            self._term.check()
            steps.begin()
            try:
                pause = await step()
                heed_cancellation()
                steps.rest()
                return pause
            except TermOver:
                raise
            except Exception as error:
                steps.failed()
                if is_unavailable(error):
                    log.warning("%s: Postgres cannot be asked (%s: %s); trying again", name, type(error).__name__, error)
                else:
                    log.exception("%s: failed; trying again", name)
            heed_cancellation()
            await asyncio.sleep(FAILURE_PAUSE)

    def _on_hint(self, hint: Hint) -> None:
        if hint.topic == "wake":
            # Not the promoter nor the backfiller: what wakes the others, thousands of times a second, is nothing to them.
            for name in self._wake.keys() - {"promoter", "backfiller"}:
                self._wake[name].set()
        elif hint.topic in ("scheduled", "resync"):
            self._wake["promoter"].set()
        elif hint.topic == "backfills":
            self._wake["backfiller"].set()
        elif hint.topic == "workers":
            self.publisher.worker_came()
            self._wake["publisher"].set()

    def _created(self, created: Sequence[Created]) -> None:
        if any((c.state is State.PENDING and not c.published) or c.replaced for c in created):
            self._wake["publisher"].set()
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
        for event in self._wake.values():
            event.set()

    def _retried(self, ids: list[int]) -> None:
        self._wake["publisher"].set()
        self._hints.send(Hint("occurrences", tuple(ids)))

    def _settled(self, settled: Settled) -> None:
        self._hints.send(Hint("occurrences", tuple(settled.changed)))
        if settled.jobs:
            self._hints.send(Hint("jobs", tuple(settled.jobs)))
        self._hints.send(Hint("workers"))
        for event in self._wake.values():
            event.set()
