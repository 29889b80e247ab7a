"""Random lives of jobs, occurrences, workers and terms on a real Postgres, each step compared with a plain model.

Time stands still until a rule moves it: the functions of Postgres's clock are shadowed in the test's own database.
`LEVERET_EXHAUSTIVE=1` tries many more and longer lives: 1500 of 100 steps, or `LEVERET_LIVES` of `LEVERET_STEPS` steps.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import uuid
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from leveret_core import messages
from leveret_core.broker.base import Published
from leveret_core.errors import Conflict, TermOver
from leveret_core.job_definition import JobDefinition
from leveret_core.messages import Ask, Claim, DispatchMessage, Event, Finished, Goodbye, Heartbeat, Log, Progress
from leveret_core.retry import RetryPolicy
from leveret_core.store.commands import occurrences as commands
from leveret_core.store.database import Database
from leveret_core.store.jobs import changes as job_changes
from leveret_core.store.liveness.ownerless import CERTAIN
from leveret_core.store.planned.runs import Wanted, schedule_runs
from leveret_core.triggers import Interval
from leveret_dispatcher.dispatch.publisher import Publisher
from leveret_dispatcher.dispatch.retrier import Retrier
from leveret_dispatcher.schedule.admitter import Admitter
from leveret_dispatcher.schedule.scheduler import Scheduler
from leveret_dispatcher.upkeep.reaper import Reaper
from support.control import Control
from support.liveness import everything_ownerless
from support.model import FINAL, Model, ModelJob, ModelOccurrence, Retry, Word
from support.moved_clock import move_clock, with_a_clock_to_move

EXHAUSTIVE = os.environ.get("LEVERET_EXHAUSTIVE") == "1"
T = TypeVar("T")

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
EMPTY = """
truncate job, occurrence, slot_of_last_release, attempt, occurrence_log, worker, audit, dead_event restart identity cascade;
update term set epoch = 0, lease_until = '-infinity';
update moved.clock set at = '2030-01-01Z';
"""
POLICIES = st.fixed_dictionaries(
    {
        "concurrency": st.sampled_from(("skip", "queue", "allow")),
        "max_concurrent": st.integers(1, 3),
        "max_waiting": st.integers(1, 4),
        "catch_up": st.sampled_from(("latest", "all", "none")),
        "window": st.sampled_from((0, 5400, 5 * 3600)),
        "max_attempts": st.integers(1, 3),
        "delay": st.sampled_from((0, 10)),
        "max_lost": st.integers(1, 3),
        "timeout": st.sampled_from((None, None, 30)),
        "max_runs": st.sampled_from((None, None, 3)),
    }
)
OUTCOMES = ("succeeded", "failed", "timed_out", "cancelled", "released", "skipped", "snoozed")
MAX_SNOOZES = 1


@dataclass
class Step:
    """Something that may happen, `weight` times as often as the rarest, whenever it is possible, with values drawn for it."""

    happen: Callable[..., None]
    weight: int
    possible: Callable[[Any], object]
    values: dict[str, st.SearchStrategy[Any]]

    def __repr__(self) -> str:
        return self.happen.__name__


STEPS: list[Step] = []


def step(
    weight: int = 2, when: Callable[[Any], object] = lambda _: True, **values: st.SearchStrategy[Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A rule with a weight. Hypothesis's own leave rules out at random and prefer what is always possible: poor lives."""

    def add(happen: Callable[..., None]) -> Callable[..., None]:
        STEPS.append(Step(happen, weight, when, values))
        return happen

    return add


class Term:
    """The services of one term."""

    def __init__(
        self, scheduler: Scheduler, admitter: Admitter, publisher: Publisher, retrier: Retrier, reaper: Reaper
    ) -> None:
        self.scheduler, self.admitter, self.publisher = scheduler, admitter, publisher
        self.retrier, self.reaper = retrier, reaper


class World:
    """A control plane on a database with a clock of its own, and the loop that runs it."""

    def __init__(self, url: str) -> None:
        # The session's loop is left alone: this one is not made the current one.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self.database = Database(self.run(with_a_clock_to_move(url)), pool_size=4)
        self.run(self.database.start())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def close(self) -> None:
        self.run(self.database.stop())
        self._runner.close()


