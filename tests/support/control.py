"""A control plane taken apart: claim desk, ingestor and one term's services on a real database, called step by step."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from leveret_core import messages
from leveret_core.broker.base import Backlog, EventMessage, Published
from leveret_core.hints import Hint, Hints
from leveret_core.messages import Answer, Ask, Claim, Claimed, DispatchMessage, Event, Finished, HandlerInfo, Hello
from leveret_core.settings import Settings
from leveret_core.store.database import Database
from leveret_core.store.occurrences.creation import Created
from leveret_core.store.term.fence import NAME
from leveret_dispatcher.claims.claim_desk import ClaimDesk
from leveret_dispatcher.dispatch.publisher import Publisher
from leveret_dispatcher.dispatch.retrier import Retrier
from leveret_dispatcher.ends.ingestor import Ingestor
from leveret_dispatcher.leadership.term import Term, boottime
from leveret_dispatcher.schedule.admitter import Admitter
from leveret_dispatcher.schedule.backfiller import Backfiller
from leveret_dispatcher.schedule.clock import ClockWatch
from leveret_dispatcher.schedule.scheduler import Scheduler
from leveret_dispatcher.upkeep.liveness import LivenessChecker
from leveret_dispatcher.upkeep.reaper import Reaper

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Exchange:
    """Where dispatch messages of the term under test go: a list. The adapters have contract tests of their own."""

    connected: bool = True
    outcome: Published = Published.CONFIRMED
    backlog: Backlog = field(default_factory=lambda: Backlog(0, 1))
    published: list[DispatchMessage] = field(default_factory=list[DispatchMessage])

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def serve_claims(self, desk: object, refused: object = None) -> None: ...
    async def consume_events(self, ingest: object) -> None: ...

    @property
    def events_behind(self) -> float | None:
        return 0.0

    async def events_backlog(self) -> Backlog:
        return self.backlog

    async def tell_workers(self, word: object) -> None: ...

    async def publish(self, dispatches: Sequence[DispatchMessage]) -> list[Published]:
        self.published.extend(dispatches)
        return [self.outcome] * len(dispatches)


class Control:
    """The parts, wired by hand."""

    def __init__(self, database: Database) -> None:
        self.db = database
        self.settings = Settings(database_url=database.url, lease=20, heartbeat=5)
        self.hints = Hints(None)
        self.sent: list[Hint] = []
        self.hints.subscribe(self.sent.append)
        self.desk = ClaimDesk(self.settings, database, self.hints)
        self.ingestor = Ingestor(self.settings, database, self.hints)
        self.exchange = Exchange()
        self.created: list[Created] = []

    async def term(self) -> Term:
        """A new term: raises the epoch."""
        epoch = await self.db.fetchval("term/raise_epoch", NAME, uuid.uuid4(), "test", 60.0)
        return Term(self.db, epoch, boottime() + 3600)

    def publisher(
        self, term: Term, window: int = 1000, answer_timeout: float = 60, count_every: tuple[float, float] = (0, 0)
    ) -> Publisher:
        """One that counts at each look, unless it is said otherwise: these tests claim in ways that no desk tells of."""
        return Publisher(
            term, self.exchange, window=window, answer_timeout=answer_timeout, unroutable_retry=5, count_every=count_every
        )

    def scheduler(self, term: Term, batch: int = 500) -> Scheduler:
        return Scheduler(
            term,
            batch=batch,
            answer_timeout=60,
            room=lambda _: 1000,
            publish=self.exchange.published.extend,
            changed=self.created.extend,
            patience=0,
        )

    def admitter(self, term: Term, batch: int = 500, room: int = 1000) -> Admitter:
        return Admitter(
            term,
            batch=batch,
            answer_timeout=60,
            room=lambda _: room,
            publish=self.exchange.published.extend,
            changed=self.created.extend,
        )

    def reaper(self, term: Term, lease: float = 0.0) -> Reaper:
        return Reaper(term, lease=lease, grace=0, reachable=lambda: True, changed=lambda _: None)

    def liveness(self, term: Term, *, reachable: bool = True, unnamed: float = 60) -> LivenessChecker:
        return LivenessChecker(term, lease=0, grace=0, unnamed=unnamed, reachable=lambda: reachable, changed=lambda _: None)

    def clock(self, term: Term) -> ClockWatch:
        return ClockWatch(term, answer_timeout=60, changed=lambda _: None)

    def backfiller(self, term: Term, ahead: int = 20) -> Backfiller:
        return Backfiller(term, ahead=ahead, changed=self.created.extend, finished=lambda _, __: None)

    def retrier(self, term: Term) -> Retrier:
        return Retrier(term, lambda _: None)

    async def job(self, name: str = "job", **columns: Any) -> int:
        """Insert a job; `trigger`, `retry` and `payload` are given as objects."""
        row: dict[str, Any] = {
            "name": name,
            "type": "test.job",
            "trigger": {"kind": "manual"},
            "retry": {"max_attempts": 2, "delay": 0, "max_lost": 2},
            "payload": {},
        }
        row |= columns
        names = list(row)
        values = [json.dumps(v) if n in ("trigger", "retry", "payload") else v for n, v in row.items()]
        places = [f"${i}::text::jsonb" if n in ("trigger", "retry", "payload") else f"${i}" for i, n in enumerate(names, 1)]
        statement = f"insert into job ({', '.join(names)}) values ({', '.join(places)}) returning id"
        return int(await self.db.pool.fetchval(statement, *values))

    async def worker(self) -> str:
        """A worker that has said hello."""
        worker = str(uuid.uuid4())
        handlers = [HandlerInfo(pattern="#", concurrency=10)]
        hello = Hello(worker=worker, name="w", host="h", pid=1, sdk="test", concurrency=10, handlers=handlers)
        (reply,) = await self.desk.answer([hello])
        assert isinstance(reply, messages.Welcome)
        return worker

    async def claim(self, worker: str, occurrence: int, attempt: int = 1) -> Answer:
        """The desk's answer to one ask."""
        (reply,) = await self.desk.answer([Claim(worker=worker, asks=[Ask(occurrence, attempt)])])
        assert isinstance(reply, Claimed), reply
        return reply.answers[0]

    async def claims(self, worker: str, occurrences: Sequence[int]) -> list[Answer]:
        """The desk's answers to one claim of the first attempts of all these."""
        (reply,) = await self.desk.answer([Claim(worker=worker, asks=[Ask(occurrence, 1) for occurrence in occurrences])])
        assert isinstance(reply, Claimed), reply
        return reply.answers

    async def report(self, worker: str, *events: Event) -> None:
        """Ingest one batch of events."""
        await self.ingest(messages.encode(messages.Events(worker=worker, events=list(events))))

    async def ingest(self, *bodies: bytes) -> int:
        """Ingest message bodies; returns how many were acknowledged."""
        acked: list[bytes] = []

        def message(body: bytes) -> EventMessage:
            async def ack() -> None:
                acked.append(body)

            return EventMessage(body, ack)

        await self.ingestor.ingest([message(body) for body in bodies])
        return len(acked)

    async def row(self, occurrence: int) -> dict[str, Any]:
        found = await self.db.pool.fetchrow("select * from occurrence where id = $1", occurrence)
        assert found is not None
        return dict(found)

    async def states(self, job: int) -> list[str]:
        """States of a job's occurrences in the order they were planned for."""
        rows = await self.db.pool.fetch("select state from occurrence where job_id = $1 order by scheduled_for, id", job)
        return [row["state"] for row in rows]

    async def violations(self) -> list[str]:
        """What must never be true of the tables, at any moment."""
        checks = {
            "a final occurrence holds a slot": """select s.occurrence_id from slot s join occurrence o on o.id = s.occurrence_id
                where o.state in ('succeeded', 'failed', 'timed_out', 'cancelled', 'skipped', 'missed', 'waiting')""",
            "a live occurrence of a limited job has no slot": """select o.id from occurrence o join job j on j.id = o.job_id
                left join backfill b on b.id = o.backfill_id
                where coalesce(b.concurrency, j.concurrency) <> 'allow'
                and o.state in ('pending', 'running', 'cancelling', 'retrying')
                and not exists (select from slot s where s.occurrence_id = o.id)""",
            "more slots of a key than max_concurrent": """select j.id from job j join slot s on s.job_id = j.id
                left join backfill b on s.key = 'backfill:' || b.id
                group by j.id, s.key having count(*) > coalesce(min(b.max_concurrent), j.max_concurrent)""",
            "a slot of another job or key than its occurrence": """select o.id from slot s join occurrence o
                on o.id = s.occurrence_id where s.job_id <> o.job_id or s.key <> o.concurrency_key""",
            "an occurrence waits although a slot is free": """select o.id from job j join occurrence o on o.job_id = j.id
                left join backfill b on b.id = o.backfill_id
                where o.state = 'waiting' and (coalesce(b.concurrency, j.concurrency) = 'allow'
                    or coalesce(b.max_concurrent, j.max_concurrent) >
                    (select count(*) from slot s where s.job_id = j.id and s.key = o.concurrency_key))""",
            "two wait under replace": """select min(o.id) from job j join occurrence o on o.job_id = j.id
                where j.concurrency = 'replace' and o.state = 'waiting' and o.backfill_id is null
                group by j.id, o.concurrency_key having count(*) > 1""",
            "none makes room under replace": """select o.id from job j join occurrence o on o.job_id = j.id
                where j.concurrency = 'replace' and o.state = 'waiting' and o.backfill_id is null and not exists (
                    select from slot s join occurrence h on h.id = s.occurrence_id
                    where s.job_id = j.id and s.key = o.concurrency_key and h.state = 'cancelling')""",
            "running without a worker or token": """select id from occurrence
                where state in ('running', 'cancelling') and (worker_id is null or claim_token is null)""",
            "what is planned for later was told to workers": """select id from occurrence where state = 'scheduled'
                and (ring_at is not null or rings > 0 or attempt > 0 or finished_at is not null
                     or id in (select occurrence_id from slot))""",
            "final without an end": """select id from occurrence where finished_at is null
                and state in ('succeeded', 'failed', 'timed_out', 'cancelled', 'skipped', 'missed')""",
            "a job went on failing past its limit": """select id from job
                where failures >= disable_after and paused_at is null and deleted_at is null""",
            "it ended before it started": "select id from occurrence where finished_at < started_at",
        }
        # In one statement: the state machine asks after each of its steps.
        asked = " union all ".join(f"select '{name}', v.id from ({check}) as v (id)" for name, check in checks.items())
        found: dict[str, list[int]] = {}
        for name, id_ in await self.db.pool.fetch(asked):
            found.setdefault(name, []).append(id_)
        return [f"{name}: {ids}" for name, ids in found.items()]


def finished(answer: Answer, outcome: str = "succeeded", result: bytes = b"null", **more: Any) -> Finished:
    """The end of a granted attempt; `result` is JSON."""
    fields: dict[str, Any] = {"seq": 9, "duration": 0.0, "result": msgspec.Raw(result)} | more
    return Finished(
        occurrence=answer.occurrence,
        attempt=answer.attempt,
        token=answer.token,
        outcome=outcome,  # type: ignore[arg-type]
        **fields,
    )
