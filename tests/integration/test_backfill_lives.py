"""Random lives of a job with backfills: whatever else happens to it, its rules hold, and each fire time is dealt with once."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leveret_core.errors import Conflict
from leveret_core.messages import Answer
from leveret_core.states import State
from leveret_core.store.backfills.commands import Wanted, cancel_backfill, get_backfill, start_backfill
from leveret_core.store.commands.occurrences import cancel_occurrence, requeue_occurrence, trigger_job
from leveret_core.store.database import Database
from leveret_core.store.dead_letters.commands import DeadLetterFilter, requeue_dead_letters
from leveret_core.store.jobs.changes import edit_job
from support.control import LONG_AGO, Control, finished

FIRST = datetime(2026, 2, 1, tzinfo=UTC)
HOURS = 60
STEPS = 120
SEEDS = 100 if os.environ.get("LEVERET_EXHAUSTIVE") == "1" else 3


@pytest.fixture
async def control(database_url: str) -> AsyncGenerator[Control]:
    database = Database(database_url, pool_size=10)
    await database.start()
    yield Control(database)
    await database.stop()


class Life:
    """A job, its backfills, and everything that may happen to them."""

    def __init__(self, control: Control, seed: int) -> None:
        self.control = control
        self.db = control.db
        self.random = random.Random(seed)
        self.backfills: list[int] = []

    async def begin(self) -> None:
        every_hour = {"kind": "interval", "every": 3600, "start_at": LONG_AGO.isoformat()}
        policy = self.random.choice(["skip", "queue", "allow", "replace"])
        self.job = await self.control.job(trigger=every_hour, concurrency=policy, next_fire_at=datetime.now(UTC))
        self.worker = await self.control.worker()
        await self.new_term()

    async def new_term(self) -> None:
        term = await self.control.term()
        self.backfiller = self.control.backfiller(term, ahead=self.random.randint(1, 30))
        self.scheduler, self.retrier = self.control.scheduler(term), self.control.retrier(term)

    async def start(self) -> None:
        begin = self.random.randrange(HOURS)
        length = self.random.randint(1, HOURS)
        wanted = Wanted(
            start_at=(FIRST + timedelta(hours=begin)).isoformat(),
            end_at=(FIRST + timedelta(hours=begin + length, minutes=-1)).isoformat(),
            concurrency=self.random.choice(["queue", "queue", "skip", "allow"]),
            max_concurrent=self.random.randint(1, 3),
        )
        try:
            self.backfills.append(await start_backfill(self.db, self.job, wanted, limit=1000, actor="test"))
        except Conflict:
            return

    async def step(self) -> None:
        await self.backfiller.run_once()

    async def tick(self) -> None:
        await self.db.pool.execute("update job set next_fire_at = now() where id = $1", self.job)
        await self.scheduler.run_once()

    async def trigger(self) -> None:
        await trigger_job(self.db, self.job, actor="test")

    async def edit(self) -> None:
        changes: dict[str, Any] = self.random.choice(
            [
                {"concurrency": self.random.choice(["skip", "queue", "allow", "replace"])},
                {"max_concurrent": self.random.randint(1, 3)},
                {"concurrency_key": self.random.choice([None, "a"])},
            ]
        )
        await edit_job(self.db, self.job, changes, actor="test", version=None, payload_limit=1000)

    async def run(self) -> None:
        for row in await self.some("pending", 5):
            answer = await self.control.claim(self.worker, row["id"], row["attempt"] + 1)
            if self.random.random() < 0.8:
                outcome = self.random.choice(["succeeded", "succeeded", "succeeded", "failed", "timed_out", "released"])
                await self.control.report(self.worker, finished(answer, outcome))

    async def finish(self) -> None:
        for row in await self.db.pool.fetch(
            "select id, attempt, claim_token, state::text from occurrence where state in ('running', 'cancelling')"
        ):
            granted = Answer(occurrence=row["id"], attempt=row["attempt"], status="granted", token=str(row["claim_token"]))
            outcome = "cancelled" if row["state"] == "cancelling" else "succeeded"
            await self.control.report(self.worker, finished(granted, outcome))

    async def retry(self) -> None:
        await self.retrier.run_once()

    async def cancel(self) -> None:
        for row in await self.some(self.random.choice(["waiting", "pending", "running", "retrying"]), 1):
            await cancel_occurrence(self.db, row["id"], reason="", actor="test")

    async def cancel_backfill(self) -> None:
        if self.backfills and self.random.random() < 0.2:
            running = self.random.random() < 0.5
            try:
                await cancel_backfill(self.db, self.random.choice(self.backfills), running=running, reason=None, actor="test")
            except Conflict:
                return

    async def requeue(self) -> None:
        for row in await self.some("failed", 1):
            await requeue_occurrence(self.db, row["id"], actor="test")
        await requeue_dead_letters(self.db, DeadLetterFilter(), limit=3, edit=lambda old: old, actor="test")

    async def some(self, state: str, count: int) -> list[Any]:
        return await self.db.pool.fetch(
            "select id, attempt from occurrence where state = $1::text::occurrence_state order by random() limit $2",
            state,
            count,
        )

    async def end(self) -> None:
        """Let everything come to its end."""
        for _ in range(400):
            pause = await self.backfiller.run_once()
            await self.finish()
            await self.db.pool.execute("update occurrence set retry_at = now() where state = 'retrying'")
            await self.retrier.run_once()
            pending = await self.some("pending", 100)
            for row in pending:
                answer = await self.control.claim(self.worker, row["id"], row["attempt"] + 1)
                await self.control.report(self.worker, finished(answer))
            if pause is None and not pending:
                return
        raise AssertionError("it does not come to an end")


async def broken(control: Control) -> list[str]:
    """What must never be true. The queue of a job just edited may be another than its concurrency policy would make."""
    violations = await control.violations()
    found = [each for each in violations if not each.startswith("more slots of a key") and "under replace" not in each]
    crowded = await control.db.pool.fetch(
        """select b.id from backfill b join slot s on s.job_id = b.job_id and s.key = 'backfill:' || b.id
           group by b.id having count(*) > b.max_concurrent"""
    )
    return found + [f"backfill {row['id']} has more slots than places" for row in crowded]


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_rules_hold_at_every_step_and_each_fire_time_is_dealt_with_once(control: Control, seed: int) -> None:
    life = Life(control, seed)
    await life.begin()
    await life.start()
    moves = [life.step] * 6 + [life.run] * 5 + [life.finish] * 3 + [life.start, life.tick, life.trigger, life.edit] * 2
    moves += [life.retry, life.cancel, life.cancel_backfill, life.requeue, life.new_term]
    done: list[str] = []
    for _ in range(STEPS):
        move = life.random.choice(moves)
        done.append(move.__name__)
        await move()
        assert await broken(control) == [], (seed, done)
    await life.end()
    assert await broken(control) == []
    for backfill in life.backfills:
        row = await get_backfill(control.db, backfill)
        made = await control.db.pool.fetchval("select count(*) from occurrence where backfill_id = $1", backfill)
        assert made == row.created
        if row.state == "completed":
            assert row.created + row.existing == row.total, (seed, done)
        else:
            assert row.state == "cancelled"
    states = {
        State(row["state"]) for row in await control.db.pool.fetch("select distinct state::text as state from occurrence")
    }
    assert State.WAITING not in states
    assert State.PENDING not in states


async def test_claims_and_the_cancel_of_a_backfill_meet(control: Control) -> None:
    """Each occurrence either runs or is cancelled, whoever comes first; nobody waits for ever."""
    life = Life(control, 0)
    await life.begin()
    for round_ in range(3):
        start = FIRST + timedelta(days=30 * round_)
        wanted = Wanted(start_at=start.isoformat(), end_at=(start + timedelta(hours=59)).isoformat(), concurrency="allow")
        backfill = await start_backfill(control.db, life.job, wanted, limit=100, actor="test")
        await control.backfiller(await control.term(), ahead=1000).run_once()
        rows = await control.db.pool.fetch("select id from occurrence where backfill_id = $1 order by random()", backfill)
        assert len(rows) == 60
        claims = [asyncio.create_task(control.claim(life.worker, row["id"])) for row in rows]
        await asyncio.sleep(0.01 * round_)
        await cancel_backfill(control.db, backfill, running=True, reason=None, actor="test")
        answers = await asyncio.gather(*claims)
        granted = {answer.occurrence for answer in answers if answer.status == "granted"}
        found = await control.db.pool.fetch("select id, state::text from occurrence where backfill_id = $1", backfill)
        states = {row["id"]: row["state"] for row in found}
        assert {id_ for id_, state in states.items() if state in ("running", "cancelling")} == granted
        assert {state for id_, state in states.items() if id_ not in granted} <= {"cancelled"}
        await life.finish()
