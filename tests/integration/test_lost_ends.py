"""Ends of runs that got lost on their way, and the ones that are only late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from functools import partial

import pytest

from leveret_core.broker.base import Backlog
from leveret_core.messages import Answer, Ask, Heartbeat
from leveret_core.store.commands.occurrences import trigger_job
from leveret_core.store.database import Database
from leveret_dispatcher.ends.progress_report import ProgressReport
from leveret_dispatcher.upkeep.reconciler import Reconciler
from support.control import Control, finished


@pytest.fixture
async def control(database_url: str) -> AsyncGenerator[Control]:
    database = Database(database_url, pool_size=5)
    await database.start()
    made = Control(database)
    yield made
    violations = await made.violations()
    await database.stop()
    assert violations == []


class Watched:
    """A reconciler without a grace, the ingestors beside it, and the queue of events as the test says it is."""

    def __init__(self, control: Control, reconciler: Reconciler) -> None:
        self.control = control
        self.reconciler = reconciler
        self.backlog = Backlog(0, 1)
        self.behind: list[float | None] = [0.0]
        self.reports: list[ProgressReport] = []

    async def beat(self, worker: str, *holding: Answer) -> None:
        """A heartbeat that names these, after enough time for the attempts to be older than it."""
        named = [Ask(answer.occurrence, answer.attempt) for answer in holding]
        await self.control.desk.answer([Heartbeat(worker=worker, running=len(named), holding=named)])

    async def look(self) -> int:
        """All that happens in some seconds: ingestors report twice, and the reconciler looks."""
        while len(self.reports) < len(self.behind):
            self.reports.append(ProgressReport(self.control.db, partial(self._behind, len(self.reports)), 1))
        ended = 0
        for _ in range(6):
            ended += await self.reconciler.run_once()
            await self.control.db.pool.execute("update ingestor set current_at = current_at - interval '1 hour'")
            for report in self.reports:
                await report.run_once()
            # What happened before now was long ago: the margin is over.
            await self.control.db.pool.execute("update ingestor set current_at = current_at + interval '3 seconds'")
        return ended

    def _behind(self, number: int) -> float | None:
        return self.behind[number]


@pytest.fixture
async def watched(control: Control) -> Watched:
    term = await control.term()

    async def backlog() -> Backlog:
        return made.backlog

    made = Watched(control, Reconciler(term, grace=0, backlog=backlog, changed=lambda _: None))
    return made


async def claimed(control: Control, worker: str) -> Answer:
    job = await control.job(f"job-{datetime.now(UTC).timestamp()}")
    return await control.claim(worker, (await trigger_job(control.db, job, actor="test")).occurrence_id)


async def state(control: Control, answer: Answer) -> tuple[str, int]:
    row = await control.row(answer.occurrence)
    return row["state"], row["lost_count"]


async def test_what_a_live_worker_does_not_name_any_more_is_lost_and_tried_again(control: Control, watched: Watched) -> None:
    worker = await control.worker()
    gone, running = await claimed(control, worker), await claimed(control, worker)
    await watched.beat(worker, running)
    assert await watched.look() == 0, "of one heartbeat it is not known whether it knew of the claim"
    await watched.beat(worker, running)
    assert await watched.look() == 1
    assert await state(control, gone) == ("retrying", 1)
    assert await state(control, running) == ("running", 0)


async def test_a_worker_that_holds_more_than_it_can_name_is_believed(control: Control, watched: Watched) -> None:
    worker = await control.worker()
    answer = await claimed(control, worker)
    for _ in range(3):
        await control.desk.answer([Heartbeat(worker=worker, running=0, holding=None)])
        assert await watched.look() == 0
    assert await state(control, answer) == ("running", 0)


@pytest.mark.parametrize(
    "why", ["a backlog", "nobody reads", "an ingestor lags", "an ingestor is silent", "an ingestor is cut off"]
)
async def test_an_end_that_may_be_on_its_way_is_waited_for(control: Control, watched: Watched, why: str) -> None:
    match why:
        case "a backlog":
            watched.backlog = Backlog(1, 1)
        case "nobody reads":
            watched.backlog = Backlog(0, 0)
        case "an ingestor lags":
            watched.behind = [3600.0]
        case "an ingestor is silent":
            watched.backlog = Backlog(0, 2)
        case _:
            watched.behind, watched.backlog = [0.0, None], Backlog(0, 2)
    worker = await control.worker()
    answer = await claimed(control, worker)
    for _ in range(3):
        await watched.beat(worker)
        assert await watched.look() == 0
    await control.report(worker, finished(answer))
    assert await state(control, answer) == ("succeeded", 0)


async def test_one_that_is_named_again_was_never_away(control: Control, watched: Watched) -> None:
    worker = await control.worker()
    answer = await claimed(control, worker)
    await watched.beat(worker)
    await watched.look()
    await watched.beat(worker, answer)
    await watched.look()
    await watched.beat(worker)
    assert await watched.look() == 0
    await asyncio.sleep(0)
    assert await state(control, answer) == ("running", 0)


async def test_what_began_within_the_grace_is_not_asked_for(control: Control) -> None:
    worker = await control.worker()
    answer = await claimed(control, worker)
    await control.desk.answer([Heartbeat(worker=worker, running=0, holding=[])])
    assert await control.db.fetch("attempts/unnamed", 60.0, 10) == [], "it may be on its way to the worker"
    await control.db.pool.execute("update occurrence set started_at = started_at - interval '61 seconds'")
    assert [row["id"] for row in await control.db.fetch("attempts/unnamed", 60.0, 10)] == [answer.occurrence]


async def one_round(watched: Watched) -> int:
    """The queue is seen empty, and all ingestors are up to date after that: once."""
    ended = await watched.reconciler.run_once()
    await watched.control.db.pool.execute("delete from ingestor")
    await watched.control.db.pool.execute("insert into ingestor values (gen_random_uuid(), now() + interval '3 seconds')")
    return ended + await watched.reconciler.run_once()


async def test_an_ingestor_that_gave_back_what_it_had_in_between_is_waited_for(control: Control, watched: Watched) -> None:
    worker = await control.worker()
    answer = await claimed(control, worker)
    await watched.beat(worker)
    await watched.reconciler.run_once()
    await watched.beat(worker)
    assert await one_round(watched) == 0
    watched.backlog = Backlog(1, 1)
    assert await one_round(watched) == 0
    await control.report(worker, finished(answer))
    assert await state(control, answer) == ("succeeded", 0)


async def test_one_that_was_named_in_between_begins_anew(control: Control, watched: Watched) -> None:
    worker = await control.worker()
    answer = await claimed(control, worker)
    await watched.beat(worker)
    await watched.reconciler.run_once()
    await watched.beat(worker)
    assert await one_round(watched) == 0
    await watched.beat(worker, answer)
    await watched.reconciler.run_once()
    await watched.beat(worker)
    await watched.reconciler.run_once()
    await watched.beat(worker)
    assert await one_round(watched) == 0, "it is once only that it was not named"
    assert await one_round(watched) == 1
