"""Backfills over REST."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from leveret_api.cursors import decode_cursor, encode_cursor
from leveret_api.json_body import JSONRoute
from leveret_api.openapi import refusals
from leveret_api.payload_checks import check_runs
from leveret_api.routers.jobs import payload_bytes
from leveret_api.routers.parameters import ACTOR, Cursor, JobRefDep
from leveret_api.schemas.backfills import Backfill, BackfillCancelRequest, BackfillPage, BackfillRequest
from leveret_api.schemas.texts import Text
from leveret_api.services import Services, ServicesDep
from leveret_core.hints import Hint
from leveret_core.store.backfills import commands as backfills
from leveret_core.store.jobs.refs import job_ref, resolve_job

router = APIRouter(prefix="/api/v1", tags=["backfills"], route_class=JSONRoute)

BackfillId = Annotated[int, Path(ge=1, lt=2**63, alias="id")]
# Each of them counts its occurrences.
Limit = Annotated[int, Query(ge=1, le=100, description="Items in the page, at most.")]
BackfillState = Annotated[Literal["running", "completed", "cancelled"] | None, Query(description="Only those in this state.")]


@router.post("/jobs/{ref}/backfills", status_code=202, operation_id="startBackfill", responses=refusals(404, 409))
async def start_backfill(ref: JobRefDep, body: BackfillRequest, services: ServicesDep, response: Response) -> Backfill:
    """Run a job for the fire times of a past range, also a paused one. It does not hold up the job's schedule."""
    payload = payload_bytes(services, body.payload)
    wanted = backfills.Wanted(
        start_at=body.start_at,
        end_at=body.end_at,
        concurrency=body.concurrency,
        max_concurrent=body.max_concurrent,
        payload=None if payload is None else payload.decode(),
    )
    await check_runs(services, [(ref, wanted.payload, "")])
    backfill_id = await backfills.start_backfill(
        services.database, ref, wanted, limit=services.settings.backfill_limit, actor=ACTOR
    )
    made = await _read(services, backfill_id)
    _tell(services, made)
    response.headers["Location"] = f"/api/v1/backfills/{backfill_id}"
    return made


@router.get("/jobs/{ref}/backfills", operation_id="listBackfillsOfJob", responses=refusals(404))
async def list_backfills_of_job(
    ref: JobRefDep, services: ServicesDep, state: BackfillState = None, limit: Limit = 50, cursor: Cursor = None
) -> BackfillPage:
    """List the backfills of a job, newest first."""
    return await _page(services, await resolve_job(services.database, ref), state, limit, cursor)


@router.get("/backfills", operation_id="listBackfills", responses=refusals(404))
async def list_backfills(
    services: ServicesDep,
    job: Annotated[Text | None, Query(description="Id of a job, which may be deleted, or the name of one that exists.")] = None,
    state: BackfillState = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> BackfillPage:
    """List backfills, newest first."""
    ref = None if job is None else job_ref(job)
    job_id = await resolve_job(services.database, ref) if isinstance(ref, str) else ref
    return await _page(services, job_id, state, limit, cursor)


@router.get("/backfills/{id}", operation_id="getBackfill", responses=refusals(404))
async def read_backfill(backfill_id: BackfillId, services: ServicesDep) -> Backfill:
    """Read a backfill and how far it is."""
    return await _read(services, backfill_id)


@router.post("/backfills/{id}/cancel", status_code=202, operation_id="cancelBackfill", responses=refusals(404, 409))
async def cancel_backfill(
    backfill_id: BackfillId, services: ServicesDep, body: BackfillCancelRequest | None = None
) -> Backfill:
    """Stop a backfill. What of it has not begun is cancelled; what runs goes on, unless `running` says otherwise."""
    body = body or BackfillCancelRequest()
    cancelled = await backfills.cancel_backfill(
        services.database, backfill_id, running=body.running, reason=body.reason, actor=ACTOR
    )
    for word in cancelled.tell:
        await services.tell(word)
    if cancelled.changed:
        services.hints.send(Hint("occurrences"))
    made = await _read(services, backfill_id)
    _tell(services, made)
    return made


async def _read(services: Services, backfill_id: int) -> Backfill:
    return Backfill.of(await backfills.get_backfill(services.database, backfill_id))


def _tell(services: Services, backfill: Backfill) -> None:
    services.hints.send(Hint("backfills", (backfill.id,)))
    services.hints.send(Hint("jobs", (backfill.job_id,)))


async def _page(services: Services, job_id: int | None, state: str | None, limit: int, cursor: str | None) -> BackfillPage:
    page = await backfills.list_backfills(
        services.database, job_id=job_id, state=state, below=decode_cursor(cursor), limit=limit
    )
    return BackfillPage(items=[Backfill.of(row) for row in page.rows], next_cursor=encode_cursor(page.next))
