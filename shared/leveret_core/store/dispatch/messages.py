"""Dispatch messages that are to be published: which they are, and what the rows of their occurrences note about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import asyncpg

from leveret_core.messages import DispatchMessage
from leveret_core.store.database import Connection, Database, sql


@dataclass
class Look:
    """What the publisher has to know.

    Args:
        unpublished: types with occurrences that no worker was told of.
        limited: types with a rate limit, of their own or by key.
        keyed: of those with a limit by key, seconds until the next of the queues may start; None when none waits.
        next_overdue: seconds until one has to be published again; None when none is out.
    """

    unpublished: list[str] = field(default_factory=list[str])
    limited: set[str] = field(default_factory=set[str])
    keyed: dict[str, float | None] = field(default_factory=dict[str, float | None])
    next_overdue: float | None = None


async def look(db: Database) -> Look:
    """Look once, at a cost that does not grow with a backlog of one type."""
    found = Look()
    for row in await db.fetch("dispatch/to_publish"):
        match row["what"]:
            case "limited":
                found.limited.add(row["type"])
            case "keyed":
                found.limited.add(row["type"])
                found.keyed[row["type"]] = row["value"]
            case "unpublished":
                found.unpublished.append(row["type"])
            case _:
                found.next_overdue = row["value"]
    return found


async def count_unanswered(db: Database) -> dict[str, int]:
    """Of each type, how many messages are out that no worker has answered; at a cost that grows with their number."""
    return {row["type"]: row["out"] for row in await db.fetch("dispatch/count_unanswered")}


async def publish_again_at_begin(connection: Connection, publish_in: float, back: float) -> None:
    """At the beginning of a term: let all that the last `back` seconds may have left unpublished be overdue.

    Args:
        publish_in: seconds after which a message that no worker answers is published again for the first time.
        back: seconds.
    """
    await connection.execute(sql("dispatch/publish_again"), publish_in, back)


async def take_unpublished(connection: Connection, job_type: str, limit: int, publish_in: float) -> list[DispatchMessage]:
    """Mark occurrences of a type as published; the caller publishes them after its commit.

    Args:
        limit: how many, at most; those of the highest priority first, the oldest of these first.
        publish_in: seconds until they are published again.
    """
    if not limit:
        return []
    return as_messages(await connection.fetch(sql("dispatch/take_unpublished"), job_type, limit, publish_in))


async def take_overdue(connection: Connection, limit: int, publish_in: float) -> tuple[list[DispatchMessage], list[str]]:
    """As `take_unpublished`, of all types, of those that no worker answered in time, or whose jitter is over.

    Returns:
        The messages, and the types of those that go out for the first time.
    """
    rows = await connection.fetch(sql("dispatch/take_overdue"), limit, publish_in)
    return as_messages(rows), [row["type"] for row in rows if row["rings"] == 1]


async def mark_unpublished(db: Database, occurrences: Sequence[int]) -> list[str]:
    """These did not reach a queue, and go out when there is room. Returns the type of each that still has to."""
    return [row["type"] for row in await db.fetch("dispatch/mark_unpublished", occurrences)]


def as_messages(rows: Iterable[asyncpg.Record]) -> list[DispatchMessage]:
    """The messages of rows with `id`, `type`, `attempt` and `priority`, the most important first, then the oldest."""
    return [
        DispatchMessage(occurrence=r["id"], attempt=r["attempt"] + 1, type=r["type"])
        for r in sorted(rows, key=lambda r: (-int(r["priority"]), int(r["id"])))
    ]
