"""Occurrences over REST."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from leveret_api.cursors import decode_cursor, decode_log_cursor, decode_time_cursor, encode_cursor, encode_log_cursor
from leveret_api.openapi import refusals
from leveret_api.payload_checks import check_runs
from leveret_api.routers.jobs import occurrence_made, payload_bytes
from leveret_api.routers.parameters import ACTOR, Cursor, Limit, OccurrenceId, Text, checked_reason
from leveret_api.schemas.occurrences import (
    CancelRequest,
    LogPage,
    Occurrence,
    OccurrenceDetail,
    OccurrencePage,
    RequeueRequest,
)
from leveret_api.services import ServicesDep
from leveret_core.states import State
from leveret_core.store import commands, jobs, reads
from leveret_core.store.reads import OccurrenceFilter, Page

router = APIRouter(prefix="/api/v1/occurrences", tags=["occurrences"])


@router.get("", operation_id="listOccurrences", responses=refusals(404))
async def list_occurrences(
    services: ServicesDep,
    job: Annotated[Text | None, Query(description="Id of a job, which may be deleted, or the name of one that exists.")] = None,
    state: Annotated[list[State] | None, Query(description="One of these states.")] = None,
    type: Annotated[Text | None, Query(description="Exactly this type.")] = None,
    worker: Annotated[UUID | None, Query(description="Last attempted by this worker.")] = None,
    backfill: Annotated[int | None, Query(ge=1, lt=2**63, description="Of this backfill.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> OccurrencePage:
    """List occurrences, newest first; those of one job, the latest planned first."""
    which = OccurrenceFilter(states=sorted(set(state or ())), type=type, worker_id=worker)
    db = services.database
    ref = None if job is None else jobs.job_ref(job)
    job_id = await jobs.resolve_job(db, ref) if isinstance(ref, str) else ref
    if backfill is not None:
        below = decode_cursor(cursor)
        return _page(await reads.list_occurrences_of_backfill(db, backfill, which, job_id=job_id, below=below, limit=limit))
    if job_id is None:
        return _page(await reads.list_occurrences(db, which, below=decode_cursor(cursor), limit=limit))
    before = decode_time_cursor(cursor)
    return _page(await reads.list_occurrences_of(db, job_id, which, below=before, limit=limit))


@router.get("/{id}", operation_id="getOccurrence", responses=refusals(404))
async def read_occurrence(occurrence_id: OccurrenceId, services: ServicesDep) -> OccurrenceDetail:
    """Read an occurrence: its payload, result, error and attempts."""
    row, attempts = await reads.get_occurrence(services.database, occurrence_id)
    return OccurrenceDetail.detail(row, attempts)


@router.get("/{id}/logs", operation_id="getLogs", responses=refusals(404))
async def read_logs(
    occurrence_id: OccurrenceId,
    services: ServicesDep,
    after: Annotated[str | None, Query(description="`next_cursor`, or `attempt:seq` of the last record seen.")] = None,
    limit: Limit = 200,
) -> LogPage:
    """Read what an occurrence logged, oldest first."""
    rows = await reads.list_logs(services.database, occurrence_id, after=decode_log_cursor(after), limit=limit)
    more = len(rows) > limit
    rows = rows[:limit]
    return LogPage.of(rows, encode_log_cursor(rows[-1]["attempt"], rows[-1]["seq"]) if more else None)


@router.post("/{id}/cancel", status_code=202, operation_id="cancelOccurrence", responses=refusals(404, 409))
async def cancel_occurrence(
    occurrence_id: OccurrenceId, services: ServicesDep, body: CancelRequest | None = None
) -> Occurrence:
    """Cancel an occurrence: at once while nobody runs it, otherwise as soon as its worker has stopped it."""
    reason = checked_reason(body.reason if body else None) or "cancelled by request"
    cancellation = await commands.cancel_occurrence(services.database, occurrence_id, reason=reason, actor=ACTOR)
    if cancellation.tell is not None:
        await services.tell(cancellation.tell)
    services.occurrence_changed(occurrence_id)
    row, _ = await reads.get_occurrence(services.database, occurrence_id)
    return Occurrence.of(row)


@router.post("/{id}/requeue", status_code=202, operation_id="requeueOccurrence", responses=refusals(404, 409, 413))
async def requeue_occurrence(
    occurrence_id: OccurrenceId, services: ServicesDep, response: Response, body: RequeueRequest | None = None
) -> Occurrence:
    """Run an ended occurrence again, as a new one that names it."""
    payload = payload_bytes(services, body.payload if body else None)
    if payload is not None and (job_id := await services.database.fetchval("occurrences/job_of", occurrence_id)) is not None:
        await check_runs(services, [(job_id, payload.decode(), "")])
    made = await commands.requeue_occurrence(services.database, occurrence_id, payload=payload, actor=ACTOR)
    await services.replaced(made.replaced)
    return await occurrence_made(services, made.occurrence_id, response, created=True)


def _page(page: Page[int] | Page[datetime]) -> OccurrencePage:
    return OccurrencePage(items=[Occurrence.of(row) for row in page.rows], next_cursor=encode_cursor(page.next))
