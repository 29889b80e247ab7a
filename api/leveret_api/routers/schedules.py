"""Schedules over REST: pure functions."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter

from leveret_api.json_body import JSONRoute
from leveret_api.schemas.triggers import FireTimes, PreviewRequest
from leveret_core import triggers
from leveret_core.errors import InvalidInput

router = APIRouter(prefix="/api/v1/schedules", tags=["schedules"], route_class=JSONRoute)


@router.post("/preview", operation_id="previewSchedule")
async def preview_schedule(body: PreviewRequest) -> FireTimes:
    """When a trigger would be due, in words and as times, and what the next clock change does to it."""
    trigger = triggers.decode(body.trigger.model_dump(exclude_unset=True))
    zone = triggers.timezone_of(trigger)
    after = datetime.now(UTC) if body.after is None else triggers.parse_after(body.after, zone)
    until = None if body.until is None else triggers.parse_after(body.until, zone, "until")
    if triggers.needs_seed(trigger):
        raise InvalidInput.at("trigger.seed", "H and ~ are drawn from the job's name; give it here to see the times")
    return FireTimes.of(triggers.anchored(trigger, after, ""), after, body.count, until)
