"""Stories (see `scenarios`) told to a real control plane on a real Postgres, whose clock the test moves."""

from __future__ import annotations

import contextlib
import json
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from leveret_core.errors import Conflict, NotFound
from leveret_core.job_definition import define
from leveret_core.messages import Answer, DispatchMessage, JobError
from leveret_core.store.commands import occurrences as commands
from leveret_core.store.database import Database
from leveret_core.store.jobs import changes as job_changes
from leveret_core.store.planned.runs import Wanted, schedule_runs
from leveret_dispatcher.schedule.admitter import Admitter
from leveret_dispatcher.upkeep.reaper import Reaper
from support.control import Control, finished
from support.scenarios import LEASE, Seen, SeenJob, Step, Story, plan_of

MOVED_CLOCK = """
create schema moved;
create table moved.clock (at timestamptz not null);
create function moved.now() returns timestamptz language sql stable as 'select at from moved.clock';
create function moved.clock_timestamp() returns timestamptz language sql stable as 'select at from moved.clock';
"""
_LONG = 1e9
"""Seconds that an attempt took, so that Postgres's clock alone tells when it ended."""
_ERRORS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "fail": ("failed", "ValueError", {}),
    "fail for good": ("failed", "Fail", {"retry": False}),
    "retry": ("failed", "Retry", {"retry_after": 90.0}),
    "cancel": ("cancelled", "Cancel", {}),
    "skip": ("skipped", "Skip", {}),
    "snooze": ("snoozed", "Snooze", {"retry_after": 600.0, "max_snoozes": 2}),
}


@dataclass
class Running:
    """An attempt that a worker runs."""

    answer: Answer
    ends_at: datetime
    word: str


