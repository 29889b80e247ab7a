"""Dead letters: occurrences that failed for good, until a user requeues or discards them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg

from leveret_core.errors import InvalidInput, LeveretError, NotFound
from leveret_core.states import State
from leveret_core.store.commands.occurrences import requeue_in
from leveret_core.store.database import Database
from leveret_core.store.reads.occurrence_rows import OccurrenceRow
from leveret_core.store.reads.pages import SCAN_TIME, pattern_of
from leveret_core.store.rows import typed

MAX_AT_ONCE = 1_000
"""Dead letters that one call deals with, at most."""
SCAN = 20_000
"""Rows one statement looks at, at most, for those that a filter lets pass."""
WORK_TIME = 10.0
"""Seconds after which a call ends with what it has done so far."""
COUNTED = 10_000
"""What remains is counted so far."""
MAX_REFUSED = MAX_AT_ONCE
"""Refusals that one call tells of, at most: every one of those that are chosen by id."""

Key = tuple[datetime, int]
"""Where a dead letter stands in the view: when it ended, and its id."""


@dataclass(frozen=True, kw_only=True)
class DeadLetterFilter:
    """Which dead letters; None lets all pass.

    Args:
        job_id: of this job, which may be deleted.
        type: exactly this type.
        search: a part of the error's type or message, or of the reason, in any case.
        since: ended at this time or later.
        until: ended before this time.
    """

    job_id: int | None = None
    type: str | None = None
    search: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def values(self) -> tuple[object, ...]:
        """The filters as statements take them."""
        return self.job_id, self.type, pattern_of(self.search), self.since, self.until


Choice = DeadLetterFilter | Sequence[int]
"""What a filter lets pass, or these ids."""


@dataclass(frozen=True)
class DeadLetterPage:
    """Rows, the last to end first, and where the next page begins; None at the end. A short page need not be the last."""

    rows: list[OccurrenceRow]
    next: Key | None


@dataclass(frozen=True)
class Refusal:
    """A dead letter that stays one, and why."""

    id: int
    reason: str


@dataclass
class Dealt:
    """What a call came to.

    Args:
        ids: the dead letters that it dealt with, or in a dry run those that it would try.
        made: the occurrences that it made.
        refused: what stays a dead letter although it was chosen, of those that were looked at; the first `MAX_REFUSED`.
        remaining: how many of the chosen ones are dead letters still: up to `COUNTED`, and at least 1 while it is not known
            that there are none.
    """

    ids: list[int] = field(default_factory=list[int])
    made: list[int] = field(default_factory=list[int])
    refused: list[Refusal] = field(default_factory=list[Refusal])
    remaining: int = 0


class _Stays(LeveretError):
    """This one cannot be requeued."""


class _Full(_Stays):
    """This one cannot be requeued now, nor can others of its line."""


class _Gone(LeveretError):
    """It was dealt with."""


async def list_dead_letters(
    db: Database, which: DeadLetterFilter, *, below: Key | None = None, limit: int = 50
) -> DeadLetterPage:
    """Dead letters, the last to end first.

    Args:
        below: the `next` of the page before; None for the first.
        limit: rows, at most.
    """
    give_up = time.monotonic() + SCAN_TIME
    rows: list[asyncpg.Record] = []
    while True:
        at, id_ = below or (None, None)
        rows += await db.fetch("dead_letters/list", at, id_, limit + 1 - len(rows), SCAN, *which.values)
        if len(rows) > limit:
            last = rows[limit - 1]
            return DeadLetterPage(typed(OccurrenceRow, rows[:limit]), (last["finished_at"], last["id"]))
        below = await _horizon(db, "dead_letters/list_horizon", below, which)
        if below is None or time.monotonic() > give_up:
            return DeadLetterPage(typed(OccurrenceRow, rows), below)


async def requeue_dead_letters(
    db: Database,
    choice: Choice,
    *,
    limit: int,
    edit: Callable[[bytes], bytes],
    actor: str,
    queue: bool = False,
    dry_run: bool = False,
) -> Dealt:
    """Requeue dead letters, the first to end first, each in a transaction of its own: a second call finds what is left.

    A requeue that the policy of its job would skip, or for which another occurrence had to end, is left for later.

    Args:
        choice: which ones; those whose job was deleted are none of them.
        limit: how many, at most.
        edit: the new payload, made of the old one; raises `InvalidInput` for one that cannot be.
        actor: who asks, for the audit.
        queue: what a job with the policy `skip` takes no more of just now waits in the concurrency queue instead.
        dry_run: find them and leave them as they are.
    """
    dealt, full, after = Dealt(), dict[tuple[int, str], str](), None
    give_up = time.monotonic() + WORK_TIME
    while len(dealt.ids) < limit and time.monotonic() < give_up:
        without = [job_id for job_id, key in full if not key]
        rows, after = await _find(db, choice, after, limit - len(dealt.ids), job_exists=True, without=without)
        for row in rows:
            if len(dealt.ids) == limit or time.monotonic() > give_up:
                break
            line = (row["job_id"], row["concurrency_key"])
            if line in full:
                dealt.refused.append(Refusal(row["id"], full[line]))
                continue
            if dry_run:
                dealt.ids.append(row["id"])
                continue
            try:
                dealt.made.append(await _requeue(db, row["id"], edit, actor, queue=queue))
                dealt.ids.append(row["id"])
            except _Stays as error:
                if isinstance(error, _Full):
                    full[line] = str(error)
                dealt.refused.append(Refusal(row["id"], str(error)))
            except _Gone:
                continue
        if after is None:
            break
    dealt.refused = dealt.refused[:MAX_REFUSED]
    dealt.remaining = await _count(db, choice, job_exists=True)
    return dealt


async def discard_dead_letters(
    db: Database, choice: Choice, *, limit: int, reason: str | None, actor: str, dry_run: bool = False
) -> Dealt:
    """Take dead letters out of the view, the first to end first. Their history stays.

    Args:
        choice: which ones.
        limit: how many, at most.
        reason: for the audit.
        actor: who asks, for the audit.
        dry_run: find them and leave them as they are.
    """
    dealt, after = Dealt(), None
    detail = json.dumps({"reason": reason})
    give_up = time.monotonic() + WORK_TIME
    while len(dealt.ids) < limit and time.monotonic() < give_up:
        rows, after = await _find(db, choice, after, limit - len(dealt.ids), job_exists=False)
        ids = [row["id"] for row in rows][: limit - len(dealt.ids)]
        if ids and not dry_run:
            ids = [row["id"] for row in await db.fetch("dead_letters/discard", ids, actor, detail)]
        dealt.ids += ids
        if after is None:
            break
    dealt.remaining = await _count(db, choice, job_exists=False)
    return dealt


async def _requeue(db: Database, occurrence_id: int, edit: Callable[[bytes], bytes], actor: str, *, queue: bool) -> int:
    try:
        async with db.transaction() as connection:
            made = await requeue_in(connection, occurrence_id, edit, actor=actor, queue=queue)
            # Raised here, so that nothing of it stays.
            if made.run.state is State.SKIPPED:
                why = "the queue of its job is full" if queue else "its job takes no more just now"
                raise _Full(f"{why}: the new one would be skipped")
            if made.run.replaced:
                raise _Full("its job has another one, which the new one would replace")
            if not made.was_dead:
                raise _Gone
            return made.run.id
    except InvalidInput as error:
        raise _Stays(str(error)) from error
    except NotFound as error:
        raise _Gone from error


async def _find(
    db: Database, choice: Choice, after: Key | None, want: int, *, job_exists: bool, without: Collection[int] = ()
) -> tuple[list[asyncpg.Record], Key | None]:
    """The next dead letters, the first to end first, and where to look on; None at the end."""
    if not isinstance(choice, DeadLetterFilter):
        # All of them, also of more than are wanted: what is refused must not stand in the way of the others.
        return await db.fetch("dead_letters/by_id", list(choice), job_exists), None
    at, id_ = after or (None, None)
    rows = await db.fetch("dead_letters/find", at, id_, want, SCAN, *choice.values, job_exists, list(without))
    if len(rows) == want:
        return rows, (rows[-1]["finished_at"], rows[-1]["id"])
    return rows, await _horizon(db, "dead_letters/find_horizon", after, choice)


async def _count(db: Database, choice: Choice, *, job_exists: bool) -> int:
    count, after = 0, None
    give_up = time.monotonic() + SCAN_TIME
    while count < COUNTED:
        rows, after = await _find(db, choice, after, COUNTED - count, job_exists=job_exists)
        count += len(rows)
        if after is None:
            return count
        if time.monotonic() > give_up:
            return max(count, 1)
    return count


async def _horizon(db: Database, name: str, from_: Key | None, which: DeadLetterFilter) -> Key | None:
    """Where a look at `SCAN` rows ended; None when there were not as many."""
    at, id_ = from_ or (None, None)
    row = await db.fetchrow(name, at, id_, SCAN, which.since, which.until)
    return None if row is None or row["scanned"] < SCAN else (row["finished_at"], row["id"])
