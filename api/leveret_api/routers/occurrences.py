"""Occurrences over REST."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from leveret_api.cursors import (
    LOG_CURSOR,
    decode_cursor,
    decode_end_cursor,
    decode_log_cursor,
    decode_time_cursor,
    encode_cursor,
    encode_end_cursor,
    encode_log_cursor,
)
from leveret_api.json_body import JSONRoute
from leveret_api.log_files import ENDINGS, MEDIA_TYPES, LogFormat, log_file
from leveret_api.openapi import refusals
from leveret_api.payload_checks import check_runs
from leveret_api.routers.jobs import occurrence_made, payload_bytes
from leveret_api.routers.parameters import ACTOR, Cursor, Limit, OccurrenceId, instant
from leveret_api.schemas.body import Moment
from leveret_api.schemas.occurrences import (
    CancelRequest,
    LogPage,
    Occurrence,
    OccurrenceDetail,
    OccurrencePage,
    RequeueRequest,
)
from leveret_api.schemas.texts import Text
from leveret_api.services import ServicesDep
from leveret_api.waiting import waits_for
from leveret_core.patterns import check_pattern
from leveret_core.states import State
from leveret_core.store.commands import occurrences as commands
from leveret_core.store.jobs.refs import job_ref, resolve_job
from leveret_core.store.reads import occurrences as occurrence_reads
from leveret_core.store.reads.occurrence_rows import OccurrenceRow
from leveret_core.store.reads.occurrences import OccurrenceFilter
from leveret_core.store.reads.pages import EndKey, Page

router = APIRouter(prefix="/api/v1/occurrences", tags=["occurrences"], route_class=JSONRoute)


@router.get("", operation_id="listOccurrences", responses=refusals(404))
async def list_occurrences(
    services: ServicesDep,
    job: Annotated[Text | None, Query(description="Id of a job, which may be deleted, or the name of one that exists.")] = None,
    state: Annotated[list[State] | None, Query(description="One of these states.")] = None,
    type: Annotated[
        Text | None, Query(description="A type, or a pattern: `*` is one word of it, `#` any number.", examples=["sendemail.*"])
    ] = None,
    since: Annotated[Moment | None, Query(description="Ended at this time or later; without an offset in UTC.")] = None,
    until: Annotated[Moment | None, Query(description="Ended before this time; without an offset in UTC.")] = None,
    error: Annotated[
        Text | None,
        Query(max_length=500, description="Failed or timed out with this in the error's type or message, or in the reason."),
    ] = None,
    worker: Annotated[UUID | None, Query(description="Last attempted by this worker.")] = None,
    backfill: Annotated[int | None, Query(ge=1, lt=2**63, description="Of this backfill.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> OccurrencePage:
    """List occurrences, newest first; those of one job, the latest planned first; with a time, the last to end first."""
    which = OccurrenceFilter(
        states=sorted(set(state or ())),
        type=None if type is None else check_pattern(type, "type"),
        worker_id=worker,
        error=error,
        since=instant("since", since),
        until=instant("until", until),
    )
    db = services.database
    ref = None if job is None else job_ref(job)
    job_id = await resolve_job(db, ref) if isinstance(ref, str) else ref
    if backfill is not None:
        below = decode_cursor(cursor)
        return _page(
            await occurrence_reads.list_occurrences_of_backfill(db, backfill, which, job_id=job_id, below=below, limit=limit)
        )
    if job_id is None and which.by_end:
        return _page(await occurrence_reads.list_occurrences_ended(db, which, below=decode_end_cursor(cursor), limit=limit))
    if job_id is None:
        return _page(await occurrence_reads.list_occurrences(db, which, below=decode_cursor(cursor), limit=limit))
    before = decode_time_cursor(cursor)
    return _page(await occurrence_reads.list_occurrences_of(db, job_id, which, below=before, limit=limit))


@router.get("/{id}", operation_id="getOccurrence", responses=refusals(404))
async def read_occurrence(occurrence_id: OccurrenceId, services: ServicesDep) -> OccurrenceDetail:
    """Read an occurrence: its payload, result, error and attempts."""
    row, attempts = await occurrence_reads.get_occurrence(services.database, occurrence_id)
    return OccurrenceDetail.detail(row, attempts, await waits_for(services, row))


@router.get("/{id}/logs", operation_id="getLogs", responses=refusals(404))
async def read_logs(
    occurrence_id: OccurrenceId,
    services: ServicesDep,
    after: Annotated[
        Annotated[str, Field(json_schema_extra={"pattern": f"^{LOG_CURSOR}$"})] | None,
        Query(description="`next_cursor`, or `attempt:seq` of the last record seen."),
    ] = None,
    limit: Limit = 200,
) -> LogPage:
    """Read what an occurrence logged, oldest first."""
    rows = await occurrence_reads.list_logs(services.database, occurrence_id, after=decode_log_cursor(after), limit=limit)
    more = len(rows) > limit
    rows = rows[:limit]
    return LogPage.of(rows, encode_log_cursor(rows[-1].attempt, rows[-1].seq) if more else None)


@router.get(
    "/{id}/logs/file",
    operation_id="getLogFile",
    response_class=StreamingResponse,
    responses=refusals(404) | {200: {"description": "The log", "content": {media: {} for media in MEDIA_TYPES.values()}}},
)
async def read_log_file(
    occurrence_id: OccurrenceId,
    services: ServicesDep,
    format: Annotated[LogFormat, Query(description="`text` for people; `ndjson` has a JSON object in each line.")] = "text",
) -> StreamingResponse:
    """Download all that an occurrence logged so far, oldest first."""
    pieces = log_file(services.database, occurrence_id, format)
    first = await anext(pieces)

    async def whole() -> AsyncGenerator[str]:
        yield first
        async for piece in pieces:
            yield piece

    name = f"occurrence-{occurrence_id}.{ENDINGS[format]}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(whole(), media_type=MEDIA_TYPES[format], headers=headers)


@router.post("/{id}/cancel", status_code=202, operation_id="cancelOccurrence", responses=refusals(404, 409))
async def cancel_occurrence(
    occurrence_id: OccurrenceId, services: ServicesDep, body: CancelRequest | None = None
) -> Occurrence:
    """Cancel an occurrence: at once while no worker runs it, otherwise as soon as its worker has stopped it."""
    reason = (body and body.reason) or "cancelled by request"
    cancellation = await commands.cancel_occurrence(services.database, occurrence_id, reason=reason, actor=ACTOR)
    if cancellation.tell is not None:
        await services.tell(cancellation.tell)
    services.occurrence_changed(occurrence_id)
    row, _ = await occurrence_reads.get_occurrence(services.database, occurrence_id)
    return Occurrence.of(row)


@router.post("/{id}/requeue", status_code=202, operation_id="requeueOccurrence", responses=refusals(404, 409))
async def requeue_occurrence(
    occurrence_id: OccurrenceId, services: ServicesDep, response: Response, body: RequeueRequest | None = None
) -> Occurrence:
    """Run an ended occurrence again, as a new one that names it."""
    payload = payload_bytes(services, body.payload if body else None)
    if payload is not None and (job_id := await occurrence_reads.job_of(services.database, occurrence_id)) is not None:
        await check_runs(services, [(job_id, payload.decode(), "")])
    made = await commands.requeue_occurrence(services.database, occurrence_id, payload=payload, actor=ACTOR)
    await services.replaced(made.replaced)
    return await occurrence_made(services, made.occurrence_id, response, created=True)


def _page(page: Page[OccurrenceRow, int] | Page[OccurrenceRow, datetime] | Page[OccurrenceRow, EndKey]) -> OccurrencePage:
    cursor = encode_end_cursor(page.next) if isinstance(page.next, tuple) else encode_cursor(page.next)
    return OccurrencePage(items=[Occurrence.of(row) for row in page.rows], next_cursor=cursor, looked_at=page.looked_at)
