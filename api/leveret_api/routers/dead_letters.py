"""Dead letters over REST."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query

from leveret_api.cursors import decode_end_cursor, encode_end_cursor
from leveret_api.json_body import JSONRoute
from leveret_api.openapi import refusals
from leveret_api.routers.parameters import ACTOR, Cursor, Limit, instant
from leveret_api.schemas.body import Moment
from leveret_api.schemas.dead_letters import (
    DeadLetter,
    DeadLetterDiscard,
    DeadLetterFilter,
    DeadLetterPage,
    DeadLetterRequeue,
    DeadLettersDiscarded,
    DeadLettersRequeued,
    RefusedRequeue,
)
from leveret_api.schemas.texts import Part
from leveret_api.services import Services, ServicesDep
from leveret_core.errors import InvalidInput
from leveret_core.hints import Hint
from leveret_core.payload_edits import payload_editor
from leveret_core.store.dead_letters import commands as dead_letters
from leveret_core.store.jobs.refs import job_ref, resolve_job

router = APIRouter(prefix="/api/v1/dead-letters", tags=["dead letters"], route_class=JSONRoute)


@router.get("", operation_id="listDeadLetters", responses=refusals(404))
async def list_dead_letters(
    services: ServicesDep,
    job: Annotated[Part | None, Query(description="Id of a job, which may be deleted, or the name of one that exists.")] = None,
    type: Annotated[Part | None, Query(description="Exactly this type.")] = None,
    search: Annotated[Part | None, Query(description="A part of the error's type or message, or of the reason.")] = None,
    since: Annotated[Moment | None, Query(description="Ended at this time or later; without an offset in UTC.")] = None,
    until: Annotated[Moment | None, Query(description="Ended before this time; without an offset in UTC.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> DeadLetterPage:
    """List occurrences that failed for good and were neither requeued nor discarded since, the last to end first."""
    below = decode_end_cursor(cursor)
    which = await _filter(services, DeadLetterFilter(job=job, type=type, search=search, since=since, until=until))
    page = await dead_letters.list_dead_letters(services.database, which, below=below, limit=limit)
    return DeadLetterPage(items=[DeadLetter.of(row) for row in page.rows], next_cursor=encode_end_cursor(page.next))


@router.post("/requeue", operation_id="requeueDeadLetters", responses=refusals(404))
async def requeue_dead_letters(body: DeadLetterRequeue, services: ServicesDep) -> DeadLettersRequeued:
    """Run dead letters again, each as a new occurrence under the policy of its job. Asking twice requeues nothing twice."""
    edit = payload_editor(body.payload, body.payload_patch, limit=services.settings.payload_limit)
    dealt = await dead_letters.requeue_dead_letters(
        services.database,
        await _choice(services, body.filter, body.ids),
        limit=body.limit,
        edit=edit,
        actor=ACTOR,
        queue=body.queue,
        dry_run=body.dry_run,
    )
    if dealt.made:
        _tell(services, [*dealt.ids, *dealt.made])
        services.hints.send(Hint("wake"))
    return DeadLettersRequeued(
        requeued=len(dealt.made),
        remaining=dealt.remaining,
        ids=dealt.ids,
        refused=[RefusedRequeue(**asdict(refusal)) for refusal in dealt.refused],
    )


@router.post("/discard", operation_id="discardDeadLetters", responses=refusals(404))
async def discard_dead_letters(body: DeadLetterDiscard, services: ServicesDep) -> DeadLettersDiscarded:
    """Take dead letters out of the view. Their history stays."""
    dealt = await dead_letters.discard_dead_letters(
        services.database,
        await _choice(services, body.filter, body.ids),
        limit=body.limit,
        reason=body.reason,
        actor=ACTOR,
        dry_run=body.dry_run,
    )
    discarded = 0 if body.dry_run else len(dealt.ids)
    if discarded:
        _tell(services, dealt.ids)
    return DeadLettersDiscarded(discarded=discarded, remaining=dealt.remaining, ids=dealt.ids)


async def _choice(services: Services, filter: DeadLetterFilter | None, ids: Sequence[int] | None) -> dead_letters.Choice:
    if (filter is None) == (ids is None):
        raise InvalidInput.at("filter", "or ids is needed, and not both; an empty filter is all dead letters")
    return await _filter(services, filter, "filter.") if filter is not None else list(dict.fromkeys(ids or ()))


async def _filter(services: Services, given: DeadLetterFilter, prefix: str = "") -> dead_letters.DeadLetterFilter:
    ref = job_ref(given.job) if isinstance(given.job, str) else given.job
    job_id = await resolve_job(services.database, ref) if isinstance(ref, str) else ref
    if job_id is not None and not 0 < job_id < 2**63:
        raise InvalidInput.at(f"{prefix}job", "is not an id of a job")
    since, until = instant(f"{prefix}since", given.since), instant(f"{prefix}until", given.until)
    return dead_letters.DeadLetterFilter(job_id=job_id, type=given.type, search=given.search, since=since, until=until)


def _tell(services: Services, ids: Sequence[int]) -> None:
    services.hints.send(Hint("occurrences", tuple(ids)))
