"""Jobs imported from a source outside, such as a host's crontab, again and again.

Each job remembers its source, its entry there and the values that the last import gave it. So an import changes only what has
changed *in the source*: what people have edited since stays, and jobs of other sources are never touched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import asyncpg
import msgspec

from leveret_core import triggers
from leveret_core.errors import InvalidInput, Problem
from leveret_core.import_pairs import Entry, pair
from leveret_core.job_definition import JobDefinition, check
from leveret_core.store.database import Connection, Database, sql
from leveret_core.store.jobs.changes import Change, delete_in, put_in
from leveret_core.store.jobs.definitions import definition_in

MAX_NAME = 200
_TRIES = 3
_NAMES = 50

Result = Literal["created", "adopted", "updated", "unchanged", "gone", "deleted", "refused"]


@dataclass(frozen=True)
class Wanted:
    """An entry of the source.

    Args:
        key: tells what is run, see `import_pairs.Entry`.
        values: the fields that the source sets, as JSON values of a job definition.
        definition: the same, checked.
    """

    key: str
    values: Mapping[str, Any]
    definition: JobDefinition


@dataclass(frozen=True)
class Imported:
    """What became of an entry, or of a job whose entry is gone.

    Args:
        name: of the job.
        result: `created`; `adopted`, an older job that is the same belongs to the source from now on; `updated`; `unchanged`;
            `gone`, the source no longer has it and the job runs on; `deleted` for that reason; `refused`, with `problem`.
        fields: what an update changed.
        problem: why it was refused, or what else a person should know.
        trigger: of the job, where it was not refused.
        change: what happened to the job; None where nothing did.
    """

    name: str
    result: Result
    fields: tuple[str, ...] = ()
    problem: str = ""
    trigger: triggers.Trigger | None = None
    change: Change | None = field(default=None, compare=False)


class _Rehearsed(Exception):
    """Undoes a transaction that was only to show what would happen."""


async def import_jobs(
    db: Database, source: str, wanted: Sequence[Wanted], *, prune: bool, dry_run: bool, actor: str, keep: bool = False
) -> list[Imported]:
    """Make the jobs of a source be what the source says now: all in one transaction.

    Args:
        source: its name; imports of the same name belong together.
        wanted: its entries.
        prune: whether jobs whose entry is gone are deleted.
        dry_run: only say what would happen.
        actor: for the audit.
        keep: whether `wanted` lacks entries that could not be read, so that nothing can be said about what is gone.

    Returns:
        One for each entry, in order, then one for each job whose entry is gone.
    """
    tries = 1
    while True:
        done: list[Imported] = []
        try:
            async with db.transaction() as connection:
                done += await _import(connection, source, wanted, prune=prune, actor=actor, keep=keep)
                if dry_run:
                    raise _Rehearsed
        except _Rehearsed:
            pass
        except asyncpg.DeadlockDetectedError:
            # Names are taken in the order of the entries, and occurrences of jobs without slots are claimed without their lock.
            if tries == _TRIES:
                raise
            tries += 1
            continue
        return done


async def _import(
    connection: Connection, source: str, wanted: Sequence[Wanted], *, prune: bool, actor: str, keep: bool
) -> list[Imported]:
    await connection.execute(sql("imports/lock_source"), source)
    rows = await connection.fetch(sql("imports/jobs"), source)
    last = [json.loads(row["imported"]) for row in rows]
    known = [Entry(row["import_key"], values["trigger"]) for row, values in zip(rows, last, strict=True)]
    pairs = pair(known, [Entry(each.key, each.values["trigger"]) for each in wanted])
    done: list[Imported] = []
    for each, place in zip(wanted, pairs, strict=True):
        try:
            if place is None:
                made = await _create(connection, source, each, actor)
            else:
                made = await _update(connection, rows[place], last[place], each, actor)
        except InvalidInput as error:
            done.append(Imported(each.definition.name, "refused", problem=_text(error.problems)))
            continue
        if made.change is not None:
            values = json.dumps(dict(each.values))
            await connection.execute(sql("imports/mark"), made.change.job_id, source, each.key, values)
        done.append(made)
    for place, row in enumerate(rows):
        if place not in pairs:
            done.append(await _gone(connection, row, prune=prune, keep=keep, actor=actor))
    return done


async def _update(connection: Connection, row: asyncpg.Record, last: Mapping[str, Any], wanted: Wanted, actor: str) -> Imported:
    trigger = triggers.load(json.loads(row["trigger"]))
    changed = {name: value for name, value in wanted.values.items() if name != "name" and last.get(name) != value}
    if not changed:
        return Imported(row["name"], "unchanged", trigger=trigger)
    if row["declaration"] is not None:
        problem = "a worker's code declares this job now; delete it there, or take the entry out of the source"
        return Imported(row["name"], "refused", problem=problem)
    definition = msgspec.structs.replace(definition_in(row), **check(changed, payload_limit=None))
    change = await put_in(connection, row, definition, actor=actor)
    assert change is not None
    # What was changed by hand to the same values before is no change.
    result: Result = "updated" if change.changed else "unchanged"
    return Imported(row["name"], result, change.fields, trigger=definition.trigger, change=change)


async def _create(connection: Connection, source: str, wanted: Wanted, actor: str) -> Imported:
    definition = wanted.definition
    same = await connection.fetchval(
        sql("imports/same"), definition.type, json.dumps(definition.payload), json.dumps(triggers.encode(definition.trigger))
    )
    if same is not None:
        row = await connection.fetchrow(sql("jobs/lock"), same, None)
        if row is not None:
            return Imported(row["name"], "adopted", trigger=definition.trigger, change=Change(same))
    for name in _names(definition.name, source):
        made = await put_in(connection, None, msgspec.structs.replace(definition, name=name), actor=actor)
        if made is not None:
            problem = "" if name == definition.name else f"another job is named {definition.name}; this one is {name}"
            return Imported(name, "created", problem=problem, trigger=definition.trigger, change=made)
    return Imported(
        definition.name, "refused", problem=f"there is a job named {definition.name} already, and {_NAMES} more like it"
    )


async def _gone(connection: Connection, row: asyncpg.Record, *, prune: bool, keep: bool, actor: str) -> Imported:
    trigger = triggers.load(json.loads(row["trigger"]))
    if keep or not prune:
        problem = "its entry is gone from the source" + (", or is one that could not be read" if keep else "")
        return Imported(row["name"], "gone", problem=f"{problem}; the job runs on", trigger=trigger)
    return Imported(row["name"], "deleted", trigger=trigger, change=await delete_in(connection, row, actor=actor))


def _names(name: str, source: str) -> list[str]:
    """The name, and others for when it is taken: with the source behind it, then with numbers."""
    where = re.sub(r"[^a-z0-9]+", "-", source.lower()).strip("-")[-40:].strip("-") or "import"
    longer = f"{name[: MAX_NAME - len(where) - 5]}-{where}"
    return [name, longer, *(f"{longer}-{number}" for number in range(2, _NAMES))]


def _text(problems: Sequence[Problem]) -> str:
    return "; ".join(f"{problem.field}: {problem.message}" for problem in problems)
