"""Answers workers: who may run what. Every server process serves it; Postgres alone decides."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version
from itertools import islice
from typing import TypeVar

from leveret_core import messages
from leveret_core.errors import InvalidInput
from leveret_core.hints import Hint, Hints
from leveret_core.messages import (
    Alive,
    Ask,
    Bye,
    Claim,
    Declare,
    Goodbye,
    Heartbeat,
    Hello,
    Refused,
    Unknown,
    Unreadable,
    Welcome,
)
from leveret_core.messages.fields import one_line
from leveret_core.payload_schema import schema_problems
from leveret_core.settings import Settings
from leveret_core.store.attempts.ends import Ending, settle
from leveret_core.store.attempts.lost import held_by
from leveret_core.store.database import Database
from leveret_core.store.errors import apply_apart, log_failure
from leveret_core.store.jobs.declarations import declare_jobs
from leveret_core.store.workers.membership import Beat, NewWorker, renew_leases, stop_worker, welcome
from leveret_core.text import clean_json
from leveret_dispatcher.claims.claim_answers import Heard, answer_claims
from leveret_dispatcher.claims.refusals import Refusals
from leveret_dispatcher.claims.standing import Standing, Standings, digest, worker_id

log = logging.getLogger(__name__)

_MAX_TOLD = 20
"""Parts of a worker's schemas that are told in the log."""
_GONE = "this worker is not known, or was declared lost"
_UNKNOWN = "this worker is not known by this `secret`, or was declared lost"
_UNPROVEN = "`secret` is missing: the one that the worker's hello had"
_NO_ID = "`worker` must be a UUID, new for each boot"

