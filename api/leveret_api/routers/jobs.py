"""Jobs over REST."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response
from fastapi.responses import Response as Answer

from leveret_api.cursors import decode_cursor, encode_cursor
from leveret_api.json_body import JSONRoute
from leveret_api.openapi import refusals
from leveret_api.payload_checks import check_changes, check_definition, check_runs
from leveret_api.routers.parameters import (
    ACTOR,
    Cursor,
    IfMatch,
    JobRefDep,
    Limit,
    tag,
)
from leveret_api.routers.triggers import wanted_run
from leveret_api.schemas.jobs import Job, JobCreate, JobPage, JobPatch, JobPut, Name, PauseRequest
from leveret_api.schemas.occurrences import Occurrence, TriggerRequest
from leveret_api.schemas.texts import IdempotencyKey, Text, checked_key
from leveret_api.schemas.triggers import FireTimes
from leveret_api.services import Services, ServicesDep
from leveret_core import triggers
from leveret_core.errors import Conflict, InvalidInput
from leveret_core.hints import Hint
from leveret_core.payload import encode_payload
from leveret_core.store.clock.now import read_clock
from leveret_core.store.commands import occurrences as commands
from leveret_core.store.jobs import changes as job_changes
from leveret_core.store.jobs.changes import Change, VersionMismatch
from leveret_core.store.jobs.refs import resolve_job
from leveret_core.store.planned.runs import schedule_runs
from leveret_core.store.reads import jobs as job_reads
from leveret_core.store.reads import occurrences as occurrence_reads
from leveret_core.store.reads.jobs import JobFilter

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"], route_class=JSONRoute)


@router.post("", status_code=201, operation_id="createJob", responses=refusals(409))
async def create_job(body: JobCreate, services: ServicesDep, response: Response) -> Job:
    """Create a job. It is due from now on, never for the past."""
    definition = body.definition(services.settings.payload_limit)
    await check_definition(services, definition)
    change = await job_changes.create_job(services.database, definition, actor=ACTOR)
    return await _changed(services, change, response)


@router.get("", operation_id="listJobs")
async def list_jobs(
    services: ServicesDep,
    type: Annotated[Text | None, Query(description="Exactly this type.")] = None,
    tag: Annotated[Text | None, Query(description="With this tag.")] = None,
    paused: Annotated[bool | None, Query(description="Only paused jobs, or only others.")] = None,
    search: Annotated[Text | None, Query(max_length=200, description="A part of the name, type or description.")] = None,
    served: Annotated[bool | None, Query(description="Only jobs whose type a live worker serves, or only others.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> JobPage:
    """List jobs, newest first."""
    serving = await services.served.get()
    which = JobFilter(
        type=type,
        tag=tag,
        paused=paused,
        search=search,
        served=served,
        served_types=serving.expression if served is not None else "",
    )
    page = await job_reads.list_jobs(services.database, which, below=decode_cursor(cursor), limit=limit)
    return JobPage(items=[Job.of(row, serving) for row in page.rows], next_cursor=encode_cursor(page.next))


@router.get("/{ref}", operation_id="getJob", responses=refusals(404))
async def read_job(ref: JobRefDep, services: ServicesDep, response: Response) -> Job:
    """Read a job."""
    return await _job(services, await resolve_job(services.database, ref), response)


@router.put(
    "/{ref}",
    operation_id="putJob",
    responses=refusals(412) | {201: {"model": Job, "description": "There was no such job; now there is"}},
)
async def put_job(
    name: Annotated[Name, Path(alias="ref", description="Name of the job.")],
    body: JobPut,
    services: ServicesDep,
    if_match: IfMatch,
    response: Response,
) -> Job:
    """Make the job of this name be as defined, whether it exists or not. The same again changes nothing."""
    definition = body.definition(name, services.settings.payload_limit)
    await check_definition(services, definition)
    change = await job_changes.put_job(services.database, definition, actor=ACTOR, version=if_match)
    return await _changed(services, change, response)


@router.patch("/{ref}", operation_id="editJob", responses=refusals(404, 409, 412))
async def edit_job(ref: JobRefDep, body: JobPatch, services: ServicesDep, if_match: IfMatch, response: Response) -> Job:
    """Change some fields of a job. A new trigger counts from now; an edit never fires the past."""
    changes = body.changes()
    await check_changes(services, ref, changes)
    try:
        change = await job_changes.edit_job(
            services.database,
            ref,
            changes,
            actor=ACTOR,
            version=if_match if if_match is not None else body.version,
            payload_limit=services.settings.payload_limit,
        )
    except VersionMismatch as error:
        if if_match is None:
            raise Conflict(str(error)) from error
        raise
    return await _changed(services, change, response)


@router.delete("/{ref}", status_code=204, operation_id="deleteJob", responses=refusals(404, 412))
async def delete_job(ref: JobRefDep, services: ServicesDep, if_match: IfMatch) -> Answer:
    """Delete a job. Its name is free, what has not begun is cancelled, what runs finishes, its history stays."""
    change = await job_changes.delete_job(services.database, ref, actor=ACTOR, version=if_match)
    services.job_changed(change.job_id, occurrences=change.moved)
    return Answer(status_code=204)


@router.post(
    "/{ref}/trigger",
    status_code=202,
    operation_id="triggerJob",
    responses=refusals(404) | {200: {"model": Occurrence, "description": "This idempotency key was used before"}},
)
async def trigger_job(
    ref: JobRefDep,
    services: ServicesDep,
    response: Response,
    body: TriggerRequest | None = None,
    idempotency_key: Annotated[
        IdempotencyKey | None, Header(alias="Idempotency-Key", description="As `idempotency_key` in the body.")
    ] = None,
) -> Occurrence:
    """Run a job now or later, also a paused one. What is to run later is `scheduled` until then, and can be cancelled.

    The job's concurrency policy holds as soon as the run is due: it may have to wait, or be skipped.
    """
    body = body or TriggerRequest()
    job_id = await resolve_job(services.database, ref)
    wanted = wanted_run(services, job_id, body)
    key = wanted.idempotency_key
    header = checked_key(idempotency_key, "Idempotency-Key")
    if key is not None and header is not None and key != header:
        raise InvalidInput.at("idempotency_key", "is not the one in the header Idempotency-Key")
    await check_runs(services, [(job_id, wanted.payload, "")])
    if wanted.delay or (wanted.at is not None and wanted.at > await read_clock(services.database)):
        wanted = replace(wanted, idempotency_key=key or header)
        (planned,) = await schedule_runs(services.database, [wanted], actor=ACTOR)
        services.hints.send(Hint("scheduled"))
        return await occurrence_made(services, planned.occurrence_id, response, created=planned.created)
    triggered = await commands.trigger_job(
        services.database,
        job_id,
        payload=None if wanted.payload is None else wanted.payload.encode(),
        idempotency_key=key or header,
        priority=body.priority,
        actor=ACTOR,
    )
    await services.replaced(triggered.replaced)
    return await occurrence_made(services, triggered.occurrence_id, response, created=triggered.created)


@router.post("/{ref}/pause", operation_id="pauseJob", responses=refusals(404))
async def pause_job(ref: JobRefDep, services: ServicesDep, response: Response, body: PauseRequest | None = None) -> Job:
    """Stop a job from being due. It can still be triggered."""
    reason = body.reason if body else None
    return await _changed(services, await job_changes.pause_job(services.database, ref, reason=reason, actor=ACTOR), response)


@router.post("/{ref}/resume", operation_id="resumeJob", responses=refusals(404))
async def resume_job(ref: JobRefDep, services: ServicesDep, response: Response) -> Job:
    """Let a paused job be due again, from now on; what it missed while paused does not run."""
    return await _changed(services, await job_changes.resume_job(services.database, ref, actor=ACTOR), response)


@router.get("/{ref}/next", operation_id="nextFireTimes", responses=refusals(404))
async def next_fire_times(
    ref: JobRefDep,
    services: ServicesDep,
    count: Annotated[int, Query(ge=1, le=1000)] = 5,
    until: Annotated[
        Text | None, Query(description="Up to this moment, itself included; without an offset, wall time in the job's zone.")
    ] = None,
) -> FireTimes:
    """When a job will be due; for a paused one, when it would be."""
    row = await job_reads.get_job(services.database, await resolve_job(services.database, ref))
    job = Job.of(row, await services.served.get())
    left = count if job.max_runs is None else max(0, min(count, job.max_runs - job.runs))
    trigger = triggers.load(job.trigger.model_dump())
    now = await read_clock(services.database)
    end = None if until is None else triggers.parse_after(until, triggers.timezone_of(trigger), "until")
    return FireTimes.of(trigger, now, left, end)


def payload_bytes(services: Services, payload: dict[str, object] | None) -> bytes | None:
    """A payload as the store takes it. Raises `InvalidInput`."""
    return None if payload is None else encode_payload(payload, limit=services.settings.payload_limit).encode()


async def occurrence_made(services: Services, occurrence_id: int, response: Response, *, created: bool) -> Occurrence:
    """The answer to a request that made an occurrence, or found the one that an earlier request made."""
    if created:
        services.occurrence_changed(occurrence_id)
    row, _ = await occurrence_reads.get_occurrence(services.database, occurrence_id)
    response.status_code = 202 if created else 200
    response.headers["Location"] = f"/api/v1/occurrences/{occurrence_id}"
    return Occurrence.of(row)


async def _changed(services: Services, change: Change, response: Response) -> Job:
    if change.changed:
        services.job_changed(change.job_id, occurrences=change.moved)
    if change.created:
        response.status_code = 201
        response.headers["Location"] = f"/api/v1/jobs/{change.job_id}"
    return await _job(services, change.job_id, response)


async def _job(services: Services, job_id: int, response: Response) -> Job:
    row = await job_reads.get_job(services.database, job_id)
    tag(response, row.version)
    return Job.of(row, await services.served.get())
