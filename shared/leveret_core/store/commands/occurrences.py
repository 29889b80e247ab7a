"""What people do to occurrences: trigger, cancel, requeue. Each is one transaction, safe on any replica at any time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec

from leveret_core import messages
from leveret_core.concurrency import Limits
from leveret_core.errors import Conflict, NotFound
from leveret_core.states import FINAL, State
from leveret_core.store.database import Connection, Database, sql
from leveret_core.store.occurrences.creation import Created, Planned, Triggered, create
from leveret_core.store.planned.admission import admit_due_of
from leveret_core.store.slots.decisions import Replaced
from leveret_core.store.slots.load import load_queue_of_each
from leveret_core.store.slots.release import as_final, release

_NOW = datetime.min.replace(tzinfo=UTC)
"""Stands for the moment of creation, which Postgres's clock tells."""


@dataclass(frozen=True)
class Requeued:
    """The new occurrence of a requeue, and whether the old one was a dead letter that this has dealt with."""

    run: Created
    was_dead: bool


@dataclass(frozen=True)
class Cancellation:
    """The state after a cancel: `cancelled`, or `cancelling` with the word to `tell` the worker that runs it."""

    state: State
    tell: messages.Cancel | None


async def trigger_job(
    db: Database,
    job_id: int,
    *,
    payload: bytes | None = None,
    idempotency_key: str | None = None,
    priority: int | None = None,
    actor: str,
) -> Triggered:
    """Run a job now, under its own concurrency policy: the occurrence may begin as `pending`, `waiting` or `skipped`.

    Args:
        job_id: the job; a paused one can be triggered.
        payload: JSON object instead of the job's payload.
        idempotency_key: a second call with the same key finds the first one's occurrence.
        priority: 0 to 9 instead of the job's.
        actor: who asks, for the audit.

    Raises:
        NotFound: there is no such job, or it was deleted.
    """
    async with db.transaction() as connection:
        limits = await _lock_job(connection, job_id, payload)
        if idempotency_key is not None:
            known = await connection.fetchval(sql("commands/by_idempotency_key"), job_id, idempotency_key)
            if known is not None:
                return Triggered(known, created=False)
        made = await _create_now(
            connection,
            Planned(
                job_id=job_id,
                scheduled_for=_NOW,
                origin="manual",
                payload=None if payload is None else payload.decode(),
                idempotency_key=idempotency_key,
                priority=priority,
            ),
            limits,
        )
        if isinstance(made, int):
            return Triggered(made, created=False)
        await _audit(connection, actor, "trigger", job_id, made.id, {"idempotency_key": idempotency_key})
        return Triggered(made.id, created=True, replaced=made.replaced)


async def requeue_occurrence(db: Database, occurrence_id: int, *, payload: bytes | None = None, actor: str) -> Triggered:
    """Repeat a final occurrence as a new one that names it; the old one stays as it is, and is no dead letter any more.

    Args:
        occurrence_id: the one to repeat.
        payload: JSON object instead of the old payload.
        actor: who asks, for the audit.

    Raises:
        NotFound: there is no such occurrence, or its job was deleted.
        Conflict: it has not ended yet.
    """
    async with db.transaction() as connection:
        made = await requeue_in(connection, occurrence_id, lambda old: old if payload is None else payload, actor=actor)
        return Triggered(made.run.id, created=True, replaced=made.run.replaced)


async def requeue_in(
    connection: Connection, occurrence_id: int, edit: Callable[[bytes], bytes], *, actor: str, queue: bool = False
) -> Requeued:
    """As `requeue_occurrence`, in the caller's transaction.

    Args:
        edit: the new payload, made of the old one; both are JSON objects.
        queue: where its job's policy is `skip` and its slots are taken, it waits in the queue instead of being skipped.
    """
    old = await connection.fetchrow(sql("commands/for_requeue"), occurrence_id)
    if old is None:
        raise NotFound(f"there is no occurrence {occurrence_id}")
    if State(old["state"]) not in FINAL:
        raise Conflict(f"occurrence {occurrence_id} is {old['state']}; only one that has ended can be requeued")
    used = edit(old["payload"].encode())
    limits = await _lock_job(connection, old["job_id"], used)
    if queue and limits.concurrency == "skip":
        # What gives back a slot admits the next of the queue, whatever the policy of the job.
        limits = limits._replace(concurrency="queue")
    made = await _create_now(
        connection,
        Planned(
            job_id=old["job_id"],
            scheduled_for=_NOW,
            origin="requeue",
            payload=used.decode(),
            requeue_of=occurrence_id,
            priority=old["priority"],
        ),
        limits,
    )
    assert isinstance(made, Created)
    # What was skipped at once is no second try: the first one still waits for a user to deal with it.
    was_dead = made.state is not State.SKIPPED and bool(
        await connection.fetchval(sql("dead_letters/resolve"), occurrence_id, "requeued")
    )
    await _audit(connection, actor, "requeue", old["job_id"], made.id, {"of": occurrence_id})
    return Requeued(made, was_dead)


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
        await connection.fetchrow(sql("occurrences/lock_job"), job_id, None)
        row = await connection.fetchrow(sql("commands/cancel"), occurrence_id, reason)
        if row is None:
            row = await connection.fetchrow(sql("commands/state_of"), occurrence_id)
            assert row is not None
            if State(row["state"]) is not State.CANCELLING:
                raise Conflict(f"occurrence {occurrence_id} is already {row['state']}; it is too late to cancel it")
        else:
            await _audit(connection, actor, "cancel", job_id, occurrence_id, {"reason": reason})
        state = State(row["state"])
        if state is State.CANCELLED:
            await release(connection, [as_final(row)], [job_id])
            return Cancellation(state, None)
        tell = messages.Cancel(worker=str(row["worker_id"]), occurrence=occurrence_id, attempt=row["attempt"])
        return Cancellation(state, tell)


async def _lock_job(connection: Connection, job_id: int, payload: bytes | None) -> Limits:
    job = await connection.fetchrow(sql("occurrences/lock_job"), job_id, None if payload is None else payload.decode())
    if job is None or job["deleted_at"] is not None:
        raise NotFound(f"there is no job {job_id}, or it was deleted")
    return Limits(job["concurrency"], job["max_concurrent"], job["max_waiting"], job["key"])


async def _create_now(connection: Connection, planned: Planned, limits: Limits) -> Created | int:
    """Create `planned` for this moment, whatever it says; or the id of the occurrence that was given its key just now."""
    replaced: list[Replaced] = []
    if limits.concurrency != "allow":
        # What is due already goes first, although the dispatcher, who admits it, may be away.
        replaced = [old for run in await admit_due_of(connection, planned.job_id, limits) for old in run.replaced]
    tries = 0
    while True:
        # Another occurrence may stand on the same microsecond.
        now = await connection.fetchval(sql("commands/now"), tries)
        loads = await load_queue_of_each(connection, {planned.job_id: limits})
        created = await create(connection, [replace(planned, scheduled_for=now)], loads)
        if created:
            return replace(created[0], replaced=(*replaced, *created[0].replaced))
        if planned.idempotency_key is not None:
            # Runs are also planned by transactions that do not take the job's lock.
            known = await connection.fetchval(sql("commands/by_idempotency_key"), planned.job_id, planned.idempotency_key)
            if known is not None:
                return int(known)
        tries += 1


async def _audit(
    connection: Connection, actor: str, action: str, job_id: int, occurrence_id: int, detail: dict[str, object]
) -> None:
    body = msgspec.json.encode(detail).decode()
    await connection.execute(sql("commands/audit"), actor, action, job_id, occurrence_id, body)
