"""Schedules over REST: pure functions."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter

from leveret_api.schemas.triggers import FireTimes, PreviewRequest
from leveret_core import triggers

router = APIRouter(prefix="/api/v1/schedules", tags=["schedules"])


@router.post("/preview", operation_id="previewSchedule")
async def preview_schedule(body: PreviewRequest) -> FireTimes:
    """When a trigger would be due."""
    trigger = triggers.decode(body.trigger.model_dump(exclude_unset=True))
    after = datetime.now(UTC)
    if body.after is not None:
        after = triggers.parse_after(body.after, triggers.timezone_of(trigger))
    return FireTimes.model_validate({"fire_times": triggers.preview(triggers.anchored(trigger, after), after, body.count)})
