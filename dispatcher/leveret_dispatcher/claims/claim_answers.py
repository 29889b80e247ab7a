"""Gives attempts to workers, and says what became of those that it does not give."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from leveret_core import messages
from leveret_core.failpoints import reach
from leveret_core.hints import MAX_IDS, Hint, Hints
from leveret_core.messages import Answer, Claim, Claimed, MarredClaim
from leveret_core.retry import stored_policy
from leveret_core.store.attempts import claims as attempts
from leveret_core.store.attempts.claims import ClaimRow, Wanted
from leveret_core.store.database import Connection, Database
from leveret_core.store.workers.membership import alive_of
from leveret_dispatcher.claims.standing import Standing

MAX_REPLY_BYTES = messages.MAX_MESSAGE_BYTES // 2
"""Bytes of payloads and checkpoints in one reply, about; what goes beyond is left out, and asked for again."""


class Heard(NamedTuple):
    """A claim of a worker that is who it says."""

    claim: Claim
    worker: uuid.UUID
    standing: Standing


async def answer_claims(database: Database, hints: Hints, claims: Sequence[Heard]) -> list[Claimed | None]:
    """The replies to `claims`, in their order; None where the worker does not live any more."""
    async with database.connection() as connection:
        wanted = await _wanted(connection, claims)
        # Only what the worker serves; the others are not even tried.
        pairs = zip(claims, wanted, strict=True)
        asks = list({ask for heard, each in pairs for ask in each if heard.standing.serves(ask.type)})
        asks.sort(key=lambda ask: ask.occurrence)
        given = await attempts.give_attempts(connection, asks)
        rows = {row.id: row for row in given}
        alive = {row.worker_id for row in given}
        workers = list({heard.worker for heard in claims})
        if others := sorted({ask.occurrence for each in wanted for ask in each} - rows.keys()):
            rows |= {row.id: row for row in await attempts.read_claims(connection, others, workers)}
        if unseen := [worker for worker in workers if worker not in alive]:
            alive |= await alive_of(connection, unseen)
        succeeded = await _last_successes(connection, [heard.claim for heard in claims])
    if given:
        reach("after_claim_commit")
        # In parts that keep their ids: two hints without any could be taken for one, and their counts for one count.
        for part in (given[start : start + MAX_IDS] for start in range(0, len(given), MAX_IDS)):
            hints.send(Hint("occurrences", tuple(row.id for row in part), Counter(row.type for row in part)))
    return [
        _reply(heard, each, rows, succeeded) if heard.worker in alive else None
        for heard, each in zip(claims, wanted, strict=True)
    ]


async def _wanted(connection: Connection, claims: Sequence[Heard]) -> list[list[Wanted]]:
    """The asks of each claim with the types of their occurrences; one whose occurrence is not there has none."""
    untold = sorted({ask.occurrence for heard in claims if heard.claim.types is UNSET for ask in heard.claim.asks})
    known = await attempts.types_of(connection, untold) if untold else {}
    wanted: list[list[Wanted]] = []
    for heard in claims:
        asks, told = heard.claim.asks, heard.claim.types
        types = [known.get(ask.occurrence, "") for ask in asks] if isinstance(told, UnsetType) else told
        wanted.append([Wanted(heard.worker, a.occurrence, a.attempt, t) for a, t in zip(asks, types, strict=True)])
    return wanted


async def _last_successes(connection: Connection, claims: Sequence[Claim]) -> dict[int, datetime | None]:
    # Only for the handlers that asked for it: the others cost no look at the job's past.
    ids = sorted({id_ for claim in claims if claim.last_success for id_ in claim.last_success})
    return await attempts.last_successes(connection, ids) if ids else {}


def _reply(
    heard: Heard, wanted: Sequence[Wanted], rows: Mapping[int, ClaimRow], succeeded: Mapping[int, datetime | None]
) -> Claimed:
    answers: list[Answer] = []
    problems: list[str] = []
    size = 0
    for ask in wanted:
        row = rows.get(ask.occurrence)
        if row is not None and not heard.standing.serves(row.type):
            problems.append(f"occurrence {ask.occurrence} is of a type that no handler of this worker serves")
            answers.append(Answer(occurrence=ask.occurrence, attempt=ask.attempt, status="stale"))
            continue
        if row is not None and row.type != ask.type:
            problems.append(f"occurrence {ask.occurrence} is of another type than {ask.type}")
            answers.append(Answer(occurrence=ask.occurrence, attempt=ask.attempt, status="stale"))
            continue
        answer = _answer(ask, row, succeeded.get(ask.occurrence))
        # An occurrence that another transaction held just now has no answer yet; the worker asks for it again.
        if answer is not None and size <= MAX_REPLY_BYTES:
            answers.append(answer)
            size += len(bytes(answer.payload)) + (0 if answer.checkpoint is UNSET else len(bytes(answer.checkpoint)))
    for bad in heard.claim.bad if isinstance(heard.claim, MarredClaim) else ():
        problems.append(bad.reason)
        if bad.numbers is not None:
            answers.append(Answer(occurrence=bad.numbers[0], attempt=bad.numbers[1], status="stale"))
    return Claimed(answers=answers, problems=problems)


def _answer(ask: Wanted, row: ClaimRow | None, last_success_at: datetime | None) -> Answer | None:
    """The answer about one attempt, read from its row after the compare-and-set: the same one however often it is asked."""
    if row is None:
        return Answer(occurrence=ask.occurrence, attempt=ask.attempt, status="stale")
    held = row.worker_id == ask.worker and row.attempt == ask.attempt
    if held and row.state == "cancelling":
        # Its first answer may never have come: then no worker runs it, and only this one can say that it has ended.
        token = str(row.claim_token)
        return Answer(occurrence=ask.occurrence, attempt=ask.attempt, status="cancelled", token=token)
    if not held or row.state != "running":
        if row.state == "pending" and row.attempt + 1 == ask.attempt:
            return None
        early = row.state in ("waiting", "retrying") and row.attempt < ask.attempt
        return Answer(occurrence=ask.occurrence, attempt=ask.attempt, status="not_yet" if early else "stale")
    return Answer(
        occurrence=ask.occurrence,
        attempt=ask.attempt,
        status="granted",
        token=str(row.claim_token),
        type=row.type,
        job=row.job_name,
        job_id=row.job_id,
        job_version=row.job_version,
        payload=msgspec.Raw((row.payload or "").encode()),
        scheduled_for=row.scheduled_for,
        timeout=row.timeout,
        max_attempts=stored_policy(row.retry).max_attempts,
        checkpoint=UNSET if row.checkpoint is None else msgspec.Raw(row.checkpoint.encode()),
        last_success_at=last_success_at,
    )
