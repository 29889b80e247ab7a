"""Finding what nothing is responsible for: what is not over has a live worker, a due time, a queue, or a message out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from leveret_core.patterns import matches
from leveret_core.store.database import Connection, Database, sql

LOOK = 50
"""Found of one kind in one look, at most; the rest comes with the next."""
QUEUES = 1_000
"""Concurrency queues looked at in one look; the next goes on behind them."""
PENDING = 10_000
"""Pending occurrences looked at for their place in a rate limit queue, likewise."""
CERTAIN = frozenset({"worker", "line", "token", "bucket"})
"""Kinds that are never so for a moment only. Of the others a single look may find what is just being dealt with."""


@dataclass(frozen=True)
class Ownerless:
    """Something that nothing is responsible for.

    Args:
        kind: which rule found it: `worker`, `lease`, `unnamed`, `timeout`, `retry`, `due`, `ring`, `far`, `backfill`, `line`,
            `token`, `bucket` or `unrung`.
        id: of the occurrence, or of the backfill.
        job_id: its job.
        state: as it was then.
        why: in words.
        claim: (attempt, token) of what runs.
        queue: (job id, concurrency key) of what waits for a slot.
        value: (type, key) of what waits for a token.
    """

    kind: str
    id: int
    job_id: int
    state: str
    why: str
    claim: tuple[int, str] | None = None
    queue: tuple[int, str] | None = None
    value: tuple[str, str] | None = None

    def __str__(self) -> str:
        what = "backfill" if self.kind == "backfill" else "occurrence"
        return f"{what} {self.id} ({self.state}: {self.why})"


@dataclass
class Place:
    """How far the looks that go through everything in parts have come; the beginning again when they came to the end."""

    queue: tuple[int, str] = (0, "")
    value: tuple[str, str] = ("", "")
    pending: int = 0

    @property
    def at_the_beginning(self) -> bool:
        """Whether a whole round is done, or none was begun."""
        return self == Place()


async def find_ownerless(db: Database, place: Place, *, late: float, silent: float, unnamed: float) -> list[Ownerless]:
    """Look once, at a cost that grows neither with history nor with a backlog; see `CERTAIN` for what a second look is for.

    Args:
        db: read on connections of its own; locks nothing.
        place: where to go on; moved.
        late: seconds by which what is due may be late.
        silent: seconds that the reaper may take for a lease or a timeout that is over.
        unnamed: seconds that a run must have lasted when its worker should name it.
    """
    found = [
        Ownerless(
            row["kind"],
            row["id"],
            row["job_id"],
            row["state"],
            row["why"],
            claim=None if row["claim_token"] is None else (row["attempt"], str(row["claim_token"])),
        )
        for row in await db.fetch("liveness/ownerless", late, silent, LOOK, unnamed)
    ]
    found += await _queues(db, place)
    found += await _tokens(db, place)
    found += await _unpublished(db)
    return found


async def _queues(db: Database, place: Place) -> list[Ownerless]:
    rows = await db.fetch("liveness/waiting_queues", *place.queue, QUEUES)
    place.queue = (rows[-1]["job_id"], rows[-1]["key"]) if len(rows) == QUEUES else (0, "")
    why = "it waits although a place is free"
    return [
        Ownerless("line", row["id"], row["job_id"], "waiting", why, queue=(row["job_id"], row["key"]))
        for row in rows
        if row["free"] > 0
    ]


async def _tokens(db: Database, place: Place) -> list[Ownerless]:
    rows = await db.fetch("key_limits/find_outside_queues", place.pending, PENDING)
    place.pending = rows[-1]["last"] if rows and rows[-1]["looked_at"] == PENDING else 0
    why = "it waits for a token of its value, and stands in no line"
    found = [Ownerless("token", row["id"], row["job_id"], "pending", why) for row in rows if row["id"] is not None]
    values = await db.fetch("key_limits/find_stopped_queues", *place.value, QUEUES)
    place.value = (values[-1]["type"], values[-1]["key"]) if len(values) == QUEUES else ("", "")
    why = "it is first in the rate limit queue of its value, which the publisher does not look at"
    return found + [
        Ownerless("bucket", row["id"], row["job_id"], "pending", why, value=(row["type"], row["key"]))
        for row in values
        if row["id"] is not None and not row["ready"]
    ]


async def _unpublished(db: Database) -> list[Ownerless]:
    rows = await db.fetch("liveness/unpublished_types")
    if not rows:
        return []
    patterns = {
        handler["pattern"]
        for worker in await db.fetch("reads/handlers")
        for handler in msgspec.json.decode(worker["handlers"], type=list[dict[str, object]])
    }
    why = "no dispatch message of its type is out, although a worker serves the type"
    return [
        Ownerless("unrung", row["id"], row["job_id"], "pending", why)
        for row in rows
        if any(matches(str(pattern), row["type"]) for pattern in patterns)
    ]


async def note_ownerless(connection: Connection, found: Sequence[Ownerless]) -> None:
    """Keep for users how many were found, with the first ten."""
    await connection.execute(sql("liveness/note_ownerless"), len(found), _examples(found))


async def set_retry(connection: Connection, occurrences: Sequence[int]) -> None:
    """Let retries without a time be due now."""
    await connection.execute(sql("liveness/set_retry"), occurrences)


async def publish_again(connection: Connection, occurrences: Sequence[int]) -> None:
    """Let dispatch messages be overdue that would be published again later than any."""
    await connection.execute(sql("liveness/publish_again"), occurrences)


def _examples(found: Sequence[Ownerless]) -> str:
    """The first ten as JSON, for users who ask."""
    shown = [{"kind": f.kind, "id": f.id, "job_id": f.job_id, "state": f.state, "why": f.why} for f in found[:10]]
    return msgspec.json.encode(shown).decode()
