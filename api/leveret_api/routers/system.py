"""Workers, the dispatcher and health over REST."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.responses import Response as Answer

from leveret_api import plain
from leveret_api.json_body import JSONRoute
from leveret_api.metrics import CONTENT_TYPE, Metrics
from leveret_api.openapi import refusals
from leveret_api.routers.parameters import ACTOR
from leveret_api.schemas.system import Alive, Dispatcher, Health, Overview, ServiceStates, Worker, WorkerDetails, WorkerList
from leveret_api.schemas.types import JobTypeList
from leveret_api.services import ServicesDep
from leveret_api.status import Status
from leveret_core.store.dead_events.quarantine import count_dead_events
from leveret_core.store.errors import is_unavailable
from leveret_core.store.reads import workers as worker_reads
from leveret_core.store.workers.drain import drain_worker as drain

router = APIRouter(tags=["system"], route_class=JSONRoute)


@router.get("/api/v1/workers", operation_id="listWorkers")
async def list_workers(services: ServicesDep) -> WorkerList:
    """List workers: those that live, and those that went within the last hour."""
    return WorkerList(items=[Worker.of(row) for row in await worker_reads.list_workers(services.database)])


@router.get("/api/v1/workers/{id}", operation_id="getWorker", responses=refusals(404))
async def read_worker(worker_id: Annotated[UUID, Path(alias="id")], services: ServicesDep) -> WorkerDetails:
    """Read a worker, with what it got wrong: requests that were refused, and events that were quarantined."""
    return WorkerDetails.told(*await worker_reads.get_worker(services.database, worker_id))


@router.get("/api/v1/types", operation_id="listTypes")
async def list_types(services: ServicesDep) -> JobTypeList:
    """List the types that live workers serve, with the schema of their payloads. At most a few seconds old."""
    return await JobTypeList.of(await services.served.get())


@router.post("/api/v1/workers/{id}/drain", status_code=202, operation_id="drainWorker", responses=refusals(404, 409, 503))
async def drain_worker(worker_id: Annotated[UUID, Path(alias="id")], services: ServicesDep) -> Worker:
    """Tell a worker to take nothing more, finish what it runs, and end. It shows as `draining` until it has."""
    return Worker.of(await drain(services.database, worker_id, tell=services.broker.tell_workers, actor=ACTOR))


@router.get("/api/v1/dispatcher", operation_id="getDispatcher")
async def read_dispatcher(request: Request) -> Dispatcher:
    """Who dispatches."""
    return await _status(request).dispatcher()


@router.get("/api/v1/overview", operation_id="getOverview")
async def read_overview(request: Request) -> Overview:
    """The system at a glance."""
    return await _status(request).overview()


@router.get("/livez", operation_id="livez")
async def is_alive() -> Alive:
    """Whether the process answers. Restart it when it does not."""
    return Alive()


@router.get("/readyz", operation_id="readyz", responses={503: {"model": Health, "description": "Send requests elsewhere"}})
async def is_ready(request: Request, response: Response) -> Health:
    """Whether the process can serve requests: Postgres answers, and it is not about to end."""
    health = await _status(request).health()
    if health.status in ("unavailable", "draining"):
        response.status_code = 503
        response.headers["Retry-After"] = "2"
    return health


@router.get("/metrics", operation_id="metrics", response_class=Answer, responses={200: {"content": {CONTENT_TYPE: {}}}})
async def read_metrics(request: Request, services: ServicesDep) -> Answer:
    """Metrics for Prometheus."""
    status = _status(request)
    found: Metrics = request.app.state.metrics
    health = await status.health()
    states: ServiceStates = health.services
    current: Overview | None = None
    dead_events: int | None = None
    if states.postgres == "ok":
        try:
            current = await status.overview()
            dead_events = await count_dead_events(services.database)
        except Exception as error:
            if not is_unavailable(error):
                raise
            states = states.model_copy(update={"postgres": "down"})
    found.tell_dead_events(services.quarantined(), dead_events)
    text = found.render(leads=services.leads(), states=states, health=health, overview=current)
    return Answer(text, media_type=CONTENT_TYPE)


@router.get("/docs", include_in_schema=False)
async def docs(request: Request, services: ServicesDep) -> HTMLResponse:
    """The reference of the API as a page."""
    return HTMLResponse(plain.reference(request.app.openapi(), services.settings.base_path))


@router.get("/plain.css", include_in_schema=False)
async def style() -> Answer:
    """The style of plain pages."""
    return Answer(plain.STYLE, media_type="text/css", headers={"Cache-Control": "no-cache"})


def _status(request: Request) -> Status:
    status: Status = request.app.state.status
    return status
