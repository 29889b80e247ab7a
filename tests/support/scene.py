# pyright: reportPrivateUsage=false
"""Scenes for faults: a state of the tables, arranged past the proxy, and one thing that a loop or a client does through it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from leveret_core import messages
from leveret_core.broker.base import EventMessage
from leveret_core.broker.events_feed import Arrived, EventsFeed
from leveret_core.messages import Answer, Event
from leveret_core.store.commands.occurrences import trigger_job
from leveret_core.store.database import Database
from leveret_core.store.errors import is_unavailable
from leveret_core.supervision import Steps
from leveret_dispatcher.dispatcher import Dispatcher
from leveret_dispatcher.leadership.term import Term, boottime
from leveret_dispatcher.loops import STEP_LIMIT, Errand, Loop
from support.control import Control
from support.moved_clock import move_clock

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
EVERY_MINUTE = {"kind": "interval", "every": 60, "start_at": "2026-01-01T00:00:00Z"}

MINUTE = timedelta(minutes=1)
RETRY = {"max_attempts": 3, "delay": 0, "factor": 1, "max_delay": 1, "max_lost": 3}

T = TypeVar("T")
Act = Callable[[], Awaitable[object]]
Arrange = Callable[["Stage"], Awaitable[Act]]

LOOPS: dict[str, Arrange] = {}
COMMANDS: dict[str, Arrange] = {}


def loop(arrange: Arrange) -> Arrange:
    """What a loop of a server does."""
    LOOPS[arrange.__name__] = arrange
    return arrange


def command(arrange: Arrange) -> Arrange:
    """What a client asks for; one that is told 503 asks again."""
    COMMANDS[arrange.__name__] = arrange
    return arrange


class Stage:
    """A database whose clock stands still, reached twice.

    Attributes:
        here: past the proxy, to arrange and to look.
        there: through the proxy.
        dispatcher: keeps loops going as in a server; its services are made by `there`.
        term: of `there`.
    """

    def __init__(self, here: Control, there: Control, term: Term) -> None:
        self.here = here
        self.there = there
        self.term = term
        self.dispatcher = Dispatcher(there.settings, term, there.exchange, there.hints)
        self.now = BEGIN

    @classmethod
    async def set(cls, here: Database, there: Database) -> Stage:
        """Empty all tables, and begin a term."""
        await here.pool.execute(_EMPTY)
        stage = cls(Control(here), Control(there), Term(there, (await Control(here).term()).epoch, boottime() + 600))
        await stage.at(0)
        return stage

    async def at(self, seconds: float) -> None:
        """Let it be so many seconds after the beginning."""
        self.now = BEGIN + timedelta(seconds=seconds)
        await move_clock(self.here.db, self.now)

    async def sql(self, statement: str, *args: object) -> Any:
        """What no code of ours does; returns the first value."""
        return await self.here.db.pool.fetchval(statement, *args)

    async def run(self, job: int, *payloads: object) -> list[int]:
        """Triggered occurrences, one for each payload."""
        bodies = [json.dumps(payload).encode() for payload in payloads or ({},)]
        return [(await trigger_job(self.here.db, job, payload=body, actor="test")).occurrence_id for body in bodies]

    async def claimed(self, worker: str, job: int, *payloads: object) -> list[Answer]:
        """Such that the worker runs."""
        return [await self.here.claim(worker, occurrence) for occurrence in await self.run(job, *payloads)]

    # As servers do it

    async def loops(self, name: str, run_once: Callable[[], Awaitable[float | None]], limit: int = 20) -> None:
        """A loop of the dispatcher until it rests."""
        for _ in range(limit):
            pause = await Loop(name, run_once, Steps(name, STEP_LIMIT), self.term.check).once()
            if pause is None or pause > 0:
                return

    async def tidies(self, name: str, run_once: Callable[[], Awaitable[object]]) -> None:
        """An entry of the dispatcher's timetable until it has come to its end once."""
        done = asyncio.Event()

        async def once() -> None:
            await run_once()
            done.set()

        errand = Errand(name, once, 1.0, Steps(name, STEP_LIMIT))
        for _ in range(5):
            await errand.run_once()
            if done.is_set():
                return
        raise AssertionError(f"{name} does not come on")

    async def asks(self, *requests: messages.Request) -> list[messages.Reply]:
        """A worker, which asks again when no answer comes."""
        for _ in range(5):
            replies = await self.there.desk.answer(list(requests))
            if None not in replies:
                return [reply for reply in replies if reply is not None]
        raise AssertionError("there is no answer")

    async def reports(self, worker: str, *events: Event) -> None:
        """A worker's events, brought by the feed."""
        await self.brings(messages.encode(messages.Events(worker=worker, events=list(events))))

    async def brings(self, *bodies: bytes) -> None:
        """The feed brings messages, until all are acknowledged."""
        acked = [asyncio.Event() for _ in bodies]

        async def ack(event: asyncio.Event) -> None:
            event.set()

        feed = EventsFeed(self.there.ingestor.ingest)
        for body, event in zip(bodies, acked, strict=True):
            feed.inbox.put(Arrived(EventMessage(body, partial(ack, event)), lambda: False))
        task = asyncio.create_task(feed.run())
        try:
            async with asyncio.timeout(10):
                await asyncio.gather(*(event.wait() for event in acked))
        finally:
            feed.stop()
            await task

    async def client(self, command: Callable[[], Awaitable[T]]) -> T:
        """A client's command, again when the server would say 503."""
        for _ in range(5):
            try:
                return await command()
            except Exception as error:
                if not is_unavailable(error):
                    raise
        raise AssertionError("it is told to try again for ever")

    async def picture(self) -> dict[str, list[str]]:
        """What must be the same whatever broke on the way. Without ids, rings and tokens: they may be spent in vain."""
        rows = {what: await self.here.db.pool.fetch(statement) for what, statement in _PICTURE.items()}
        return {what: sorted(str(tuple(row)) for row in found) for what, found in rows.items()}


