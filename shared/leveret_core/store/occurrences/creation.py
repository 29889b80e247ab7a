"""Creating occurrences: the one place where the concurrency policy meets the tables, for ticks, triggers and requeues alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from leveret_core import messages
from leveret_core.policy import Admission, JobLoad, named
from leveret_core.states import State
from leveret_core.store.database import Connection, columns, sql
from leveret_core.store.slots.holders import release
from leveret_core.store.slots.load import load_lines


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
        ring_in: seconds until the sweeper rings its doorbell, if it begins as `pending`; None leaves it to the publisher.
        rung: the caller rings the doorbell itself as soon as it has committed.
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
    ring_in: float | None = None
    rung: bool = False
    priority: int | None = None
    backfill_id: int | None = None


@dataclass(frozen=True)
class Replaced:
    """An occurrence that had to end for a newer one; `tell` is the word to its worker, when one runs it."""

    id: int
    tell: messages.Cancel | None


@dataclass(frozen=True)
class Created:
    """An occurrence that now exists.

    Args:
        state: as it was inserted; one that has replaced what did not run may be pending already.
        rung: its doorbell is the caller's to ring, as it said in its `Planned`.
        replaced: what ended, or is told to end, because of it.
    """

    id: int
    job_id: int
    scheduled_for: datetime
    type: str
    state: State
    rung: bool = False
    replaced: tuple[Replaced, ...] = ()


Limits: TypeAlias = tuple[str, int, int] | tuple[str, int, int, str]
"""(concurrency, max_concurrent, max_waiting, concurrency key of what is to be created; empty when left out)."""


async def load_jobs(connection: Connection, limits: Mapping[int, Limits]) -> dict[int, JobLoad]:
    """How busy the jobs are, by id, whose locks the caller holds."""
    lines = {(job_id, limit[3] if len(limit) == 4 else ""): limit[:3] for job_id, limit in limits.items()}
    return {job_id: load for (job_id, _), load in (await load_lines(connection, lines)).items()}


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
    admissions = await name_states(connection, _admissions(planned, loads))
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
            loads[p.job_id].key,
            p.priority,
            p.backfill_id,
        )
        for p, a in zip(planned, admissions, strict=True)
    ]
    inserted = await connection.fetch(sql("occurrences/create"), *columns(rows, 16), epoch)
    created = [
        Created(r["id"], r["job_id"], r["scheduled_for"], r["type"], State(r["state"]), rung=r["rings"] > 0) for r in inserted
    ]
    by_key = {(c.job_id, c.scheduled_for): c for c in created}
    slots: list[tuple[int, str, int, int]] = []
    first_of_batch: dict[int, int] = {}
    last_of_batch = {c.job_id: c.id for c in created}
    unnamed: list[tuple[int, int]] = []
    replaced: list[tuple[int, int]] = []
    for p, a in zip(planned, admissions, strict=True):
        made = by_key.get((p.job_id, p.scheduled_for))
        if made is None:
            continue
        if a.slot is not None:
            slots.append((p.job_id, loads[p.job_id].key, a.slot, made.id))
            first_of_batch.setdefault(p.job_id, made.id)
        elif a.blocker == 0 and loads[p.job_id].concurrency == "replace":
            unnamed.append((made.id, last_of_batch[p.job_id]))
        elif a.blocker == 0 and p.job_id in first_of_batch:
            unnamed.append((made.id, first_of_batch[p.job_id]))
        replaced.extend((old, made.id) for old in a.replaces)
    if slots:
        await connection.execute(sql("slots/take"), *columns(slots, 4))
    if unnamed:
        await connection.execute(sql("occurrences/name_blockers"), *columns(unnamed, 2))
    if replaced:
        ended = await give_way(connection, replaced)
        created = [replace(c, replaced=tuple(ended.get(c.id, ()))) for c in created]
    return created


def _admissions(planned: Sequence[Planned], loads: Mapping[int, JobLoad]) -> list[Admission]:
    following = Counter(p.job_id for p in planned if not p.missed)
    admissions: list[Admission] = []
    for p in planned:
        if p.missed:
            admissions.append(Admission(State.MISSED, reason=p.missed[2]))
            continue
        following[p.job_id] -= 1
        admissions.append(loads[p.job_id].admit(following[p.job_id]))
    return admissions


async def name_states(connection: Connection, admissions: Sequence[Admission]) -> list[Admission]:
    """Let what is skipped say in which state its blocker was; the caller holds the locks of the jobs."""
    blockers = {a.blocker for a in admissions if a.state is State.SKIPPED and a.blocker}
    if not blockers:
        return list(admissions)
    states = {row["id"]: row["state"] for row in await connection.fetch(sql("occurrences/states_of"), sorted(blockers))}
    return [named(a, states[a.blocker]) if a.state is State.SKIPPED and a.blocker in states else a for a in admissions]


async def give_way(connection: Connection, pairs: Sequence[tuple[int, int]]) -> dict[int, list[Replaced]]:
    """End the first of each pair of ids for the second; what did not run makes room at once. By the id of the second.

    Args:
        connection: inside a transaction that holds the locks of their jobs.
        pairs: (older, newer) occurrences.
    """
    ended: dict[int, list[Replaced]] = {}
    # All in order, as claims lock them without their jobs.
    await connection.execute(sql("occurrences/lock"), [old for old, _ in pairs])
    final: list[int] = []
    locked: set[int] = set()
    for row in await connection.fetch(sql("occurrences/replace"), *columns(sorted(pairs), 2)):
        tell = None
        if row["state"] == "cancelling":
            tell = messages.Cancel(worker=str(row["worker_id"]), occurrence=row["id"], attempt=row["attempt"])
        else:
            final.append(row["id"])
            locked.add(row["job_id"])
        ended.setdefault(row["by"], []).append(Replaced(row["id"], tell))
    await release(connection, final, locked)
    return ended
