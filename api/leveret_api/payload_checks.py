"""Payloads checked against what live workers take, before they are stored."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from leveret_api.services import Services
from leveret_core.errors import InvalidInput, Problem
from leveret_core.job_definition import JobDefinition
from leveret_core.store.jobs.refs import JobRef, resolve_job
from leveret_core.store.reads.jobs import JobPayload, get_job, payloads_of
from leveret_core.triggers import Manual

log = logging.getLogger(__name__)

MAX_CHECKING = 10.0
"""Seconds for the payloads of one request; those that were not looked at by then are left to the handlers."""


async def check_definition(services: Services, definition: JobDefinition) -> None:
    """Refuse a job whose payload no live handler of its type takes.

    An empty payload of a job that only runs by hand passes: each trigger brings one.

    Raises:
        InvalidInput: names the fields.
    """
    await _check_job(services, definition.type, definition.payload, by_hand=isinstance(definition.trigger, Manual))


async def check_changes(services: Services, ref: JobRef, changes: Mapping[str, Any]) -> None:
    """As `check_definition`, of the job that `changes` (JSON values) will make of an existing one.

    Raises:
        InvalidInput: names the fields.
        NotFound: there is no such job.
    """
    if not {"type", "payload", "trigger"} & changes.keys():
        return
    row = await get_job(services.database, await resolve_job(services.database, ref))
    payload = changes.get("payload", json.loads(row.payload)) or {}
    trigger = changes.get("trigger") or json.loads(row.trigger)
    await _check_job(services, changes.get("type") or row.type, payload, by_hand=trigger.get("kind") == "manual")


async def check_runs(services: Services, runs: Sequence[tuple[JobRef, str | None, str]]) -> None:
    """Refuse runs whose payload no live handler takes. Jobs that do not exist pass: those who look for them say so.

    Args:
        runs: job, JSON text of the payload (None: the job's own), and what stands before `payload` in messages.

    Raises:
        InvalidInput: names the fields.
    """
    served = await services.served.get()
    if not served.tells_schemas:
        return
    ids = [ref for ref, _, _ in runs if isinstance(ref, int)]
    names = [ref for ref, _, _ in runs if isinstance(ref, str)]
    jobs: dict[JobRef, JobPayload] = {}
    for row in await payloads_of(services.database, ids, names):
        jobs[row.id] = jobs[row.name] = row
    problems: list[Problem] = []
    end = time.monotonic() + MAX_CHECKING
    for index, (ref, payload, prefix) in enumerate(runs):
        if time.monotonic() > end:
            log.warning("%d of %d payloads of a request are left to the handlers to check", len(runs) - index, len(runs))
            break
        job = jobs.get(ref)
        if job is None:
            continue
        try:
            await served.check(job.type, json.loads(job.payload if payload is None else payload))
        except InvalidInput as error:
            problems += [Problem(prefix + problem.field, problem.message) for problem in error.problems]
    if problems:
        raise InvalidInput(problems)


async def _check_job(services: Services, job_type: str, payload: Mapping[str, Any], *, by_hand: bool) -> None:
    if payload or not by_hand:
        await (await services.served.get()).check(job_type, payload)
