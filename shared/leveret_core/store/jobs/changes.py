"""Changing jobs. Each change is one transaction under the job's lock, with its line in the audit; none ever fires the past."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg
import msgspec

from leveret_core import triggers
from leveret_core.concurrency import JOB_DELETED
from leveret_core.errors import Conflict, LeveretError
from leveret_core.job_definition import JobDefinition, check, default_of
from leveret_core.planning import first_due, settled
from leveret_core.store.clock.now import read_clock_in
from leveret_core.store.database import Connection, Database, sql
from leveret_core.store.jobs.definitions import definition_in, used_up, values_of
from leveret_core.store.jobs.refs import JobRef, key_of, missing
from leveret_core.store.slots.release import admit_next_of_job

_DEADLOCK_TRIES = 3


class VersionMismatch(LeveretError):
    """The caller wanted to change another version of the job than there is."""


@dataclass(frozen=True)
class Change:
    """What a change came to: `fields` names what differs now, and is empty when all was so already.

    `moved` tells whether occurrences changed with it.
    """

    job_id: int
    created: bool = False
    fields: tuple[str, ...] = ()
    moved: bool = False

    @property
    def changed(self) -> bool:
        """Whether anything is different from before."""
        return self.created or bool(self.fields)


async def create_job(db: Database, definition: JobDefinition, *, actor: str) -> Change:
    """Make a job that is due from now on.

    Args:
        actor: who asks, for the audit.

    Raises:
        Conflict: the name is taken.
        InvalidInput: the trigger would never fire.
    """
    async with db.transaction() as connection:
        made = await _insert(connection, definition, actor)
        if made is None:
            taken = await connection.fetchval(sql("jobs/resolve"), None, definition.name)
            raise Conflict(f"there is a job named {definition.name} already" + (f": job {taken}" if taken else ""))
        return made


async def put_job(db: Database, definition: JobDefinition, *, actor: str, version: int | None = None) -> Change:
    """Make the job of that name be as defined; the same definition again changes nothing.

    Args:
        actor: who asks, for the audit.
        version: what the existing job's version has to be; None for any.

    Raises:
        InvalidInput: a new or changed trigger would never fire.
        VersionMismatch: the version is another, or there is no such job.
    """
    while True:
        async with db.transaction() as connection:
            row = await connection.fetchrow(sql("jobs/lock"), None, definition.name)
            if row is None and version is not None:
                raise VersionMismatch(f"there is no job named {definition.name}")
            put = await put_in(connection, row, definition, actor=actor, version=version)
            if put is not None:
                return put
        # Another made it just now: the next turn finds that one.


async def put_in(
    connection: Connection, row: asyncpg.Record | None, definition: JobDefinition, *, actor: str, version: int | None = None
) -> Change | None:
    """As `put_job`, in the caller's transaction.

    Args:
        row: the job of that name as `jobs/lock` gave it; None when there is none.

    Returns:
        None when another transaction has just made a job of that name.
    """
    if row is None:
        return await _insert(connection, definition, actor)
    return await _update(connection, row, definition, actor=actor, version=version)


async def edit_job(
    db: Database, ref: JobRef, changes: Mapping[str, object], *, actor: str, version: int | None, payload_limit: int
) -> Change:
    """Replace some fields of a job.

    Args:
        changes: fields as JSON values; each replaces the old value whole, except `retry`, whose own fields are replaced one
            by one. None puts the default back.
        actor: who asks, for the audit.
        version: what the job's version has to be; None for any.
        payload_limit: bytes of JSON the payload may have.

    Raises:
        NotFound: there is no such job.
        InvalidInput: a value is wrong, or the new trigger would never fire.
        Conflict: the new name is taken.
        VersionMismatch: the version is another.
    """
    try:
        async with db.transaction() as connection:
            row = await _lock(connection, ref)
            given = {name: default_of(name) if value is None else value for name, value in changes.items()}
            if isinstance(retry := changes.get("retry"), Mapping):
                merged = json.loads(row["retry"]) | dict(retry)
                given["retry"] = {name: value for name, value in merged.items() if value is not None}
            checked = check(given, payload_limit=payload_limit)
            definition = msgspec.structs.replace(definition_in(row), **checked)
            return await _update(connection, row, definition, actor=actor, version=version)
    except asyncpg.UniqueViolationError as error:
        raise Conflict(f"there is a job named {changes.get('name')} already") from error


async def pause_job(db: Database, ref: JobRef, *, reason: str | None, actor: str) -> Change:
    """Stop a job from being due; it can still be triggered. Pausing a paused job replaces its reason, if that is another.

    Raises:
        NotFound: there is no such job.
    """
    async with db.transaction() as connection:
        row = await _lock(connection, ref)
        if await connection.fetchval(sql("jobs/pause"), row["id"], reason) is None:
            return Change(row["id"])
        await _audit(connection, actor, "pause", row["id"], {"reason": reason})
        return Change(row["id"], fields=("paused",))


async def resume_job(db: Database, ref: JobRef, *, actor: str) -> Change:
    """Let a paused job be due again, from now on. Resuming a job that is not paused changes nothing.

    Raises:
        NotFound: there is no such job.
    """
    async with db.transaction() as connection:
        row = await _lock(connection, ref)
        if row["paused_at"] is None:
            return Change(row["id"])
        definition = definition_in(row)
        due = None if used_up(definition, row) else triggers.next_fire_time(definition.trigger, await read_clock_in(connection))
        await connection.execute(sql("jobs/resume"), row["id"], due)
        await _audit(connection, actor, "resume", row["id"], {})
        return Change(row["id"], fields=("paused",))


async def delete_job(db: Database, ref: JobRef, *, actor: str, version: int | None = None) -> Change:
    """Delete a job: its name is free, what has not begun is cancelled, what runs finishes, its history stays.

    Raises:
        NotFound: there is no such job.
        VersionMismatch: the version is another.
    """
    tries = 1
    while True:
        try:
            async with db.transaction() as connection:
                row = await _lock(connection, ref)
                _check_version(row, version)
                return await delete_in(connection, row, actor=actor)
        except asyncpg.DeadlockDetectedError:
            # Occurrences of a job without slots are claimed without the job's lock.
            if tries == _DEADLOCK_TRIES:
                raise
            tries += 1


async def delete_in(connection: Connection, row: asyncpg.Record, *, actor: str) -> Change:
    """As `delete_job`, in the caller's transaction, which holds the job's lock and begins anew after a deadlock."""
    await connection.execute(sql("jobs/delete"), row["id"])
    cancelled = await connection.fetchval(sql("jobs/cancel_unstarted"), row["id"], JOB_DELETED)
    await _audit(connection, actor, "delete", row["id"], {"name": row["name"], "cancelled": cancelled})
    return Change(row["id"], fields=("deleted",), moved=cancelled > 0)


async def _insert(connection: Connection, definition: JobDefinition, actor: str) -> Change | None:
    now = await read_clock_in(connection)
    definition = msgspec.structs.replace(definition, trigger=settled(definition.trigger, None, now, definition.name))
    due = first_due(definition.trigger, now)
    job_id = await connection.fetchval(sql("jobs/insert"), *values_of(definition), due)
    if job_id is None:
        return None
    await _audit(connection, actor, "create", job_id, {"name": definition.name})
    return Change(job_id, created=True)


async def _update(
    connection: Connection, row: asyncpg.Record, definition: JobDefinition, *, actor: str, version: int | None
) -> Change:
    _check_version(row, version)
    old, now = definition_in(row), await read_clock_in(connection)
    definition = msgspec.structs.replace(definition, trigger=settled(definition.trigger, old.trigger, now, definition.name))
    due = row["next_fire_at"]
    if definition.trigger != old.trigger:
        due = first_due(definition.trigger, now)
    elif due is None:
        # It may have been used up before, and not be now.
        due = triggers.next_fire_time(definition.trigger, now)
    if row["paused_at"] is not None or used_up(definition, row):
        due = None
    changed = await connection.fetchrow(sql("jobs/update"), *values_of(definition), due, row["id"])
    if changed is None:
        return Change(row["id"])
    fields = tuple(changed["fields"])
    await _audit(connection, actor, "edit", row["id"], {"fields": fields, "version": changed["version"]})
    moved = bool({"concurrency", "max_concurrent", "concurrency_key"} & set(fields))
    if moved:
        if "concurrency_key" in fields:
            await connection.execute(sql("jobs/rekey"), row["id"])
        await _make_room(connection, row["id"], definition.concurrency)
    return Change(row["id"], fields=fields, moved=moved)


async def _make_room(connection: Connection, job_id: int, concurrency: str) -> None:
    """Bring the slots and the queue of a job into accord with its changed policy."""
    if concurrency == "allow":
        await connection.execute(sql("jobs/admit_all"), job_id)
        return
    # Whatever lives without a slot: the job allowed any number before, or counted by another key.
    await connection.execute(sql("jobs/give_slots"), job_id)
    await admit_next_of_job(connection, job_id)


async def _lock(connection: Connection, ref: JobRef) -> asyncpg.Record:
    row = await connection.fetchrow(sql("jobs/lock"), *key_of(ref))
    if row is None:
        raise missing(ref)
    return row


async def _audit(connection: Connection, actor: str, action: str, job_id: int, detail: dict[str, object]) -> None:
    await connection.execute(sql("jobs/audit"), actor, action, job_id, json.dumps(detail))


def _check_version(row: asyncpg.Record, version: int | None) -> None:
    if version is not None and version != row["version"]:
        raise VersionMismatch(
            f"job {row['id']} is at version {row['version']}, not {version}; read it again before changing it"
        )
