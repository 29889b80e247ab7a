"""Many triggers at once, over REST."""

from __future__ import annotations

from fastapi import APIRouter

from leveret_api.json_body import JSONRoute
from leveret_api.openapi import refusals
from leveret_api.payload_checks import check_runs
from leveret_api.routers.parameters import ACTOR
from leveret_api.schemas.occurrences import BulkTriggerRequest, Occurrence, TriggeredList, TriggerItem, TriggerRequest
from leveret_api.schemas.texts import checked_key
from leveret_api.services import Services, ServicesDep
from leveret_core.errors import InvalidInput, Problem
from leveret_core.hints import Hint
from leveret_core.payload import encode_payload, text_problem
from leveret_core.store.jobs.refs import JobRef, job_ref
from leveret_core.store.planned.runs import Wanted, parse_at, schedule_runs
from leveret_core.store.reads import occurrences as occurrence_reads

router = APIRouter(prefix="/api/v1/triggers", tags=["jobs"], route_class=JSONRoute)

PATH = router.prefix
"""Where bodies may be larger than elsewhere."""
MAX_BODY = 8 * 1024 * 1024
"""Bytes of such a body, at most."""


@router.post("", status_code=202, operation_id="triggerJobs", responses=refusals(409))
async def trigger_jobs(body: BulkTriggerRequest, services: ServicesDep) -> TriggeredList:
    """Run jobs, now or later: up to 1,000 runs in one transaction, all of them or, when one is refused, none.

    Each is `scheduled` at first, also what is due now; the dispatcher admits it at once, under its job's concurrency policy.
    """
    problems: list[Problem] = []
    wanted: list[Wanted] = []
    for index, item in enumerate(body.items):
        try:
            wanted.append(wanted_run(services, _job(item, f"items.{index}."), item, prefix=f"items.{index}."))
        except InvalidInput as error:
            problems += error.problems
    if problems:
        raise InvalidInput(problems)
    await check_runs(services, [(each.job, each.payload, f"items.{index}.") for index, each in enumerate(wanted)])
    found = await schedule_runs(services.database, wanted, actor=ACTOR)
    created = [each.occurrence_id for each in found if each.created]
    if created:
        services.hints.send(Hint("occurrences", tuple(created)))
        services.hints.send(Hint("scheduled"))
    rows = {
        row.id: row for row in await occurrence_reads.get_occurrences(services.database, [each.occurrence_id for each in found])
    }
    occurrences = {id_: Occurrence.of(row) for id_, row in rows.items()}
    return TriggeredList(items=[occurrences[each.occurrence_id] for each in found], created=len(created))


def wanted_run(services: Services, job: JobRef, body: TriggerRequest, *, prefix: str = "") -> Wanted:
    """What a request asks for.

    Args:
        prefix: stands before the names of fields in error messages.

    Raises:
        InvalidInput: a value is wrong.
    """
    if body.at is not None and body.delay is not None:
        raise InvalidInput.at(f"{prefix}at", "cannot be given together with delay")
    payload = None
    if body.payload is not None:
        payload = encode_payload(body.payload, limit=services.settings.payload_limit, field=f"{prefix}payload")
    return Wanted(
        job=job,
        payload=payload,
        at=None if body.at is None else parse_at(body.at, f"{prefix}at"),
        delay=body.delay or 0.0,
        priority=body.priority,
        idempotency_key=checked_key(body.idempotency_key, f"{prefix}idempotency_key"),
    )


def _job(item: TriggerItem, prefix: str) -> JobRef:
    if isinstance(item.job, int):
        return item.job
    if problem := text_problem(item.job):
        raise InvalidInput.at(f"{prefix}job", problem)
    return job_ref(item.job)
