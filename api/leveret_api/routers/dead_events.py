"""Dead events over REST."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query

from leveret_api.cursors import decode_cursor, encode_cursor
from leveret_api.json_body import JSONRoute
from leveret_api.openapi import refusals
from leveret_api.routers.parameters import ACTOR, Cursor, Limit
from leveret_api.schemas.dead_events import DeadEvent, DeadEventBytes, DeadEventPage, DeadEventReplay
from leveret_api.services import ServicesDep
from leveret_core.store.dead_events import quarantine

router = APIRouter(prefix="/api/v1/dead-events", tags=["dead events"], route_class=JSONRoute)

DeadEventId = Annotated[int, Path(ge=1, lt=2**63, alias="id")]


@router.get("", operation_id="listDeadEvents")
async def list_dead_events(
    services: ServicesDep,
    worker: Annotated[UUID | None, Query(description="Only of this worker.")] = None,
    occurrence: Annotated[int | None, Query(ge=1, lt=2**63, description="Only about this occurrence.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> DeadEventPage:
    """List events of workers that could not be applied, newest first."""
    page = await quarantine.list_dead_events(
        services.database, worker=worker, occurrence=occurrence, below=decode_cursor(cursor), limit=limit
    )
    return DeadEventPage(items=[DeadEvent.of(row) for row in page.rows], next_cursor=encode_cursor(page.next))


@router.get("/{id}", operation_id="getDeadEvent", responses=refusals(404))
async def read_dead_event(dead_event_id: DeadEventId, services: ServicesDep) -> DeadEventBytes:
    """Read one with its bytes."""
    return DeadEventBytes.whole(await quarantine.read_dead_event(services.database, dead_event_id))


@router.delete("/{id}", status_code=204, operation_id="discardDeadEvent", responses=refusals(404))
async def discard_dead_event(dead_event_id: DeadEventId, services: ServicesDep) -> None:
    """Discard one that has been looked at. Nothing else changes by it."""
    await quarantine.discard_dead_event(services.database, dead_event_id, actor=ACTOR)


@router.post("/{id}/replay", operation_id="replayDeadEvent", responses=refusals(404))
async def replay_dead_event(dead_event_id: DeadEventId, services: ServicesDep) -> DeadEventReplay:
    """Hand one to the ingestor again, such as after an upgrade of the server.

    It goes through the same code as an event that comes now, so an attempt that has ended stays as it is. Asking again is safe.
    """
    done = await services.replay(await quarantine.read_dead_event(services.database, dead_event_id))
    if done.applied:
        await quarantine.forget_replayed(services.database, dead_event_id, actor=ACTOR)
    return DeadEventReplay.of(done)
