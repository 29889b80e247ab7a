"""Slots: given back by what has become final, and taken by the next of the queue."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import asyncpg

from leveret_core.store.database import Connection, columns, sql
from leveret_core.store.slots.load import Queue


class Final(NamedTuple):
    """An occurrence that has just become final.

    Args:
        queue: the concurrency queue it belongs to.
        freed: whether the statement that made it final gave back a slot.
        wanted: whether another one of the queue waits, as far as that statement saw.
    """

    id: int
    queue: Queue
    freed: bool
    wanted: bool = True


def as_final(row: asyncpg.Record) -> Final:
    """The row of a statement that returns `id`, `job_id`, `key` and `freed` of what it made final."""
    return Final(row["id"], (row["job_id"], row["key"]), row["freed"] is True)


async def release(connection: Connection, final: Sequence[Final], locked: Collection[int]) -> list[int]:
    """Admit the next of the queues in which occurrences that have just become final gave back slots.

    Args:
        connection: inside the transaction that made them final.
        final: these occurrences.
        locked: ids of the jobs whose locks it holds.

    Returns:
        Ids of the occurrences that became pending.
    """
    if not final:
        return []
    # Under its job's lock nothing begins to wait unseen. A job that allowed any number until just now may have given slots to
    # what ran without one: its lock is not held.
    freed = {each.queue for each in final if each.freed and (each.wanted or each.queue[0] not in locked)}
    for row in await connection.fetch(sql("slots/free_of_last_release"), [each.id for each in final]):
        freed.add((row["job_id"], row["key"]))
    if others := {job_id for job_id, _ in freed}.difference(locked):
        await lock_other_jobs(connection, others)
    return await admit_next(connection, freed)


async def admit_next(connection: Connection, queues: Iterable[Queue]) -> list[int]:
    """Let those who wait longest take the free slots.

    Args:
        connection: inside a transaction that holds the locks of the jobs.
        queues: where to look.

    Returns:
        Ids of the occurrences that became pending.
    """
    wanted = sorted(set(queues))
    if not wanted:
        return []
    return [row["id"] for row in await connection.fetch(sql("slots/admit_next"), *columns(wanted, 2))]


async def admit_next_of_job(connection: Connection, job_id: int) -> list[int]:
    """As `admit_next`, for every queue of a job."""
    rows = await connection.fetch(sql("slots/queues"), [job_id])
    return await admit_next(connection, ((row["job_id"], row["key"]) for row in rows))


async def lock_other_jobs(connection: Connection, job_ids: Collection[int]) -> None:
    """Lock jobs after occurrences, against the order of all others: a deadlock ends one transaction, which begins anew."""
    await connection.execute(sql("slots/lock_other_jobs"), sorted(job_ids))


async def lock_jobs_of(
    connection: Connection, occurrences: Collection[int], may_fail: Collection[int], may_succeed: Collection[int] = ()
) -> set[int]:
    """Lock, in one order for all transactions, the jobs whose rows the ends of these occurrences may change.

    Args:
        connection: inside a transaction that holds no locks on jobs or occurrences yet.
        occurrences: that may give back a slot.
        may_fail: those of them that may fail, which is counted in the rows of their jobs.
        may_succeed: those of them that may succeed, which ends the count of failures of their jobs.

    Returns:
        Ids of the locked jobs.
    """
    rows = await connection.fetch(sql("slots/lock_jobs"), sorted(occurrences), sorted(may_fail), sorted(may_succeed))
    return {row["id"] for row in rows}


async def repair_slots(connection: Connection) -> list[tuple[int, int]]:
    """Free slots whose occurrence is final; there should be none. Returns (job id, occurrence id) of each."""
    rows = await connection.fetch(sql("slots/repair"))
    await admit_next(connection, ((row["job_id"], row["key"]) for row in rows))
    return [(row["job_id"], row["occurrence_id"]) for row in rows]
