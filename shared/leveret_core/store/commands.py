"""What people do to occurrences: trigger, cancel, requeue. Each is one transaction, safe on any replica at any time."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from leveret_core import messages
from leveret_core.errors import Conflict, NotFound
from leveret_core.states import FINAL, State
from leveret_core.store.creation import Planned, create, load_jobs
from leveret_core.store.database import Connection, Database, sql


@dataclass(frozen=True)
class Triggered:
    """The occurrence that a trigger or requeue made, or found by its idempotency key (`created` is then false)."""

    occurrence_id: int
    created: bool


@dataclass(frozen=True)
class Cancellation:
    """The state after a cancel: `cancelled`, or `cancelling` with the word to `tell` the worker that runs it."""

    state: State
    tell: messages.Cancel | None


async def trigger_job(
    db: Database, job_id: int, *, payload: bytes | None = None, idempotency_key: str | None = None, actor: str
) -> Triggered:
    """Run a job now, under its own concurrency policy: the occurrence may begin as `pending`, `waiting` or `skipped`.

    Args:
        job_id: the job; a paused one can be triggered.
        payload: JSON object instead of the job's payload.
        idempotency_key: a second call with the same key finds the first one's occurrence.
        actor: who asks, for the audit.

    Raises:
        NotFound: there is no such job, or it was deleted.
    """
    async with db.transaction() as connection:
        limits = await _lock_job(connection, job_id)
        if idempotency_key is not None:
            known = await connection.fetchval(sql("occurrences/by_idempotency_key"), job_id, idempotency_key)
            if known is not None:
                return Triggered(known, created=False)
        made = await _create_now(
            connection, job_id, limits, payload=payload, idempotency_key=idempotency_key, origin="manual", requeue_of=None
        )
        await _audit(connection, actor, "trigger", job_id, made, {"idempotency_key": idempotency_key})
        return Triggered(made, created=True)


async def requeue_occurrence(db: Database, occurrence_id: int, *, payload: bytes | None = None, actor: str) -> Triggered:
    """Repeat a final occurrence as a new one that names it; the old one stays as it is.

    Args:
        occurrence_id: the one to repeat.
        payload: JSON object instead of the old payload.
        actor: who asks, for the audit.

    Raises:
        NotFound: there is no such occurrence, or its job was deleted.
        Conflict: it has not ended yet.
    """
    async with db.transaction() as connection:
        old = await connection.fetchrow(sql("occurrences/for_requeue"), occurrence_id)
        if old is None:
            raise NotFound(f"there is no occurrence {occurrence_id}")
        if State(old["state"]) not in FINAL:
            raise Conflict(f"occurrence {occurrence_id} is {old['state']}; only one that has ended can be requeued")
        limits = await _lock_job(connection, old["job_id"])
        made = await _create_now(
            connection,
            old["job_id"],
            limits,
            payload=payload if payload is not None else old["payload"].encode(),
            idempotency_key=None,
            origin="requeue",
            requeue_of=occurrence_id,
        )
        await _audit(connection, actor, "requeue", old["job_id"], made, {"of": occurrence_id})
        return Triggered(made, created=True)


async def cancel_occurrence(db: Database, occurrence_id: int, *, reason: str, actor: str) -> Cancellation:
    """Cancel: at once what no worker runs, otherwise as soon as its worker says that it stopped.

    Args:
        occurrence_id: the one to cancel.
        reason: shown with it.
        actor: who asks, for the audit.

    Raises:
        NotFound: there is no such occurrence.
        Conflict: it is final: the cancel came too late.
    """
    async with db.transaction() as connection:
        job_id = await connection.fetchval(sql("occurrences/job_of"), occurrence_id)
        if job_id is None:
            raise NotFound(f"there is no occurrence {occurrence_id}")
        # Jobs before occurrences, as everywhere, so that no two transactions wait for each other.
        await connection.fetchrow(sql("occurrences/lock_job"), job_id)
        row = await connection.fetchrow(sql("occurrences/cancel"), occurrence_id, reason)
        if row is None:
            row = await connection.fetchrow(sql("occurrences/state_of"), occurrence_id)
            assert row is not None
            if State(row["state"]) is not State.CANCELLING:
                raise Conflict(f"occurrence {occurrence_id} is already {row['state']}; it is too late to cancel it")
        else:
            await _audit(connection, actor, "cancel", job_id, occurrence_id, {"reason": reason})
        state = State(row["state"])
        if state is State.CANCELLED:
            await release(connection, [occurrence_id])
            return Cancellation(state, None)
        tell = messages.Cancel(worker=str(row["worker_id"]), occurrence=occurrence_id, attempt=row["attempt"])
        return Cancellation(state, tell)


async def release(connection: Connection, final: list[int]) -> list[int]:
    """Give back the slots of occurrences that have just become final, and let the next in line take them.

    Args:
        connection: inside the transaction that made them final and that holds the locks of their jobs.
        final: their ids.

    Returns:
        Ids of the occurrences that became pending.
    """
    freed = await connection.fetch(sql("slots/free"), final)
    if not freed:
        return []
    promoted = await connection.fetch(sql("slots/promote"), sorted({row["job_id"] for row in freed}))
    return [row["id"] for row in promoted]


async def _lock_job(connection: Connection, job_id: int) -> tuple[str, int, int]:
    job = await connection.fetchrow(sql("occurrences/lock_job"), job_id)
    if job is None or job["deleted_at"] is not None:
        raise NotFound(f"there is no job {job_id}, or it was deleted")
    return job["concurrency"], job["max_concurrent"], job["max_waiting"]


async def _create_now(
    connection: Connection,
    job_id: int,
    limits: tuple[str, int, int],
    *,
    payload: bytes | None,
    idempotency_key: str | None,
    origin: str,
    requeue_of: int | None,
) -> int:
    tries = 0
    while True:
        # Another occurrence may stand on the same microsecond.
        now = await connection.fetchval(sql("occurrences/now"), tries)
        planned = Planned(
            job_id=job_id,
            scheduled_for=now,
            origin=origin,
            payload=payload.decode() if payload is not None else None,
            idempotency_key=idempotency_key,
            requeue_of=requeue_of,
        )
        created = await create(connection, [planned], await load_jobs(connection, {job_id: limits}))
        if created:
            return created[0].id
        tries += 1


async def _audit(
    connection: Connection, actor: str, action: str, job_id: int, occurrence_id: int, detail: dict[str, object]
) -> None:
    body = msgspec.json.encode(detail).decode()
    await connection.execute(sql("occurrences/audit"), actor, action, job_id, occurrence_id, body)
