"""Creating occurrences: the one place where the concurrency policy meets the tables, for ticks, triggers and requeues alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from leveret_core.concurrency import New, QueueLoad, effects
from leveret_core.states import State
from leveret_core.store.database import Connection, columns, sql
from leveret_core.store.slots.decisions import Replaced, carry_out, decide_about


@dataclass(frozen=True, kw_only=True)
class Planned:
    """An occurrence to create.

    Args:
        job_id: its job, whose lock the caller holds.
        scheduled_for: the instant it is planned for; unique within the job.
        origin: `schedule`, `manual`, `requeue` or `backfill`.
        payload: JSON text instead of the job's payload.
        idempotency_key: unique within the job.
        requeue_of: the occurrence this one repeats.
        missed: for a record of ticks that will not run: how many, and the last of them.
        publish_in: seconds until the publisher tells workers (again), if it begins as `pending`; None for as soon as may be.
        published: the caller publishes its dispatch message as soon as it has committed.
        priority: 0 to 9 instead of the job's.
        backfill_id: the backfill it belongs to.
    """

    job_id: int
    scheduled_for: datetime
    origin: str
    payload: str | None = None
    idempotency_key: str | None = None
    requeue_of: int | None = None
    missed: tuple[int, datetime, str] | None = None
    publish_in: float | None = None
    published: bool = False
    priority: int | None = None
    backfill_id: int | None = None


@dataclass(frozen=True)
class Created:
    """An occurrence that now exists.

    Args:
        state: as it was inserted; one that has replaced what did not run may be pending already.
        published: its dispatch message is the caller's to publish, as it said in its `Planned`.
        replaced: what ended, or is told to end, because of it.
    """

    id: int
    job_id: int
    scheduled_for: datetime
    type: str
    state: State
    published: bool = False
    replaced: tuple[Replaced, ...] = ()


@dataclass(frozen=True)
class Triggered:
    """The occurrence that a trigger or requeue made, or found by its idempotency key (`created` is then false).

    `replaced` are the older ones that end for it; the caller tells their workers.
    """

    occurrence_id: int
    created: bool
    replaced: tuple[Replaced, ...] = ()


async def create(
    connection: Connection, planned: Sequence[Planned], loads: Mapping[int, QueueLoad], epoch: int | None = None
) -> list[Created]:
    """Admit and insert `planned` in order; those that exist already are passed over.

    Args:
        connection: inside a transaction that holds the locks of all jobs concerned.
        planned: what to create.
        loads: of the queue of each job, from `load_queue_of_each` in the same transaction.
        epoch: of the term that creates them, None for triggers by hand.

    Returns:
        What was inserted.
    """
    if not planned:
        return []
    new = [New((p.job_id, loads[p.job_id].limits.key), p.missed[2] if p.missed else None) for p in planned]
    queues = {(job_id, load.limits.key): load for job_id, load in loads.items()}
    decisions = await decide_about(connection, new, queues)
    rows = [
        (
            p.job_id,
            p.scheduled_for,
            p.origin,
            d.state.value,
            d.reason,
            d.blocker if isinstance(d.blocker, int) else None,
            p.payload,
            p.idempotency_key,
            p.requeue_of,
            p.missed[0] if p.missed else None,
            p.missed[1] if p.missed else None,
            p.publish_in if d.state is State.PENDING else None,
            int(p.published and d.state is State.PENDING),
            loads[p.job_id].limits.key,
            p.priority,
            p.backfill_id,
            d.slot,
        )
        for p, d in zip(planned, decisions, strict=True)
    ]
    inserted = await connection.fetch(sql("occurrences/create"), *columns(rows, 17), epoch)
    created = [
        Created(r["id"], r["job_id"], r["scheduled_for"], r["type"], State(r["state"]), published=r["rings"] > 0)
        for r in inserted
    ]
    ids = {(c.job_id, c.scheduled_for): c.id for c in created}
    if len(ids) < len(planned):
        absent = [(p, d) for p, d in zip(planned, decisions, strict=True) if (p.job_id, p.scheduled_for) not in ids]
        await _check_slots(connection, [p for p, d in absent if d.slot is not None])
    ended = await carry_out(connection, effects(new, decisions, [ids.get((p.job_id, p.scheduled_for)) for p in planned]))
    return [replace(c, replaced=tuple(ended[c.id])) if c.id in ended else c for c in created]


async def _check_slots(connection: Connection, absent: Sequence[Planned]) -> None:
    """What was not inserted must exist already. Another holder of a slot is no reason: then the slots were not read right."""
    if not absent:
        return
    times = [(p.job_id, p.scheduled_for, p.idempotency_key) for p in absent]
    if await connection.fetchval(sql("occurrences/count_existing"), *columns(times, 3)) < len(absent):
        jobs = sorted({p.job_id for p in absent})
        raise RuntimeError(f"a slot that was free is held by another occurrence: one of the jobs {jobs}")
