"""Admitting runs that were planned for later, once they are due: under the policy that their jobs have now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from leveret_core.policy import Admission
from leveret_core.states import State
from leveret_core.store.database import Connection, columns, sql
from leveret_core.store.jobs.changes import JOB_DELETED
from leveret_core.store.occurrences.creation import Created, give_way, name_states
from leveret_core.store.slots.load import load_lines

_BATCH = 1_000
"""Runs of one job that are admitted in one go."""
_DELETED = Admission(State.CANCELLED, reason=JOB_DELETED)


async def admit_due(
    connection: Connection, *, limit: int, epoch: int, ring_timeout: float, room: Callable[[str], int]
) -> list[Created]:
    """Admit the runs that are due first; each begins, waits, is skipped, or is cancelled if its job was deleted.

    Args:
        connection: inside a transaction of the term that holds no locks on jobs or occurrences yet.
        limit: runs, at most.
        epoch: of the term.
        ring_timeout: seconds after which the sweeper rings the doorbells that the caller is going to ring.
        room: how many more doorbells of a type the broker should get.

    Returns:
        What was admitted, in the order it was planned for; the caller rings the doorbells of what is `rung` after its commit.
        Nothing, although something is due, when other transactions hold the locks of the jobs.
    """
    jobs = {row["id"]: dict(row) for row in await connection.fetch(sql("planned/lock_jobs"), limit)}
    return await _admit(connection, jobs, limit, epoch, ring_timeout, room)


async def admit_due_of(connection: Connection, job_id: int, limits: tuple[str, int, int]) -> list[Created]:
    """Admit all due runs of one job before something that comes later, as while nobody dispatches.

    Args:
        connection: inside a transaction that holds the job's lock; the job is not deleted.
        limits: (concurrency, max_concurrent, max_waiting) of the job.

    Returns:
        What was admitted; telling workers is left to the publisher.
    """
    concurrency, max_concurrent, max_waiting = limits
    job = {"concurrency": concurrency, "max_concurrent": max_concurrent, "max_waiting": max_waiting, "deleted": False}
    admitted: list[Created] = []
    while more := await _admit(connection, {job_id: job}, _BATCH, None, 0.0, lambda _: 0):
        admitted += more
    return admitted


async def _admit(
    connection: Connection,
    jobs: Mapping[int, Mapping[str, Any]],
    limit: int,
    epoch: int | None,
    ring_timeout: float,
    room: Callable[[str], int],
) -> list[Created]:
    due = await connection.fetch(sql("planned/due"), list(jobs), limit) if jobs else []
    if not due:
        return []
    lines = {(row["job_id"], row["key"]): jobs[row["job_id"]] for row in due if not jobs[row["job_id"]]["deleted"]}
    loads = await load_lines(
        connection, {line: (job["concurrency"], job["max_concurrent"], job["max_waiting"]) for line, job in lines.items()}
    )
    following = Counter((row["job_id"], row["key"]) for row in due)
    admissions: list[Admission] = []
    for row in due:
        line = (row["job_id"], row["key"])
        following[line] -= 1
        admissions.append(loads[line].admit(following[line]) if line in loads else _DELETED)
    admissions = await name_states(connection, admissions)
    admitted: list[Created] = []
    left: dict[str, int] = {}
    steps: list[tuple[int, str, str | None, int | None, str, float | None, int]] = []
    for row, a in zip(due, admissions, strict=True):
        rung = False
        if a.state is State.PENDING:
            places = left.setdefault(row["type"], room(row["type"]))
            rung = places > 0
            left[row["type"]] = places - 1
        steps.append(
            (row["id"], a.state.value, a.reason, a.blocker or None, row["key"], ring_timeout if rung else None, int(rung))
        )
        admitted.append(Created(row["id"], row["job_id"], row["scheduled_for"], row["type"], a.state, rung=rung))
    await connection.execute(sql("planned/admit"), *columns(steps, 7), epoch)

    slots: list[tuple[int, str, int, int]] = []
    first: dict[tuple[int, str], int] = {}
    last = {(row["job_id"], row["key"]): row["id"] for row in due}
    unnamed: list[tuple[int, int]] = []
    replaced: list[tuple[int, int]] = []
    for row, a in zip(due, admissions, strict=True):
        line = (row["job_id"], row["key"])
        if a.slot is not None:
            slots.append((*line, a.slot, row["id"]))
            first.setdefault(line, row["id"])
        elif a.blocker == 0:
            unnamed.append((row["id"], last[line] if loads[line].concurrency == "replace" else first[line]))
        replaced.extend((old, row["id"]) for old in a.replaces)
    if slots:
        await connection.execute(sql("slots/take"), *columns(slots, 4))
    if unnamed:
        await connection.execute(sql("occurrences/name_blockers"), *columns(unnamed, 2))
    if replaced:
        ended = await give_way(connection, replaced)
        admitted = [replace(run, replaced=tuple(ended.get(run.id, ()))) for run in admitted]
    return admitted
