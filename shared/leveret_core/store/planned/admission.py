"""Admitting runs that were planned for later, once they are due: under the policy that their jobs have now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from leveret_core.concurrency import Limits, New, effects
from leveret_core.states import State
from leveret_core.store.database import Connection, Database, columns, sql
from leveret_core.store.occurrences.creation import Created
from leveret_core.store.slots.decisions import carry_out, decide_about
from leveret_core.store.slots.load import load_queues

_BATCH = 1_000
"""Runs of one job that are admitted in one go."""


async def admit_due(
    connection: Connection, *, limit: int, epoch: int, publish_in: float, room: Callable[[str], int]
) -> list[Created]:
    """Admit the runs that are due first; each begins, waits, is skipped, or is cancelled if its job was deleted.

    Args:
        connection: inside a transaction of the term that holds no locks on jobs or occurrences yet.
        limit: runs, at most.
        epoch: of the term.
        publish_in: seconds after which the publisher publishes again what the caller is going to publish.
        room: how many more dispatch messages of a type the broker should get.

    Returns:
        What was admitted, in the order it was planned for; the caller publishes what is `published` after its commit.
        Nothing, although something is due, when other transactions hold the locks of the jobs.
    """
    rows = await connection.fetch(sql("planned/lock_jobs"), limit)
    jobs = {
        row["id"]: None if row["deleted"] else Limits(row["concurrency"], row["max_concurrent"], row["max_waiting"])
        for row in rows
    }
    return await _admit(connection, jobs, limit, epoch, publish_in, room)


async def admit_due_of(connection: Connection, job_id: int, limits: Limits) -> list[Created]:
    """Admit all due runs of one job before something that comes later, as while no replica dispatches.

    Args:
        connection: inside a transaction that holds the job's lock; the job is not deleted.
        limits: of the job, with whatever key.

    Returns:
        What was admitted; telling workers is left to the publisher.
    """
    admitted: list[Created] = []
    while more := await _admit(connection, {job_id: limits}, _BATCH, None, 0.0, lambda _: 0):
        admitted += more
    return admitted


async def next_due(db: Database) -> float | None:
    """Seconds until the next planned run is due; None when none is planned."""
    seconds: float | None = await db.fetchval("planned/next_due")
    return seconds


async def _admit(
    connection: Connection,
    jobs: Mapping[int, Limits | None],
    limit: int,
    epoch: int | None,
    publish_in: float,
    room: Callable[[str], int],
) -> list[Created]:
    """Admit what is due of these jobs; those without limits are deleted."""
    due = await connection.fetch(sql("planned/due"), list(jobs), limit) if jobs else []
    if not due:
        return []
    new = [New((row["job_id"], row["key"])) for row in due]
    limits = {each.queue: of_job._replace(key=each.queue[1]) for each in new if (of_job := jobs[each.queue[0]]) is not None}
    decisions = await decide_about(connection, new, await load_queues(connection, limits))
    admitted: list[Created] = []
    left: dict[str, int] = {}
    steps: list[tuple[int, str, str | None, int | None, str, float | None, int, int | None]] = []
    for row, d in zip(due, decisions, strict=True):
        published = False
        if d.state is State.PENDING:
            places = left.setdefault(row["type"], room(row["type"]))
            published = places > 0
            left[row["type"]] = places - 1
        blocker = d.blocker if isinstance(d.blocker, int) else None
        steps.append(
            (row["id"], d.state.value, d.reason, blocker, row["key"], publish_in if published else None, int(published), d.slot)
        )
        admitted.append(Created(row["id"], row["job_id"], row["scheduled_for"], row["type"], d.state, published=published))
    await connection.execute(sql("planned/admit"), *columns(steps, 8), epoch)
    ended = await carry_out(connection, effects(new, decisions, [row["id"] for row in due]))
    return [replace(run, replaced=tuple(ended[run.id])) if run.id in ended else run for run in admitted]
