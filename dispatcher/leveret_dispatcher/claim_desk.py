"""Answers workers: who may run what. Every server process serves it; Postgres alone decides."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from itertools import islice

import asyncpg
import msgspec
from msgspec import UNSET

from leveret_core import messages
from leveret_core.failpoints import reach
from leveret_core.hints import Hint, Hints
from leveret_core.messages import (
    Alive,
    Answer,
    Ask,
    Bye,
    Claim,
    Claimed,
    Declare,
    Goodbye,
    Heartbeat,
    Hello,
    MarredClaim,
    Refused,
    Unknown,
    Welcome,
)
from leveret_core.payload_schema import schema_problems
from leveret_core.retry import RetryPolicy
from leveret_core.settings import Settings
from leveret_core.store.database import Database, columns, sql
from leveret_core.store.declarations import declare_jobs
from leveret_core.store.errors import is_unavailable
from leveret_dispatcher.settlement import Ending, settle

log = logging.getLogger(__name__)

_decode_policy = msgspec.json.Decoder(RetryPolicy).decode
_MAX_TOLD = 20
"""Parts of a worker's schemas that are told in the log."""
_GONE = "this worker is not known, or was declared lost"


class ClaimDesk:
    """Answers hello, declare, claim, heartbeat and goodbye.

    Args:
        settings: lease and heartbeat.
        database: the authority.
        hints: told when workers come and go, or something becomes pending again.
    """

    def __init__(self, settings: Settings, database: Database, hints: Hints) -> None:
        self._settings = settings
        self._db = database
        self._hints = hints
        self._server = version("leveret")
        self._declaring = asyncio.Lock()

    async def answer(self, requests: Sequence[messages.Request]) -> list[messages.Reply | None]:
        """Replies in the order of `requests`; None where Postgres could not be asked: the worker asks again."""
        replies: list[messages.Reply | None] = [None] * len(requests)
        claims = [(i, r) for i, r in enumerate(requests) if isinstance(r, Claim)]
        beats = [(i, r) for i, r in enumerate(requests) if isinstance(r, Heartbeat)]
        others = [(i, r) for i, r in enumerate(requests) if isinstance(r, Hello | Declare | Goodbye)]

        async def single(index: int, request: Hello | Declare | Goodbye) -> None:
            match request:
                case Hello():
                    replies[index] = await self._hello(request)
                case Declare():
                    replies[index] = await self._declare(request)
                case Goodbye():
                    replies[index] = await self._goodbye(request)

        async def many_claims() -> None:
            for (index, _), reply in zip(claims, await self._claims([r for _, r in claims]), strict=True):
                replies[index] = reply

        async def many_beats() -> None:
            for (index, _), reply in zip(beats, await self._heartbeats([r for _, r in beats]), strict=True):
                replies[index] = reply

        work = [single(i, r) for i, r in others]
        work += [many_claims()] if claims else []
        work += [many_beats()] if beats else []
        for outcome in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(outcome, Exception) and is_unavailable(outcome):
                log.warning("claim desk: Postgres cannot be asked (%s: %s)", type(outcome).__name__, outcome)
            elif isinstance(outcome, BaseException):
                log.error("claim desk: a request failed", exc_info=outcome)
        return replies

    async def _hello(self, hello: Hello) -> messages.Reply:
        if (worker := _worker_id(hello.worker)) is None:
            return Refused(reason="`worker` must be a UUID, new for each boot")
        for where, problem in await asyncio.to_thread(_unchecked, hello):
            log.warning("claim desk: worker %s (%s): %s %s", hello.name, worker, where, problem)
        handlers = messages.encode(hello.handlers).decode()
        known = await self._db.fetchval(
            "workers/hello",
            worker,
            hello.name,
            hello.host,
            hello.pid,
            hello.sdk,
            hello.concurrency,
            handlers,
            self._settings.lease,
        )
        if known is None:
            return Unknown(reason=_GONE)
        log.info("claim desk: worker %s (%s) serves %s", hello.name, worker, ", ".join(h.pattern for h in hello.handlers))
        self._hints.send(Hint("workers"))
        self._hints.send(Hint("wake"))
        return Welcome(lease=self._settings.lease, heartbeat=self._settings.heartbeat, server=self._server)

    async def _declare(self, declare: Declare) -> messages.Reply:
        if (worker := _worker_id(declare.worker)) is None:
            return Refused(reason="`worker` must be a UUID")
        # One after the other: of workers that boot at once the first changes the jobs, and the others only look.
        async with self._declaring:
            declared, changes = await declare_jobs(
                self._db, worker, declare.jobs, payload_limit=self._settings.payload_limit, actor="code"
            )
        if declared is None:
            return Unknown(reason=_GONE)
        if changed := tuple(change.job_id for change in changes if change.changed):
            log.info("claim desk: worker %s declares %d jobs anew", worker, len(changed))
            self._hints.send(Hint("jobs", changed))
            self._hints.send(Hint("wake"))
        if any(change.moved for change in changes):
            self._hints.send(Hint("occurrences"))
        return declared

    async def _goodbye(self, goodbye: Goodbye) -> messages.Reply:
        if (worker := _worker_id(goodbye.worker)) is None:
            return Refused(reason="`worker` must be a UUID")
        async with self._db.transaction() as connection:
            # First the worker, so that nothing is claimed for it any more, then what it still holds.
            if await connection.fetchval(sql("workers/stop"), worker) is None:
                return Bye(released=0)
            held = [row["id"] for row in await connection.fetch(sql("occurrences/held_by"), [worker])]
            settled = await settle(connection, [Ending(occurrence=id_, outcome="released") for id_ in held])
        log.info("claim desk: worker %s said goodbye and handed back %d", worker, len(held))
        self._hints.send(Hint("workers"))
        if held:
            self._hints.send(Hint("occurrences", tuple(settled.changed)))
            self._hints.send(Hint("wake"))
        return Bye(released=len(held))

    async def _heartbeats(self, beats: Sequence[Heartbeat]) -> list[messages.Reply]:
        ids = {beat.worker: _worker_id(beat.worker) for beat in beats}
        rows = [(ids[b.worker], b.running, b.draining) for b in {b.worker: b for b in beats}.values() if ids[b.worker]]
        renewed = await self._db.fetch("workers/heartbeat", *columns(rows, 3), self._settings.lease)
        alive = {row["id"]: row["drain"] for row in renewed}
        cancel: dict[uuid.UUID, list[Ask]] = {}
        for row in renewed:
            if row["occurrence_id"] is not None:
                cancel.setdefault(row["id"], []).append(Ask(row["occurrence_id"], row["attempt"]))
        return [
            Alive(lease=self._settings.lease, cancel=cancel.get(worker, []), drain=alive[worker])
            if (worker := ids[beat.worker]) is not None and worker in alive
            else Unknown(reason=_GONE)
            for beat in beats
        ]

    async def _claims(self, claims: Sequence[Claim]) -> list[messages.Reply | None]:
        asks = [(worker, a.occurrence, a.attempt) for c in claims if (worker := _worker_id(c.worker)) for a in c.asks]
        asks.sort(key=lambda ask: ask[1])
        history = sorted({id_ for c in claims if c.last_success for id_ in c.last_success})
        succeeded: dict[int, datetime | None] = {}
        async with self._db.connection() as connection:
            given = await connection.fetch(sql("occurrences/claim"), *columns(asks, 3), timeout=5)
            found = {row["id"]: row for row in given}
            known = {row["worker_id"] for row in given}
            others = sorted({ask[1] for ask in asks} - found.keys())
            if others:
                found |= {row["id"]: row for row in await connection.fetch(sql("occurrences/claimed"), others, timeout=5)}
            if history:
                # Only for the handlers that asked for it: the others cost no look at the job's past.
                rows = await connection.fetch(sql("occurrences/last_success"), history, timeout=5)
                succeeded = {row["id"]: row["last_success_at"] for row in rows}
            if unseen := list({ask[0] for ask in asks} - known):
                known |= {row["id"] for row in await connection.fetch(sql("workers/known"), unseen, timeout=5)}
        if given:
            reach("after_claim_commit")
            self._hints.send(Hint("occurrences", tuple(row["id"] for row in given)))
        replies: list[messages.Reply | None] = []
        for claim in claims:
            worker = _worker_id(claim.worker)
            if worker is None or worker not in known:
                replies.append(Unknown(reason=_GONE))
                continue
            answers = [_answer(ask, worker, found.get(ask.occurrence), succeeded.get(ask.occurrence)) for ask in claim.asks]
            # An occurrence that another transaction held just now has no answer yet; the worker asks for it again.
            given_answers = [a for a in answers if a is not None]
            bad = claim.bad if isinstance(claim, MarredClaim) else []
            given_answers += [Answer(occurrence=b.numbers[0], attempt=b.numbers[1], status="stale") for b in bad if b.numbers]
            replies.append(Claimed(answers=given_answers, problems=[b.reason for b in bad]))
        return replies