class ToldToControl:
    """Plays a story: at each moment in which something happens, the services look, and a worker runs what it is told of."""

    def __init__(self, url: str, story: Story) -> None:
        self._url = url
        self._story = story
        self._now = story.begin
        self._to_claim: deque[DispatchMessage] = deque()
        self._running: dict[int, Running] = {}
        self._granted: set[tuple[int, int]] = set()
        self._ids: dict[str, int] = {}
        self._dispatching = True
        self._lost_at: datetime | None = None

    async def play(self) -> tuple[list[Seen], list[SeenJob]]:
        """The story as the product has it."""
        plain = Database(self._url, pool_size=1)
        await plain.start()
        await plain.pool.execute(MOVED_CLOCK)
        await plain.pool.execute("insert into moved.clock values ($1)", self._now)
        await plain.stop()
        self._db = Database(f"{self._url}?search_path=moved,public,pg_catalog", pool_size=2)
        await self._db.start()
        try:
            return await self._play()
        finally:
            await self._db.stop()

    async def _play(self) -> tuple[list[Seen], list[SeenJob]]:
        self._control = Control(self._db)
        term = await self._control.term()
        self._publisher = self._control.publisher(term, window=self._story.window, answer_timeout=1e6)
        self._scheduler = self._control.scheduler(term)
        self._retrier = self._control.retrier(term)
        # With a grace, as ever: what runs past its timeout in a worker that is dead is lost first.
        self._reaper = Reaper(term, lease=0, grace=60, reachable=lambda: True, changed=lambda _: None)
        self._admitter = Admitter(
            term,
            batch=500,
            answer_timeout=1e6,
            room=lambda _: 1000,
            publish=self._control.exchange.published.extend,
            changed=lambda _: None,
        )
        self._worker = await self._control.worker()
        for name in self._story.jobs:
            self._ids[name] = (
                await job_changes.create_job(self._db, define(self._story.definition(name)), actor="test")
            ).job_id
        steps = deque((*self._story.steps, Step(self._story.until, "end")))
        while True:
            await self._settle()
            at = self._story.begin + timedelta(seconds=steps[0].at)
            following = await self._next()
            if following is not None and following <= at:
                await self._move(following)
                continue
            await self._move(at)
            await self._settle()
            step = steps.popleft()
            if step.what == "end":
                return await self._occurrences(), await self._jobs()
            await self._do(step)

    async def _move(self, at: datetime) -> None:
        self._now = max(self._now, at)
        await self._db.pool.execute("update moved.clock set at = $1", self._now)

    async def _settle(self) -> None:
        """Everything that can happen now: first what is due, then what ends."""
        busy = True
        while busy:
            busy = await self._dispatch() if self._dispatching else False
            self._to_claim.extend(self._control.exchange.published)
            self._control.exchange.published.clear()
            busy = await self._claim() or busy
            busy = await self._end() or busy
            if self._lost_at is not None and self._lost_at <= self._now:
                await self._reap()
                busy = True

    async def _dispatch(self) -> bool:
        before = len(self._control.exchange.published)
        while (due := await self._db.fetchval("schedule/next_due")) is not None and due <= 0:
            await self._scheduler.run_once()
        while (due := await self._db.fetchval("planned/next_due")) is not None and due <= 0:
            await self._admitter.run_once()
        # At one moment in any order: what is skipped says in which state its blocker was, and the kit does this last, too.
        await self._retrier.run_once()
        await self._publisher.run_once()
        return len(self._control.exchange.published) > before

    async def _claim(self) -> bool:
        claimed = False
        while self._to_claim and len(self._running) < self._story.slots:
            dispatch = self._to_claim.popleft()
            answer = await self._control.claim(self._worker, dispatch.occurrence, dispatch.attempt)
            if answer.status != "granted" or (answer.occurrence, answer.attempt) in self._granted:
                continue  # published twice, as after a while without an answer
            claimed = True
            self._granted.add((answer.occurrence, answer.attempt))
            seconds, word = plan_of(json.loads(bytes(answer.payload)), answer.attempt)
            if answer.timeout is not None and seconds > answer.timeout:
                seconds, word = answer.timeout, "timeout"
            self._running[dispatch.occurrence] = Running(answer, self._now + timedelta(seconds=seconds), word)
        return claimed

    async def _end(self) -> bool:
        told = {
            row["id"] for row in await self._db.pool.fetch("select id from occurrence where state = 'cancelling'")
        } & self._running.keys()
        ended = [(id_, run) for id_, run in self._running.items() if run.ends_at <= self._now or id_ in told]
        for id_, run in sorted(ended, key=lambda each: (each[1].ends_at, each[0])):
            del self._running[id_]
            answer = run.answer
            if id_ in told:
                await self._control.report(self._worker, finished(answer, "cancelled", duration=_LONG))
            elif run.word == "ok":
                await self._control.report(self._worker, finished(answer, result=b'{"n":%d}' % answer.attempt, duration=_LONG))
            elif run.word == "timeout":
                error = JobError(type="TimeoutError", message=f"did not end within its timeout of {answer.timeout:g} s")
                await self._control.report(self._worker, finished(answer, "timed_out", error=error, duration=_LONG))
            else:
                outcome, kind, more = _ERRORS[run.word]
                error = JobError(type=kind, message="as planned")
                await self._control.report(self._worker, finished(answer, outcome, error=error, duration=_LONG, **more))
        return bool(ended)

    async def _reap(self) -> None:
        self._lost_at = None
        await self._db.pool.execute("update worker set lease_until = $1 where id <> $2", self._now - timedelta(1), self._worker)
        await self._reaper.run_once()

    async def _next(self) -> datetime | None:
        times = [run.ends_at for run in self._running.values()]
        times += [self._lost_at] if self._lost_at else []
        if self._dispatching:
            row = await self._db.pool.fetchrow(
                """select (select min(next_fire_at) from job), (select min(retry_at) from occurrence where state = 'retrying'),
                (select min(scheduled_for) from occurrence where state = 'scheduled'),
                (select min(ring_at) from occurrence where state = 'pending' and rings = 0)"""
            )
            assert row is not None
            times += [at for at in row.values() if at is not None]
        return min(times, default=None)

    async def _do(self, step: Step) -> None:
        job, given = self._ids.get(step.job, 0), dict(step.given)
        payload = given.pop("payload", None)
        text = None if payload is None else json.dumps(payload)
        match step.what:
            case "trigger" if "delay" in given:
                await schedule_runs(self._db, [Wanted(job=job, payload=text, **given)], actor="test")
            case "trigger":
                body = None if text is None else text.encode()
                await commands.trigger_job(self._db, job, payload=body, actor="test", **given)
            case "cancel":
                with contextlib.suppress(Conflict, NotFound):
                    await commands.cancel_occurrence(self._db, await self._latest(job), reason="as planned", actor="test")
            case "requeue":
                body = None if text is None else text.encode()
                with contextlib.suppress(Conflict, NotFound):
                    await commands.requeue_occurrence(self._db, await self._latest(job), payload=body, actor="test")
            case "pause":
                await job_changes.pause_job(self._db, job, reason="as planned", actor="test")
            case "resume":
                await job_changes.resume_job(self._db, job, actor="test")
            case "down":
                self._dispatching = False
            case "up":
                self._dispatching = True
            case "kill":
                self._running.clear()
                self._lost_at = self._now + timedelta(seconds=LEASE)
                self._worker = await self._control.worker()
            case _:
                raise AssertionError(step.what)

    async def _latest(self, job: int) -> int:
        found: int | None = await self._db.pool.fetchval("select max(id) from occurrence where job_id = $1", job)
        return found or 0

    async def _occurrences(self) -> list[Seen]:
        earlier: dict[int, list[str]] = {}
        for row in await self._db.pool.fetch("select occurrence_id, state from attempt order by occurrence_id, attempt"):
            earlier.setdefault(row["occurrence_id"], []).append(row["state"])
        rows = await self._db.pool.fetch("select * from occurrence order by id")
        return [_seen(row, earlier.get(row["id"], [])) for row in rows]

    async def _jobs(self) -> list[SeenJob]:
        rows = await self._db.pool.fetch("select * from job order by id")
        return [
            SeenJob(r["name"], r["next_fire_at"], r["runs"], r["failures"], r["paused_at"] is not None, r["pause_reason"])
            for r in rows
        ]


def _seen(row: Any, earlier: list[str]) -> Seen:
    attempts = list(earlier)
    if row["attempt"] > len(earlier):
        attempts.append("" if row["state"] in ("running", "cancelling") else row["state"])
        for word in ("lost", "snoozed"):
            # The one that was one too many.
            if row[f"{word}_count"] > earlier.count(word):
                attempts[-1] = word
    error = None if row["error"] is None else json.loads(row["error"])
    return Seen(
        id=row["id"],
        job=row["job_name"],
        scheduled_for=row["scheduled_for"],
        origin=row["origin"],
        state=row["state"],
        reason=row["reason"],
        blocker=row["blocker_id"],
        attempts=tuple(attempts),
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        retry_at=row["retry_at"],
        error=None if error is None else (error["type"], error["message"]),
        result=None if row["result"] is None else json.loads(row["result"]),
        key=row["concurrency_key"],
        priority=row["priority"],
        missed=None if row["missed_count"] is None else (row["missed_count"], row["missed_until"]),
        requeue_of=row["requeue_of"],
    )