class Lives(RuleBasedStateMachine):
    """What may happen, in any order."""

    world: World

    @initialize(policies=st.lists(POLICIES, min_size=2, max_size=3))
    def begin(self, policies: list[dict[str, Any]]) -> None:
        self.run = self.world.run
        self.run(self.world.database.pool.execute(EMPTY))
        self.control = Control(self.world.database)
        self.model = Model(BEGIN, lease=self.control.settings.lease)
        self.ended: dict[int, str] = {}
        self.old: list[Term] = []
        self.workers: list[str] = []
        self.said: list[Finished] = []
        self.given: list[messages.Answer] = []
        self.run(self._new_term())
        for policy in policies:
            self.make_job(policy=policy)
        self.a_worker_comes()
        self.a_worker_comes()

    @rule(data=st.data())
    def something_happens(self, data: st.DataObject) -> None:
        self.data = data
        possible = [each for each in STEPS if each.possible(self)]
        chosen = self.data.draw(st.sampled_from([each for each in possible for _ in range(each.weight)]), label="step")
        values = {name: self.data.draw(strategy, label=name) for name, strategy in chosen.values.items()}
        chosen.happen(self, **values)

    # What people do

    @step(1, when=lambda self: len(self.model.jobs) < 5, policy=POLICIES)
    def make_job(self, policy: dict[str, Any]) -> None:
        retry = Retry(policy["max_attempts"], policy["delay"], policy["max_lost"])
        window = policy["window"]
        fields: dict[str, Any] = {
            name: policy[name] for name in ("concurrency", "max_concurrent", "max_waiting", "catch_up", "timeout", "max_runs")
        }
        definition = JobDefinition(
            name=f"job-{len(self.model.jobs)}",
            type="test.job",
            trigger=Interval(HOUR.total_seconds(), start_at=BEGIN),
            payload={"n": 0},
            retry=RetryPolicy(max_attempts=retry.max_attempts, delay=retry.delay, factor=1, max_lost=retry.max_lost),
            catch_up_window=window,
            **fields,
        )
        made = self.run(job_changes.create_job(self.control.db, definition, actor="test"))
        job = ModelJob(id=made.job_id, start=BEGIN, every=HOUR, window=timedelta(seconds=window), retry=retry, **fields)
        job.next_fire_at = job.tick_after(self.model.now)
        self.model.jobs[job.id] = job

    @step(4, when=lambda self: self._jobs(), keys=st.lists(st.sampled_from((None, None, "a", "b")), min_size=1, max_size=4))
    def trigger(self, keys: list[str | None]) -> None:
        job = self._pick(self._jobs())
        for key in keys:
            done = self.run(commands.trigger_job(self.control.db, job.id, idempotency_key=key, actor="test"))
            known = self.model.keys.get((job.id, key)) if key else None
            assert done.created == (known is None)
            if known is not None:
                assert done.occurrence_id == known
                continue
            if key:
                self.model.keys[job.id, key] = done.occurrence_id
            self._admit_by_hand(done.occurrence_id, job, "manual")

    @step(
        3,
        when=lambda self: self._jobs(),
        runs=st.lists(
            st.tuples(st.sampled_from((0, 0, 20, 1800, 3 * 3600)), st.sampled_from((None, None, None, "a", "b"))),
            min_size=1,
            max_size=4,
        ),
    )
    def plan(self, runs: list[tuple[int, str | None]]) -> None:
        """Runs for later, and some that are due at once."""
        wanted = [(self._pick(self._jobs()), delay, key) for delay, key in runs]
        found = self.run(
            schedule_runs(
                self.control.db,
                [Wanted(job=job.id, delay=delay, idempotency_key=key) for job, delay, key in wanted],
                actor="test",
            )
        )
        for (job, _, key), done in zip(wanted, found, strict=True):
            known = self.model.keys.get((job.id, key)) if key else None
            assert done.created == (known is None)
            if known is not None:
                assert done.occurrence_id == known
                continue
            if key:
                self.model.keys[job.id, key] = done.occurrence_id
            row = self.run(self.control.row(done.occurrence_id))
            self.model.plan(done.occurrence_id, job, row["scheduled_for"])

    @step(when=lambda self: self._occurrences(*FINAL))
    def requeue(self) -> None:
        old = self._pick(self._occurrences(*FINAL))
        if old.job.deleted:
            return
        done = self.run(commands.requeue_occurrence(self.control.db, old.id, actor="test"))
        self._admit_by_hand(done.occurrence_id, old.job, "requeue", payload=old.payload)

    @step(when=lambda self: self.model.occurrences)
    def cancel(self) -> None:
        o = self._pick(list(self.model.occurrences.values()))
        worker, attempt = o.worker, o.attempt
        expected = self.model.cancel(o)
        if expected is None:
            with pytest.raises(Conflict):
                self.run(commands.cancel_occurrence(self.control.db, o.id, reason="test", actor="test"))
            return
        done = self.run(commands.cancel_occurrence(self.control.db, o.id, reason="test", actor="test"))
        assert done.state.value == expected
        assert (done.tell is not None) == (expected == "cancelling")
        assert done.tell is None or (done.tell.worker, done.tell.attempt) == (worker, attempt)

    @step(
        when=lambda self: self._jobs(),
        changes=st.fixed_dictionaries(
            {},
            optional={
                "concurrency": st.sampled_from(("skip", "queue", "allow")),
                "max_concurrent": st.integers(1, 3),
                "payload": st.integers(0, 2),
                "every": st.sampled_from((HOUR, 2 * HOUR)),
                "max_runs": st.sampled_from((None, 1, 4)),
            },
        ),
    )
    def edit(self, changes: dict[str, Any]) -> None:
        job = self._pick(self._jobs())
        sent = dict(changes)
        if "payload" in sent:
            sent["payload"] = {"n": sent["payload"]}
        if (every := sent.pop("every", None)) is not None:
            sent["trigger"] = {"kind": "interval", "every": every.total_seconds(), "start_at": BEGIN.isoformat()}
        edit = job_changes.edit_job(self.control.db, job.id, sent, actor="test", version=None, payload_limit=1000)
        self.run(edit)
        self.model.edited(job, **changes)

    @step(1, when=lambda self: not any(job.paused for job in self._jobs()))
    def pause(self) -> None:
        job = self._pick(self._jobs())
        self.run(job_changes.pause_job(self.control.db, job.id, reason=None, actor="test"))
        job.paused, job.next_fire_at = True, None

    @step(when=lambda self: any(job.paused for job in self._jobs()))
    def resume(self) -> None:
        job = self._pick([job for job in self._jobs() if job.paused])
        self.run(job_changes.resume_job(self.control.db, job.id, actor="test"))
        job.paused = False
        job.next_fire_at = None if job.used_up else job.tick_after(self.model.now)

    @step(1, when=lambda self: len(self._jobs()) > 2)
    def delete(self) -> None:
        job = self._pick(self._jobs())
        self.run(job_changes.delete_job(self.control.db, job.id, actor="test"))
        self.model.deleted(job)

    # What time and the term's holder do

    @step(
        4, seconds=st.sampled_from((15, 25, 61, 1800, 3600, 3 * 3600, 9 * 3600)), silent=st.sampled_from((False, False, True))
    )
    def time_passes(self, seconds: int, silent: bool) -> None:
        """Workers that are not silent are heard all the while."""
        self._move_clock(seconds)
        if not silent:
            for worker in list(self.model.alive):
                self._beat(worker)

    @step(4, twice=st.booleans())
    def schedule(self, twice: bool) -> None:
        async def look() -> None:
            while await self.term.scheduler.run_once() == 0.0:
                pass

        async def both() -> None:
            await asyncio.gather(look(), look())

        self.run(both() if twice else look())
        rows = self.run(self.control.db.pool.fetch("select job_id, scheduled_for, id from occurrence"))
        ids = {(row["job_id"], row["scheduled_for"]): row["id"] for row in rows}

        def find(job: int, at: datetime) -> int:
            assert (job, at) in ids, f"the tick of job {job} at {at} is lost"
            return int(ids[job, at])

        self.model.tick(find)

    @step(4, when=lambda self: self._occurrences("scheduled"), twice=st.booleans())
    def admit(self, twice: bool) -> None:
        async def look() -> None:
            while await self.term.admitter.run_once() == 0.0:
                pass

        async def both() -> None:
            await asyncio.gather(look(), look())

        if twice:
            self.run(both())
        # One that met the other's locks leaves what is behind them to the next look.
        self.run(look())
        self.model.admit_due()

    @step(3)
    def retry_what_is_due(self) -> None:
        self.run(self.term.retrier.run_once())
        self.model.retry_due()

    @step(3)
    def reap(self) -> None:
        self.run(self.term.reaper.run_once())
        self.model.reap()

    @step(
        3,
        when=lambda self: self._occurrences("pending"),
        outcome=st.sampled_from((Published.CONFIRMED, Published.CONFIRMED, Published.UNKNOWN)),
        connected=st.booleans(),
    )
    def publish(self, outcome: Published, connected: bool) -> None:
        self.control.exchange.outcome, self.control.exchange.connected = outcome, connected
        self.run(self.term.publisher.run_once())
        self.control.exchange.outcome, self.control.exchange.connected = Published.CONFIRMED, True

    @step(1, when=lambda self: self.control.exchange.published)
    def all_dispatch_messages_are_lost(self) -> None:
        self.control.exchange.published.clear()

    @step(1, when=lambda self: len(self.old) < 3)
    def another_term_begins(self) -> None:
        self.old.append(self.term)
        self.run(self._new_term())

    @step(when=lambda self: self.old)
    def an_old_term_still_tries(self) -> None:
        old = self._pick(self.old)
        for attempt in (old.scheduler, old.retrier):
            with pytest.raises(TermOver):
                self.run(attempt.run_once())
        # These look first: where they find nothing to do they write nothing, and need not learn that their term is over.
        before = len(self.control.exchange.published)
        with contextlib.suppress(TermOver):
            self.run(old.publisher.run_once())
        assert len(self.control.exchange.published) == before
        with contextlib.suppress(TermOver):
            assert self.run(old.reaper.run_once()) == 0
        with contextlib.suppress(TermOver):
            self.run(old.admitter.run_once())

    # What workers do

    @step(when=lambda self: len(self.model.alive) < 3)
    def a_worker_comes(self) -> None:
        worker = self.run(self.control.worker())
        self.workers.append(worker)
        self.model.alive[worker] = self.model.now + self.model.lease

    @step()
    def heartbeat(self) -> None:
        self._beat(self._pick(self.workers))

    @step(when=lambda self: len(self.model.alive) > 1)
    def goodbye(self) -> None:
        worker = self._pick(self.workers)
        held = len(self.model.held_by([worker]))
        (reply,) = self.run(self.control.desk.answer([Goodbye(worker=worker)]))
        assert reply == messages.Bye(released=held if worker in self.model.alive else 0)
        if worker in self.model.alive:
            self.model.leave([worker], "released")

    @step(4, when=lambda self: self.model.alive and self._occurrences("pending"), count=st.integers(1, 6))
    def begin_what_is_pending(self, count: int) -> None:
        wanted = self.data.draw(st.permutations(self._occurrences("pending")), label="wanted")[:count]
        self._claim(self._worker(), [Ask(o.id, o.attempt + 1) for o in wanted])

    @step(3, when=lambda self: self.model.live(), offs=st.lists(st.sampled_from((0, 0, 0, 0, 1, -1)), min_size=1, max_size=6))
    def claim(self, offs: list[int]) -> None:
        """Asks for anything that is live, also for what waits or is another's, and for attempts before and after their time."""
        worker = self._worker()
        wanted = self.data.draw(st.permutations(self.model.live()), label="wanted")
        self._claim(worker, [Ask(o.id, o.attempt + 1 + off) for o, off in zip(wanted, offs, strict=False)])

    @step(4, when=lambda self: self.control.exchange.published)
    def answer_dispatch_messages(self) -> None:
        """Dispatch messages come in any order, and not all of them."""
        worker = self._worker()
        published = sorted(self.control.exchange.published, key=self._place)
        dispatches = self.data.draw(st.permutations(published), label="dispatch messages")[:5]
        for each in dispatches:
            self.control.exchange.published.remove(each)
        self._claim(worker, [Ask(each.occurrence, each.attempt) for each in dispatches])

    @step(4, when=lambda self: self._running(), count=st.integers(1, 4))
    def end_what_runs(self, count: int) -> None:
        ended = self.data.draw(st.permutations(self._running()), label="ended")[:count]
        events = [self._end(answer, answer.token) for answer in ended]
        self.said += events
        self._report(*events)

    @step(3, when=lambda self: self.given, count=st.integers(1, 4), forged=st.sampled_from((False, False, False, True)))
    def report(self, count: int, forged: bool) -> None:
        """Ends of any attempt that was ever given, current or over; also what was said before, once more."""
        events: list[Event] = []
        for _ in range(count):
            if self.said and self.data.draw(st.integers(0, 3), label="again?") == 0:
                events.append(self._pick(self.said))
                continue
            running = self._running()
            current = self.data.draw(st.booleans(), label="running?")
            answer = self._pick(running if current and running else self.given)
            event = self._end(answer, str(uuid.uuid4()) if forged else answer.token)
            events.append(event)
            self.said.append(event)
        self._report(*events)

    @step(1, when=lambda self: self.given, seq=st.integers(1, 8))
    def talk(self, seq: int) -> None:
        """Logs and progress of any attempt, late ones too, change no state."""
        answer = self._pick(self.given)
        place: dict[str, Any] = {"occurrence": answer.occurrence, "attempt": answer.attempt, "token": answer.token, "seq": seq}
        self._report(Progress(**place, fraction=seq / 10), Log(**place, at=self.model.now, level="info", message="m"))

    # What must hold after every step

    @invariant()
    def the_tables_are_as_the_model_says(self) -> None:
        rows = self.run(
            self.control.db.pool.fetch(
                """select o.*, o.state::text as state_text, (to_jsonb(o) - 'resolution')::text as everything,
                      exists (select from slot s where s.occurrence_id = o.id and s.job_id = o.job_id) as slot
               from occurrence o order by o.id"""
            )
        )
        assert {row["id"] for row in rows} == set(self.model.occurrences)
        for row in rows:
            self._compare(row, self.model.occurrences[row["id"]])
        for row in self.run(self.control.db.pool.fetch("select * from job")):
            job = self.model.jobs[row["id"]]
            assert (row["next_fire_at"], row["runs"], row["version"]) == (job.next_fire_at, job.runs, job.version), job
            assert (row["paused_at"] is not None, row["deleted_at"] is not None) == (job.paused, job.deleted), job
        slots = self.run(self.control.db.pool.fetchval("select count(*) from slot"))
        assert slots == sum(o.slot for o in self.model.occurrences.values())
        assert self.run(self.control.db.pool.fetchval("select count(*) from dead_event")) == 0

    @invariant()
    def nothing_is_violated(self) -> None:
        crowded = {job.id for job in self.model.jobs.values() if len(self.model.holders(job)) > job.max_concurrent}
        for violation in self.run(self.control.violations()):
            kind, _, ids = violation.partition(": ")
            # An edit may leave more running than the new limit; the model says when.
            assert kind.startswith("more slots"), violation
            assert set(json.loads(ids)) <= crowded, violation

    @invariant()
    def nothing_is_nobodys(self) -> None:
        if EXHAUSTIVE:
            self._nothing_is_nobodys()

    def _nothing_is_nobodys(self) -> None:
        found = self.run(everything_ownerless(self.control.db, late=0, silent=0))
        # The others wait for a service, which here works when it is its turn.
        assert [each for each in found if each.kind in CERTAIN] == []

    @invariant()
    def every_tick_is_accounted_for(self) -> None:
        ticks = self.run(
            self.control.db.pool.fetch(
                """select job_id, scheduled_for as first, coalesce(missed_until, scheduled_for) as last from occurrence
               where origin = 'schedule'"""
            )
        )
        for job in self.model.jobs.values():
            of_job = [(row["first"], row["last"]) for row in ticks if row["job_id"] == job.id]
            for tick in job.due:
                assert sum(first <= tick <= last for first, last in of_job) == 1, f"the tick of job {job.id} at {tick}"

    def teardown(self) -> None:
        """Once the faults are over, everything that was ever created comes to its end, through dispatch messages alone."""
        if not hasattr(self, "control"):
            return
        self._nothing_is_nobodys()
        for job in self._jobs():
            self.run(job_changes.pause_job(self.control.db, job.id, reason=None, actor="test"))
            job.paused, job.next_fire_at = True, None
        self.control.exchange.published.clear()
        for _ in range(40):
            if not self.model.live():
                break
            # Longer than any lease, retry or wait for a dispatch message's answer.
            self._move_clock(7200)
            self.reap()
            self.the_tables_are_as_the_model_says()
            self.retry_what_is_due()
            self.admit(twice=False)
            self.run(self.term.publisher.run_once())
            worker = self.run(self.control.worker())
            self.model.alive[worker] = self.model.now + self.model.lease
            dispatches = self.control.exchange.published[:]
            self.control.exchange.published.clear()
            begun = len(self.given)
            self._claim(worker, [Ask(each.occurrence, each.attempt) for each in dispatches])
            self._report(
                *(
                    Finished(
                        occurrence=a.occurrence, attempt=a.attempt, token=a.token, seq=9, outcome="succeeded", duration=0.0
                    )
                    for a in self.given[begun:]
                )
            )
            self.the_tables_are_as_the_model_says()
        assert self.model.live() == []

    # Means

    def _beat(self, worker: str) -> None:
        (reply,) = self.run(self.control.desk.answer([Heartbeat(worker=worker, running=0, holding=None)]))
        if worker not in self.model.alive:
            assert isinstance(reply, messages.Unknown)
            return
        self.model.alive[worker] = self.model.now + self.model.lease
        assert isinstance(reply, messages.Alive)
        cancelling = {(o.id, o.attempt) for o in self.model.held_by([worker]) if o.state == "cancelling"}
        assert {(ask.occurrence, ask.attempt) for ask in reply.cancel} == cancelling

    def _running(self) -> list[messages.Answer]:
        """The answers that gave what runs now."""
        return [a for a in self.given if self.model.occurrences[a.occurrence].token == a.token]

    def _end(self, answer: messages.Answer, token: str) -> Finished:
        outcome: Any = self.data.draw(st.sampled_from(OUTCOMES), label="outcome")
        return Finished(
            occurrence=answer.occurrence,
            attempt=answer.attempt,
            token=token,
            seq=9,
            outcome=outcome,
            duration=0.0,
            retry=self.data.draw(st.sampled_from((True, True, False)), label="retry"),
            retry_after=self.data.draw(
                st.sampled_from((0.0, 7.0) if outcome == "snoozed" else (None, None, 7.0)), label="retry_after"
            ),
            max_snoozes=MAX_SNOOZES,
        )

    def _worker(self) -> str:
        """Mostly one that lives."""
        alive = list(self.model.alive)
        any_other = self.data.draw(st.integers(0, 4), label="any?") == 0
        return self._pick(self.workers if any_other or not alive else alive)

    async def _new_term(self) -> None:
        term = await self.control.term()
        self.model.epoch = term.epoch
        publisher = self.control.publisher(term)
        await publisher.begin()
        self.term = Term(
            self.control.scheduler(term, batch=2),
            self.control.admitter(term, batch=2),
            publisher,
            self.control.retrier(term),
            self.control.reaper(term),
        )

    def _move_clock(self, seconds: int) -> None:
        self.model.now += timedelta(seconds=seconds)
        self.run(move_clock(self.control.db, self.model.now))

    def _claim(self, worker: str, asks: list[Ask]) -> None:
        if not asks:
            return
        (reply,) = self.run(self.control.desk.answer([Claim(worker=worker, asks=asks)]))
        expected = [self.model.claim(worker, *(ask.occurrence, ask.attempt)) for ask in asks]
        if worker not in self.model.alive:
            assert isinstance(reply, messages.Unknown)
            return
        assert isinstance(reply, messages.Claimed)
        assert [answer.status for answer in reply.answers] == expected
        for answer in reply.answers:
            if answer.status == "granted":
                o = self.model.occurrences[answer.occurrence]
                assert o.token in (None, answer.token)
                o.token = answer.token
                assert json.loads(bytes(answer.payload)) == {"n": o.payload}
                assert answer.job_version == o.version
                self.given.append(answer)
            elif answer.status == "cancelled":
                assert self.model.occurrences[answer.occurrence].token in (None, answer.token)

    def _report(self, *events: Event) -> None:
        if not events:
            return
        worker = self.workers[0] if self.workers else str(uuid.uuid4())
        assert self.run(self.control.ingest(messages.encode(messages.Events(worker=worker, events=list(events))))) == 1
        self.model.report(
            Word(e.occurrence, e.attempt, e.token, e.outcome, e.retry, e.retry_after, MAX_SNOOZES)
            for e in events
            if isinstance(e, Finished)
        )

    def _place(self, dispatch: DispatchMessage) -> tuple[int, datetime, int]:
        """An order that does not depend on which of two schedulers was quicker, so that every life can be repeated."""
        o = self.model.occurrences[dispatch.occurrence]
        return o.job.id, o.scheduled_for, dispatch.attempt

    def _admit_by_hand(self, id_: int, job: ModelJob, origin: str, payload: int | None = None) -> None:
        row = self.run(self.control.row(id_))
        made = self.model.by_hand(id_, job, row["scheduled_for"], origin)
        if payload is not None:
            made.payload = payload

    def _compare(self, row: Any, o: ModelOccurrence) -> None:
        counts = (row["attempt"], row["lost_count"], row["released_count"], row["snoozed_count"])
        assert counts == (o.attempt, o.lost, o.released, o.snoozed), o
        assert (row["state_text"], row["slot"], row["epoch"]) == (o.state, o.slot, o.epoch), o
        assert (row["job_id"], row["scheduled_for"], row["origin"]) == (o.job.id, o.scheduled_for, o.origin), o
        assert (row["job_version"], json.loads(row["payload"])) == (o.version, {"n": o.payload}), o
        if o.state in ("running", "cancelling"):
            assert (str(row["worker_id"]), str(row["claim_token"])) == (o.worker, o.token), o
        if o.state == "retrying":
            assert o.between is not None
            assert o.between[0] <= row["retry_at"] <= o.between[1], o
            o.retry_at = row["retry_at"]
        if o.state == "missed":
            assert (row["missed_count"], row["missed_until"]) == o.missed, o
        if o.blockers:
            assert row["blocker_id"] in o.blockers, o
        if o.state in FINAL:
            # Not a byte of it changes any more, but for the mark that somebody dealt with a failure.
            assert self.ended.setdefault(o.id, row["everything"]) == row["everything"]

    def _jobs(self) -> list[ModelJob]:
        return [job for job in self.model.jobs.values() if not job.deleted]

    def _occurrences(self, *states: str) -> list[ModelOccurrence]:
        return [o for o in self.model.occurrences.values() if o.state in states]

    def _pick(self, things: list[T]) -> T:
        return things[self.data.draw(st.integers(0, len(things) - 1), label=f"one of {len(things)}")]


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url)
    yield made
    made.close()


@pytest.mark.timeout(7200 if EXHAUSTIVE else 600)
def test_every_life_goes_as_the_model_says(world: World) -> None:
    run_state_machine_as_test(
        type("Lives", (Lives,), {"world": world}),
        settings=settings(
            max_examples=int(os.environ.get("LEVERET_LIVES", "1500")) if EXHAUSTIVE else 15,
            stateful_step_count=int(os.environ.get("LEVERET_STEPS", "100")) if EXHAUSTIVE else 40,
            deadline=None,
            print_blob=True,
            report_multiple_bugs=False,
            suppress_health_check=(HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large),
        ),
    )
