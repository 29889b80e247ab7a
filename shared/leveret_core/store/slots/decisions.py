"""The policy meets the tables: decisions about new occurrences, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leveret_core import messages
from leveret_core.concurrency import Decision, Effects, New, QueueLoad, decide, with_state
from leveret_core.states import State
from leveret_core.store.database import Connection, columns, sql
from leveret_core.store.slots.load import Queue
from leveret_core.store.slots.release import Final, as_final, release


@dataclass(frozen=True)
class Replaced:
    """An occurrence that had to end for a newer one; `tell` is the word to its worker, when one runs it."""

    id: int
    tell: messages.Cancel | None


async def decide_about(connection: Connection, new: Sequence[New[Queue]], loads: Mapping[Queue, QueueLoad]) -> list[Decision]:
    """As `concurrency.decide`; what is skipped says in which state its blocker was. The caller holds the locks of the jobs."""
    decisions = decide(new, loads)
    blockers = {d.blocker for d in decisions if d.state is State.SKIPPED and isinstance(d.blocker, int)}
    if not blockers:
        return decisions
    rows = await connection.fetch(sql("occurrences/states_of"), sorted(blockers))
    states: dict[object, str] = {row["id"]: row["state"] for row in rows}
    return [with_state(d, states[d.blocker]) if d.state is State.SKIPPED and d.blocker in states else d for d in decisions]


async def carry_out(connection: Connection, effects: Effects[Queue]) -> dict[int, list[Replaced]]:
    """Name blockers, and end what is replaced; returns the latter by the id of the newer one.

    Args:
        connection: inside the transaction that has written the new occurrences and holds the locks of their jobs.
        effects: of the decisions about them.
    """
    if effects.blockers:
        await connection.execute(sql("occurrences/name_blockers"), *columns(effects.blockers, 2))
    return await _end_replaced(connection, effects.replaced) if effects.replaced else {}


async def _end_replaced(connection: Connection, pairs: Sequence[tuple[int, int]]) -> dict[int, list[Replaced]]:
    """End the first of each pair of ids for the second; what did not run makes room at once."""
    ended: dict[int, list[Replaced]] = {}
    # All in order, as claims lock them without their jobs.
    await connection.execute(sql("occurrences/lock"), [old for old, _ in pairs])
    final: list[Final] = []
    locked: set[int] = set()
    for row in await connection.fetch(sql("occurrences/replace"), *columns(sorted(pairs), 2)):
        tell = None
        if row["state"] == "cancelling":
            tell = messages.Cancel(worker=str(row["worker_id"]), occurrence=row["id"], attempt=row["attempt"])
        else:
            final.append(as_final(row))
            locked.add(row["job_id"])
        ended.setdefault(row["by"], []).append(Replaced(row["id"], tell))
    await release(connection, final, locked)
    return ended
