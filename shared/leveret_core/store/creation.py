"""Creating occurrences: the one place where the concurrency policy meets the tables, for ticks, triggers and requeues alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from leveret_core.policy import Admission, JobLoad
from leveret_core.states import State
from leveret_core.store.database import Connection, columns, sql


@dataclass(frozen=True, kw_only=True)
class Planned:
    """An occurrence to create.

    Args:
        job_id: its job, whose lock the caller holds.
        scheduled_for: the instant it is planned for; unique within the job.
        origin: `schedule`, `manual` or `requeue`.
        payload: JSON text instead of the job's payload.
        idempotency_key: unique within the job.
        requeue_of: the occurrence this one repeats.
        missed: for a record of ticks that will not run: how many, and the last of them.
        ring_in: seconds until the sweeper rings its doorbell, if it begins as `pending`; None leaves it to the publisher.
        rung: the caller rings the doorbell itself as soon as it has committed.
    """

    job_id: int
    scheduled_for: datetime
    origin: str
    payload: str | None = None
    idempotency_key: str | None = None
    requeue_of: int | None = None
    missed: tuple[int, datetime, str] | None = None
    ring_in: float | None = None
    rung: bool = False


@dataclass(frozen=True)
class Created:
    """An occurrence that now exists."""

    id: int
    job_id: int
    scheduled_for: datetime
    type: str
    state: State


async def load_jobs(connection: Connection, limits: Mapping[int, tuple[str, int, int]]) -> dict[int, JobLoad]:
    """How busy the jobs are. `limits`: job id → (concurrency, max_concurrent, max_waiting); the caller holds their locks."""
    loads = {job_id: JobLoad(*limit) for job_id, limit in limits.items()}
    limited = [job_id for job_id, load in loads.items() if load.concurrency != "allow"]
    if limited:
        for row in await connection.fetch(sql("slots/of_jobs"), limited):
            loads[row["job_id"]].taken[row["n"]] = row["occurrence_id"]
        queued = [job_id for job_id in limited if loads[job_id].taken]
        if queued:
            for row in await connection.fetch(sql("occurrences/count_waiting"), queued):
                loads[row["job_id"]].waiting = row["waiting"]
    return loads


async def create(
    connection: Connection, planned: Sequence[Planned], loads: Mapping[int, JobLoad], epoch: int | None = None
) -> list[Created]:
    """Admit and insert `planned` in order; those that exist already are passed over.

    Args:
        connection: inside a transaction that holds the locks of all jobs concerned.
        planned: what to create.
        loads: from `load_jobs` in the same transaction; counts on.
        epoch: of the term that creates them, None for triggers by hand.

    Returns:
        What was inserted.
    """
    if not planned:
        return []
    admissions = [Admission(State.MISSED, reason=p.missed[2]) if p.missed else loads[p.job_id].admit() for p in planned]
    rows = [
        (
            p.job_id,
            p.scheduled_for,
            p.origin,
            a.state.value,
            a.reason,
            a.blocker or None,
            p.payload,
            p.idempotency_key,
            p.requeue_of,
            p.missed[0] if p.missed else None,
            p.missed[1] if p.missed else None,
            p.ring_in if a.state is State.PENDING else None,
            int(p.rung and a.state is State.PENDING),
        )
        for p, a in zip(planned, admissions, strict=True)
    ]
    inserted = await connection.fetch(sql("occurrences/create"), *columns(rows, 13), epoch)
    created = [Created(r["id"], r["job_id"], r["scheduled_for"], r["type"], State(r["state"])) for r in inserted]
    by_key = {(c.job_id, c.scheduled_for): c for c in created}
    slots: list[tuple[int, int, int]] = []
    first_of_batch: dict[int, int] = {}
    unnamed: list[tuple[int, int]] = []
    for p, a in zip(planned, admissions, strict=True):
        made = by_key.get((p.job_id, p.scheduled_for))
        if made is None:
            continue
        if a.slot is not None:
            slots.append((p.job_id, a.slot, made.id))
            first_of_batch.setdefault(p.job_id, made.id)
        elif a.blocker == 0 and p.job_id in first_of_batch:
            unnamed.append((made.id, first_of_batch[p.job_id]))
    if slots:
        await connection.execute(sql("slots/take"), *columns(slots, 3))
    if unnamed:
        await connection.execute(sql("occurrences/name_blockers"), *columns(unnamed, 2))
    return created
