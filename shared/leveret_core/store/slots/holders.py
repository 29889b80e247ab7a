"""Slots: given back by what has become final, and taken by the next in line."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from leveret_core.store.database import Connection, columns, sql


async def release(connection: Connection, final: Sequence[int], locked: Collection[int]) -> list[int]:
    """Give back the slots of occurrences that have just become final, and let the next in line take them.

    Args:
        connection: inside the transaction that made them final.
        final: their ids.
        locked: ids of the jobs whose locks it holds.

    Returns:
        Ids of the occurrences that became pending.
    """
    freed = await connection.fetch(sql("slots/free"), final)
    # A job that allowed any number until just now may have given slots to what ran without one.
    if strangers := {row["job_id"] for row in freed}.difference(locked):
        await connection.execute(sql("slots/lock_other_jobs"), sorted(strangers))
    return await promote(connection, ((row["job_id"], row["key"]) for row in freed))


async def promote(connection: Connection, lines: Iterable[tuple[int, str]]) -> list[int]:
    """Let those in line take the free slots.

    Args:
        connection: inside a transaction that holds the locks of the jobs.
        lines: job and concurrency key of each line.

    Returns:
        Ids of the occurrences that became pending.
    """
    wanted = sorted(set(lines))
    if not wanted:
        return []
    return [row["id"] for row in await connection.fetch(sql("slots/admit_next"), *columns(wanted, 2))]


async def promote_all(connection: Connection, job_id: int) -> list[int]:
    """As `promote`, for every line of a job."""
    rows = await connection.fetch(sql("slots/queues"), [job_id])
    return await promote(connection, ((row["job_id"], row["key"]) for row in rows))
