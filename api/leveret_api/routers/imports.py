"""Jobs imported from outside, over REST."""

from __future__ import annotations

from typing import Any, cast

from fastapi import APIRouter

from leveret_api.json_body import JSONRoute
from leveret_api.payload_checks import check_definition
from leveret_api.routers.parameters import ACTOR
from leveret_api.schemas.imports import ImportedJob, ImportRequest, ImportResult
from leveret_api.services import Services, ServicesDep
from leveret_core.errors import InvalidInput
from leveret_core.job_definition import define
from leveret_core.store.imports.sources import Wanted, import_jobs
from leveret_core.text import clean_text
from leveret_core.triggers import encode

router = APIRouter(prefix="/api/v1/imports", tags=["jobs"], route_class=JSONRoute)


@router.post("", operation_id="importJobs")
async def import_from_source(body: ImportRequest, services: ServicesDep) -> ImportResult:
    """Make the jobs of a source, such as a host's crontab, be what it says now.

    Only what has changed in the source since the last import is changed; what people have edited since stays. Jobs of other
    sources are not touched: a name that is taken gets the source behind it. A wrong entry is refused and stops no other.
    """
    wanted: dict[int, Wanted] = {}
    refused: dict[int, ImportedJob] = {}
    for place, entry in enumerate(body.jobs):
        try:
            wanted[place] = await _wanted(services, entry)
        except InvalidInput as error:
            problem = "; ".join(f"{each.field}: {each.message}" if each.field else each.message for each in error.problems)
            refused[place] = ImportedJob(
                entry=place, name=_name(entry), result="refused", problem=clean_text(problem), trigger_description=None
            )
    done = await import_jobs(
        services.database,
        body.source,
        list(wanted.values()),
        prune=body.prune,
        dry_run=body.dry_run,
        actor=ACTOR,
        keep=body.partial or bool(refused),
    )
    if not body.dry_run:
        for each in done:
            if each.change is not None:
                services.job_changed(each.change.job_id, occurrences=each.change.moved)
    taken = dict(zip(wanted, done, strict=False))
    items = [refused.get(place) or ImportedJob.of(taken[place], place) for place in range(len(body.jobs))]
    gone = [ImportedJob.of(each, None) for each in done[len(wanted) :]]
    return ImportResult(items=items + gone, dry_run=body.dry_run)


def _name(entry: object) -> str:
    name = cast("dict[str, object]", entry).get("name") if isinstance(entry, dict) else None
    return clean_text(name[:200]) if isinstance(name, str) else ""


async def _wanted(services: Services, entry: object) -> Wanted:
    if not isinstance(entry, dict):
        raise InvalidInput.at("", "an entry must be an object")
    entry = cast("dict[str, Any]", entry)
    values = {name: value for name, value in entry.items() if name != "key"}
    definition = define(values, payload_limit=services.settings.payload_limit)
    await check_definition(services, definition)
    key = entry.get("key", definition.name)
    if not isinstance(key, str) or not 0 < len(key) <= 200 or not key.isprintable():
        raise InvalidInput.at("key", "must be 1 to 200 characters without control characters")
    # As it is stored, so that the next import compares like with like.
    return Wanted(key, values | {"trigger": encode(definition.trigger)}, definition)
