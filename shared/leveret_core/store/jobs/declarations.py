"""Jobs declared in the code of workers, made true by whichever worker comes first.

A declaration is told by its digest. It changes its job once, when it comes into force; the same one again changes nothing,
whatever people have done to the job since. One that was never seen is newer than the one in force, and replaces it. One that
was in force before is an older release's (or one's that came back), and replaces it only when no live worker declares the one
in force any more. So a rolling deploy changes each job once, however often its workers restart.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any
from uuid import UUID

from leveret_core.errors import Conflict, InvalidInput, Problem
from leveret_core.job_definition import JobDefinition, define
from leveret_core.messages import Declared, DeclaredJob
from leveret_core.messages.fields import MAX_NAME, one_line
from leveret_core.store.database import Database, sql
from leveret_core.store.errors import is_data_error
from leveret_core.store.jobs.changes import Change, put_in

MAX_JOBS = 1_000
"""Jobs that one worker may declare."""
BY_HAND = "was not made by code, which therefore leaves it alone; delete it, or declare another name"
BREATH = 50
"""Definitions that are looked at before others get a turn of the event loop."""


async def declare_jobs(
    db: Database, worker: UUID, jobs: Sequence[Mapping[str, Any]], *, payload_limit: int, actor: str
) -> tuple[Declared | None, list[Change]]:
    """Make true what a worker declares, where it is not.

    Args:
        worker: the incarnation that declares, which stands for it while it lives.
        jobs: job definitions as JSON objects.
        payload_limit: bytes of JSON a payload may have.
        actor: for the audit.

    Returns:
        The answer to the worker, None when it is not known or has ended; and what has changed. A job whose definition is wrong,
        or that code may not change, is a problem and stays as it is; the others are made true.
    """
    definitions, problems = await _definitions(jobs, payload_limit)
    named = {definition.name for definition in definitions}
    digests = {name: digest_of(values) for values in jobs if isinstance(name := values.get("name"), str) and name in named}
    if await db.fetchval("workers/declare", worker, sorted(digests.values())) is None:
        return None, []
    in_force = {row["name"]: row["declaration"] for row in await db.fetch("jobs/declared", list(digests))}
    results: list[DeclaredJob] = []
    changes: list[Change] = []
    for definition in definitions:
        name = definition.name
        if in_force.get(name) == digests[name]:
            results.append(DeclaredJob(name=name, result="unchanged"))
            continue
        try:
            change = await _declare(db, definition, digests[name], actor)
        except InvalidInput as error:
            problems += _texts(name, error.problems)
            continue
        except Conflict as error:
            problems.append(f"job {name}: {error}")
            continue
        except Exception as error:
            if not is_data_error(error):
                raise
            problems.append(f"job {name}: Postgres does not take it: {one_line(str(error))}")
            continue
        if change is None:
            results.append(DeclaredJob(name=name, result="superseded"))
            continue
        changes.append(change)
        results.append(
            DeclaredJob(name=name, result="created" if change.created else "updated" if change.changed else "unchanged")
        )
    return Declared(jobs=results, problems=problems), changes


def digest_of(values: Mapping[str, Any]) -> str:
    """What tells a declaration from every other, of this job or another."""
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]


async def _declare(db: Database, definition: JobDefinition, digest: str, actor: str) -> Change | None:
    # One transaction a job: a transaction that locks several locks them in the order of their ids, which only the jobs know.
    while True:
        async with db.transaction() as connection:
            row = await connection.fetchrow(sql("jobs/lock"), None, definition.name)
            if row is not None:
                if row["declaration"] == digest:
                    return Change(row["id"])
                if row["declaration"] is None:
                    raise Conflict(BY_HAND)
                if digest in row["former_declarations"] and await connection.fetchval(
                    sql("workers/announces"), row["declaration"]
                ):
                    return None
            change = await put_in(connection, row, definition, actor=actor)
            if change is not None:
                await connection.execute(sql("jobs/declare"), change.job_id, digest)
                return change
        # Another worker of the same code made it just now: the next turn finds it.


async def _definitions(jobs: Sequence[Mapping[str, Any]], payload_limit: int) -> tuple[list[JobDefinition], list[str]]:
    definitions: dict[str, JobDefinition] = {}
    twice: set[str] = set()
    problems: list[str] = []
    if len(jobs) > MAX_JOBS:
        return [], [f"{len(jobs)} jobs are declared; at most {MAX_JOBS} are allowed"]
    for number, values in enumerate(jobs, start=1):
        if number % BREATH == 0:
            await asyncio.sleep(0)
        name = one_line(str(values.get("name", "")), MAX_NAME)
        try:
            definition = define(values, payload_limit=payload_limit)
        except InvalidInput as error:
            problems += _texts(name, error.problems)
            continue
        if definition.name in definitions:
            problems.append(f"job {name}: is declared twice; give one of them another name=")
            twice.add(definition.name)
        definitions[definition.name] = definition
    return [each for name, each in definitions.items() if name not in twice], problems


def _texts(name: str, problems: Sequence[Problem]) -> list[str]:
    return [f"job {name}: {problem.field}: {problem.message}" for problem in problems]