async def every_kind_of_run(stage: Stage, worker: str) -> None:
    """Runs of a worker whose ends make others begin, be tried again, fail for good, and pause their job."""
    queue = await stage.here.job("queue", concurrency="queue", retry=RETRY | {"max_lost": 1, "max_attempts": 1})
    await stage.claimed(worker, queue, {})
    await stage.run(queue)
    again = await stage.here.job("again", retry=RETRY, timeout=5)
    await stage.claimed(worker, again)
    last = await stage.here.job("last", disable_after=1, retry=RETRY | {"max_lost": 1, "max_attempts": 1}, timeout=5)
    await stage.claimed(worker, last)


# Not by truncate, which makes a file for each index.
_EMPTY = """
do $$
declare name text;
begin
    set local session_replication_role = replica;
    for name in
        select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace
            and relname not in ('term', 'leveret_migration', 'occurrence_transition')
    loop
        execute format('delete from %I', name);
    end loop;
    update term set epoch = 0, lease_until = '-infinity', progress_at = null;
    insert into dispatcher_finding (name) values ('dispatcher');
end $$
"""
_PICTURE = {
    "occurrences": """select job_name, origin, state::text, attempt, lost_count, released_count, snoozed_count, resolution,
        regexp_replace(concurrency_key, 'backfill:[0-9]+', 'backfill'), idempotency_key, missed_count,
        payload::text, checkpoint::text, progress::text, error ->> 'type',
        case when origin in ('schedule', 'backfill') then scheduled_for end, retry_at is null, worker_id is null,
        regexp_replace(reason, '[0-9]+', '#', 'g'), requeue_of is null, blocker_id is null, ring_at = 'infinity'
        from occurrence""",
    "jobs": """select name, type, trigger::text, concurrency, concurrency_key, next_fire_at, last_fire_at,
        paused_at is null, regexp_replace(pause_reason, '[0-9]+', '#', 'g'),
        failures, runs, version, deleted_at is null, declaration, former_declarations, missed_id is null from job""",
    "slots": """select j.name, regexp_replace(s.key, 'backfill:[0-9]+', 'backfill'), s.n
        from slot s join job j on j.id = s.job_id""",
    "attempts": "select o.job_name, a.attempt, a.state from attempt a join occurrence o on o.id = a.occurrence_id",
    "logs": "select o.job_name, l.attempt, l.seq, l.message from occurrence_log l join occurrence o on o.id = l.occurrence_id",
    "workers": "select name, state, running, declarations, cardinality(holding), lease_until from worker",
    "backfills": "select job_name, state, created, reached, reason from backfill",
    "dead events": "select kind, reason from dead_event",
    "limits": "select type, count, per from rate_limit",
    "key limits": "select type, key, count, per from rate_limit_by_key",
    "buckets": "select type, key from rate_bucket",
    "rate limit queues": "select type, key, priority, told from rate_line",
    "audit": "select action from audit",
    "findings": "select ownerless, clock_set_back, failing from dispatcher_finding",
}