def _answer(ask: Ask, worker: uuid.UUID, row: asyncpg.Record | None, last_success_at: datetime | None) -> Answer | None:
    """The answer about one attempt, read from its row after the compare-and-set: the same one however often it is asked."""
    if row is None:
        return Answer(occurrence=ask.occurrence, attempt=ask.attempt, status="stale")
    held = row["state"] in ("running", "cancelling") and row["worker_id"] == worker and row["attempt"] == ask.attempt
    if not held:
        if row["state"] == "pending" and row["attempt"] + 1 == ask.attempt:
            return None
        early = row["state"] in ("waiting", "retrying") and row["attempt"] < ask.attempt
        return Answer(occurrence=ask.occurrence, attempt=ask.attempt, status="not_yet" if early else "stale")
    return Answer(
        occurrence=ask.occurrence,
        attempt=ask.attempt,
        status="granted",
        token=str(row["claim_token"]),
        type=row["type"],
        job=row["job_name"],
        job_id=row["job_id"],
        job_version=row["job_version"],
        payload=msgspec.Raw(row["payload"].encode()),
        scheduled_for=row["scheduled_for"],
        timeout=row["timeout"],
        max_attempts=_decode_policy(row["retry"]).max_attempts,
        checkpoint=UNSET if row["checkpoint"] is None else msgspec.Raw(row["checkpoint"].encode()),
        last_success_at=last_success_at,
    )


def _unchecked(hello: Hello) -> list[tuple[str, str]]:
    """What of the announced schemas servers cannot check, so that it is left to the handlers: the handler's field, and why."""
    schemas = [(handler.pattern, handler.schema) for handler in hello.handlers if handler.schema is not None]
    problems = ((pattern, problem) for pattern, schema in schemas for problem in schema_problems(schema))
    return [(f"handler {pattern}: {p.field}", p.message) for pattern, p in islice(problems, _MAX_TOLD)]


def _worker_id(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
