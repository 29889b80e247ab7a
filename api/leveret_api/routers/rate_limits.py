"""Rate limits over REST."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response as Answer

from leveret_api.json_body import JSONRoute
from leveret_api.openapi import refusals
from leveret_api.routers.parameters import ACTOR
from leveret_api.schemas.rate_limits import KeyLimit, KeyLimitPut, RateLimit, RateLimitList, RateLimitPut
from leveret_api.schemas.texts import Text
from leveret_api.services import ServicesDep
from leveret_core.hints import Hint
from leveret_core.store.key_limits import limits as key_limits
from leveret_core.store.rate_limits import limits as rate_limits

router = APIRouter(prefix="/api/v1/rate-limits", tags=["rate limits"], route_class=JSONRoute)

JobType = Annotated[Text, Path(alias="type", description="A job type, exactly.")]


@router.get("", operation_id="listRateLimits")
async def list_rate_limits(services: ServicesDep) -> RateLimitList:
    """List the limits, by type; those by key apart."""
    limits = await rate_limits.list_rate_limits(services.database)
    by_key = await key_limits.list_key_limits(services.database)
    return RateLimitList(
        items=[RateLimit(**asdict(limit)) for limit in limits], by_key=[KeyLimit(**asdict(limit)) for limit in by_key]
    )


@router.get("/{type}", operation_id="getRateLimit", responses=refusals(404))
async def read_rate_limit(job_type: JobType, services: ServicesDep) -> RateLimit:
    """Read the limit of a type."""
    return RateLimit(**asdict(await rate_limits.get_rate_limit(services.database, job_type)))


@router.put("/{type}", operation_id="putRateLimit")
async def put_rate_limit(job_type: JobType, body: RateLimitPut, services: ServicesDep) -> RateLimit:
    """Limit how many occurrences of a type start within a time, or change the limit."""
    limit = rate_limits.RateLimit(job_type, body.count, body.per)
    made = await rate_limits.put_rate_limit(services.database, limit, actor=ACTOR)
    services.hints.send(Hint("wake"))
    return RateLimit(**asdict(made))


@router.delete("/{type}", status_code=204, operation_id="deleteRateLimit", responses=refusals(404))
async def delete_rate_limit(job_type: JobType, services: ServicesDep) -> Answer:
    """Lift the limit of a type. What waited for it starts at once."""
    await rate_limits.delete_rate_limit(services.database, job_type, actor=ACTOR)
    services.hints.send(Hint("wake"))
    return Answer(status_code=204)


@router.get("/{type}/by-key", operation_id="getKeyLimit", responses=refusals(404))
async def read_key_limit(job_type: JobType, services: ServicesDep) -> KeyLimit:
    """Read the limit by key of a type."""
    return KeyLimit(**asdict(await key_limits.get_key_limit(services.database, job_type)))


@router.put("/{type}/by-key", operation_id="putKeyLimit")
async def put_key_limit(job_type: JobType, body: KeyLimitPut, services: ServicesDep) -> KeyLimit:
    """Limit how many occurrences of a type start within a time for each value in their payloads, or change the limit."""
    limit = key_limits.KeyLimit(job_type, body.key, body.count, body.per)
    made = await key_limits.put_key_limit(services.database, limit, actor=ACTOR)
    services.hints.send(Hint("wake"))
    return KeyLimit(**asdict(made))


@router.delete("/{type}/by-key", status_code=204, operation_id="deleteKeyLimit", responses=refusals(404))
async def delete_key_limit(job_type: JobType, services: ServicesDep) -> Answer:
    """Lift the limit by key of a type. What waited for it starts at once."""
    await key_limits.delete_key_limit(services.database, job_type, actor=ACTOR)
    services.hints.send(Hint("wake"))
    return Answer(status_code=204)