R = TypeVar("R", bound=messages.Request)
Answering = Callable[[Sequence[R]], Awaitable[Sequence[messages.Reply | None]]]


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
        self._standings = Standings(database)
        self.refusals = Refusals(database)
        """What workers get wrong."""

    async def answer(self, requests: Sequence[messages.Request]) -> list[messages.Reply | None]:
        """Replies in the order of `requests`; None where Postgres could not be asked: the worker asks again.

        What is wrong with a request costs only that one: it is refused, and noted for the author of its worker.
        """
        replies: list[messages.Reply | None] = [None] * len(requests)

        async def some(kinds: type[R], answer: Answering[R], *, apart: bool = False) -> None:
            found = [(index, request) for index, request in enumerate(requests) if isinstance(request, kinds)]
            groups = [[each] for each in found] if apart else [found] if found else []
            await asyncio.gather(*(fill(group, answer) for group in groups))

        async def fill(group: Sequence[tuple[int, R]], answer: Answering[R]) -> None:
            for (index, _), reply in zip(group, await self._apart([r for _, r in group], answer), strict=True):
                replies[index] = reply

        await asyncio.gather(
            some(Heartbeat, self._heartbeats),
            some(Claim, self._claims),
            some(Hello, self._hellos, apart=True),
            some(Declare, self._declares, apart=True),
            some(Goodbye, self._goodbyes, apart=True),
        )
        return replies

    def refused(self, request: Unreadable) -> None:
        """Note a request that could not be read."""
        self.refusals.note(request.kind, request.worker, request.reason, name=request.name)

    async def _apart(self, requests: Sequence[R], answer: Answering[R]) -> Sequence[messages.Reply | None]:
        """The replies to all at once; those whose data breaks the statement are refused."""

        def refuse(request: R, error: Exception) -> messages.Reply | None:
            return self._refuse(request, f"Postgres does not take it: {error}")

        try:
            return await apply_apart(requests, answer, refuse)
        except Exception as error:
            log_failure(log, "claim desk", error, "the workers ask again")
            return [None] * len(requests)

    def _refuse(self, request: messages.Request, reason: str) -> Refused:
        name = request.name if isinstance(request, Hello) else ""
        self.refusals.note(str(request.__struct_config__.tag), request.worker, reason, name=name)
        return Refused(reason=one_line(reason))

    def _unknown(self, request: messages.Request) -> messages.Reply:
        """The reply to a worker that is not (any more) the one that it says."""
        if worker_id(request.worker) is None:
            return self._refuse(request, _NO_ID)
        if not request.secret:
            self._refuse(request, _UNPROVEN)
            return Unknown(reason=_UNPROVEN)
        return Unknown(reason=_UNKNOWN)

    async def _known(self, request: messages.Request) -> bool:
        return bool(await self._standings.of([request]))

    async def _hellos(self, hellos: Sequence[Hello]) -> list[messages.Reply]:
        return [await self._hello(hello) for hello in hellos]

    async def _declares(self, declares: Sequence[Declare]) -> list[messages.Reply]:
        return [await self._declare(each) for each in declares]

    async def _goodbyes(self, goodbyes: Sequence[Goodbye]) -> list[messages.Reply]:
        return [await self._goodbye(each) for each in goodbyes]

    async def _hello(self, hello: Hello) -> messages.Reply:
        if (worker := worker_id(hello.worker)) is None:
            return self._refuse(hello, _NO_ID)
        try:
            await asyncio.to_thread(self._standings.serves, [handler.pattern for handler in hello.handlers])
        except InvalidInput as error:
            return self._refuse(hello, str(error))
        for where, problem in await asyncio.to_thread(_unchecked, hello):
            log.warning("claim desk: worker %s (%s): %s %s", hello.name, worker, where, problem)
        handlers = clean_json(messages.encode(hello.handlers)).decode()
        new = NewWorker(
            worker,
            hello.name,
            hello.host,
            hello.pid,
            hello.sdk,
            hello.concurrency,
            handlers,
            self._settings.lease,
            digest(hello.secret),
        )
        if not await welcome(self._db, new):
            return Unknown(reason=_GONE)
        log.info("claim desk: worker %s (%s) serves %s", hello.name, worker, ", ".join(h.pattern for h in hello.handlers))
        self._hints.send(Hint("workers"))
        self._hints.send(Hint("wake"))
        return Welcome(lease=self._settings.lease, heartbeat=self._settings.heartbeat, server=self._server)

    async def _declare(self, declare: Declare) -> messages.Reply:
        if (worker := worker_id(declare.worker)) is None or not await self._known(declare):
            return self._unknown(declare)
        # One after the other: of workers that boot at once the first changes the jobs, and the others only look.
        async with self._declaring:
            declared, changes = await declare_jobs(
                self._db, worker, declare.jobs, payload_limit=self._settings.payload_limit, actor="code"
            )
        if declared is None:
            return Unknown(reason=_GONE)
        for problem in declared.problems:
            self.refusals.note("declare", declare.worker, problem)
        if changed := tuple(change.job_id for change in changes if change.changed):
            log.info("claim desk: worker %s declares %d jobs anew", worker, len(changed))
            self._hints.send(Hint("jobs", changed))
            self._hints.send(Hint("wake"))
        if any(change.moved for change in changes):
            self._hints.send(Hint("occurrences"))
        return declared

    async def _goodbye(self, goodbye: Goodbye) -> messages.Reply:
        if (worker := worker_id(goodbye.worker)) is None or not await self._known(goodbye):
            # Also who has ended already: there is nothing to hand back.
            return self._unknown(goodbye) if worker is None else Bye(released=0)
        async with self._db.transaction() as connection:
            # First the worker, so that nothing is claimed for it any more, then what it still holds.
            if not await stop_worker(connection, worker):
                return Bye(released=0)
            held = await held_by(connection, [worker])
            settled = await settle(connection, [Ending(occurrence=id_, outcome="released") for id_ in held])
        log.info("claim desk: worker %s said goodbye and handed back %d", worker, len(held))
        self._hints.send(Hint("workers"))
        if held:
            self._hints.send(Hint("occurrences", tuple(settled.changed)))
            self._hints.send(Hint("wake"))
        return Bye(released=len(held))

    async def _heartbeats(self, beats: Sequence[Heartbeat]) -> list[messages.Reply]:
        known = await self._standings.of(beats)
        mine = {beat.worker: beat for beat in beats if (beat.worker, beat.secret) in known}
        ids = {text: uuid.UUID(text) for text in mine}
        noted = [Beat(ids[beat.worker], beat.running, beat.draining, _named(beat)) for beat in mine.values()]
        renewed = await renew_leases(self._db, noted, self._settings.lease)
        alive = {row.id: row.drain for row in renewed}
        cancel: dict[uuid.UUID, list[Ask]] = {}
        for row in renewed:
            if row.occurrence_id is not None and row.attempt is not None:
                cancel.setdefault(row.id, []).append(Ask(row.occurrence_id, row.attempt))
        return [
            Alive(lease=self._settings.lease, cancel=cancel.get(worker, []), drain=alive[worker])
            if (beat.worker, beat.secret) in known and (worker := ids[beat.worker]) in alive
            else self._unknown(beat)
            for beat in beats
        ]

    async def _claims(self, claims: Sequence[Claim]) -> list[messages.Reply | None]:
        known = await self._standings.of(claims)

        def heard(claim: Claim, standing: Standing) -> Heard:
            return Heard(claim, uuid.UUID(claim.worker), standing)

        mine = [(i, heard(c, standing)) for i, c in enumerate(claims) if (standing := known.get((c.worker, c.secret)))]
        replies: list[messages.Reply | None] = [self._unknown(c) if (c.worker, c.secret) not in known else None for c in claims]
        if mine:
            answered = await answer_claims(self._db, self._hints, [each for _, each in mine])
            for (index, each), reply in zip(mine, answered, strict=True):
                replies[index] = reply or Unknown(reason=_GONE)
                if reply is not None and reply.problems:
                    more = f" (and {len(reply.problems) - 1} more)" if len(reply.problems) > 1 else ""
                    self.refusals.note("claim", each.claim.worker, reply.problems[0] + more)
        return replies


def _unchecked(hello: Hello) -> list[tuple[str, str]]:
    """What of the announced schemas servers cannot check, so that it is left to the handlers: the handler's field, and why."""
    schemas = [(handler.pattern, handler.schema) for handler in hello.handlers if handler.schema is not None]
    problems = ((pattern, problem) for pattern, schema in schemas for problem in schema_problems(schema))
    return [(f"handler {pattern}: {p.field}", p.message) for pattern, p in islice(problems, _MAX_TOLD)]


def _named(beat: Heartbeat) -> str | None:
    """The occurrences that the worker holds, as text of a Postgres array; None if it does not say."""
    return None if beat.holding is None else "{" + ",".join(str(ask.occurrence) for ask in beat.holding) + "}"
