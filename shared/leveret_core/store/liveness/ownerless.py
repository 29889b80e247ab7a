"""Finding what nobody is responsible for: what is not over has a live worker, a due time, a place in line or a doorbell out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from leveret_core.patterns import matches
from leveret_core.store.database import Database

LOOK = 50
"""Found of one kind in one look, at most; the rest comes with the next."""
LINES = 1_000
"""Lines looked at in one look; the next goes on behind them."""
PENDING = 10_000
"""Pending occurrences looked at for their place in a line, likewise."""
CERTAIN = frozenset({"worker", "line", "token", "bucket"})
"""Kinds that are never so for a moment only. Of the others a single look may find what is just being dealt with."""


@dataclass(frozen=True)
class Ownerless:
    """Something that nobody is responsible for.

    Args:
        kind: which rule found it: `worker`, `lease`, `timeout`, `retry`, `due`, `ring`, `far`, `backfill`, `line`, `token`,
            `bucket` or `unrung`.
        id: of the occurrence, or of the backfill.
        job_id: its job.
        state: as it was then.
        why: in words.
        claim: (attempt, token) of what runs.
        line: (job id, concurrency key) of who waits for a place.
        value: (type, key) of who waits for a token.
    """

    kind: str
    id: int
    job_id: int
    state: str
    why: str
    claim: tuple[int, str] | None = None
    line: tuple[int, str] | None = None
    value: tuple[str, str] | None = None

    def __str__(self) -> str:
        what = "backfill" if self.kind == "backfill" else "occurrence"
        return f"{what} {self.id} ({self.state}: {self.why})"


@dataclass
class Place:
    """How far the looks that go through everything in parts have come; the beginning again when they came to the end."""

    line: tuple[int, str] = (0, "")
    value: tuple[str, str] = ("", "")
    pending: int = 0

    @property
    def at_the_beginning(self) -> bool:
        """Whether a whole round is done, or none was begun."""
        return self == Place()


async def find_ownerless(db: Database, place: Place, *, late: float, silent: float) -> list[Ownerless]:
    """Look once, at a cost that grows neither with history nor with a backlog; see `CERTAIN` for what a second look is for.

    Args:
        db: read on connections of its own; locks nothing.
        place: where to go on; moved.
        late: seconds by which what is due may be late.
        silent: seconds that the reaper may take for a lease or a timeout that is over.
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
        for row in await db.fetch("liveness/ownerless", late, silent, LOOK)
    ]
    found += await _lines(db, place)
    found += await _tokens(db, place)
    found += await _unrung(db)
    return found


async def _lines(db: Database, place: Place) -> list[Ownerless]:
    rows = await db.fetch("liveness/waiting_queues", *place.line, LINES)
    place.line = (rows[-1]["job_id"], rows[-1]["key"]) if len(rows) == LINES else (0, "")
    why = "it waits although a place is free"
    return [
        Ownerless("line", row["id"], row["job_id"], "waiting", why, line=(row["job_id"], row["key"]))
        for row in rows
        if row["free"] > 0
    ]


async def _tokens(db: Database, place: Place) -> list[Ownerless]:
    rows = await db.fetch("key_limits/find_outside_queues", place.pending, PENDING)
    place.pending = rows[-1]["last"] if rows and rows[-1]["looked_at"] == PENDING else 0
    why = "it waits for a token of its value, and stands in no line"
    found = [Ownerless("token", row["id"], row["job_id"], "pending", why) for row in rows if row["id"] is not None]
    values = await db.fetch("key_limits/find_stopped_queues", *place.value, LINES)
    place.value = (values[-1]["type"], values[-1]["key"]) if len(values) == LINES else ("", "")
    why = "it is first in the line of its value, which nobody looks at"
    return found + [
        Ownerless("bucket", row["id"], row["job_id"], "pending", why, value=(row["type"], row["key"]))
        for row in values
        if row["id"] is not None and not row["ready"]
    ]


async def _unrung(db: Database) -> list[Ownerless]:
    rows = await db.fetch("liveness/unpublished_types")
    if not rows:
        return []
    patterns = {
        handler["pattern"]
        for worker in await db.fetch("reads/handlers")
        for handler in msgspec.json.decode(worker["handlers"], type=list[dict[str, object]])
    }
    why = "no doorbell of its type is out, although a worker serves the type"
    return [
        Ownerless("unrung", row["id"], row["job_id"], "pending", why)
        for row in rows
        if any(matches(str(pattern), row["type"]) for pattern in patterns)
    ]


def examples(found: Sequence[Ownerless]) -> str:
    """The first ten as JSON, for whoever asks."""
    shown = [{"kind": f.kind, "id": f.id, "job_id": f.job_id, "state": f.state, "why": f.why} for f in found[:10]]
    return msgspec.json.encode(shown).decode()
