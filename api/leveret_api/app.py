"""The API: REST, live updates and the dashboard as one ASGI app."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from fastapi import Depends, FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp

from leveret_api import errors
from leveret_api.base_path import BasePath
from leveret_api.dashboard import STATIC, Dashboard
from leveret_api.hosts import AllowedHosts, allowed_hosts
from leveret_api.known_parameters import known_parameters
from leveret_api.live import Live
from leveret_api.metrics import Metrics, RequestMetrics
from leveret_api.middleware import BodyLimit, SameOrigin, SecurityHeaders
from leveret_api.openapi import describe
from leveret_api.routers import (
    backfills,
    dead_events,
    dead_letters,
    imports,
    jobs,
    occurrences,
    rate_limits,
    schedules,
    system,
    triggers,
)
from leveret_api.services import Services
from leveret_api.status import Status

ROUTERS = (jobs, imports, triggers, backfills, occurrences, dead_letters, dead_events, schedules, rate_limits, system)
"""Modules that each have a `router`, in the order of the document."""

_ABOUT = """
Leveret runs jobs on a schedule, on workers that serve their type. Errors are problem documents (RFC 9457) whose `errors` name
every field at fault. Lists are pages: follow `next_cursor` until it is null.
"""


def create_app(services: Services, *, static: Path = STATIC) -> ASGIApp:
    """The app of one process.

    Args:
        services: what it works with, started before the app and stopped after it.
        static: the folder of the built dashboard.
    """
    base_path = services.settings.base_path
    metrics = Metrics()
    metrics.count("leveret_refused_requests", "Requests of workers that were refused.", "kind", services.refused)
    live = Live(services.hints, metrics, supervisor=services.supervisor)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        await live.start()
        try:
            yield
        finally:
            await live.stop()

    app = FastAPI(
        title="Leveret",
        version=version("leveret"),
        description=_ABOUT.strip(),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # A redirect would have to name our address, which only the client's Host tells.
        redirect_slashes=False,
        dependencies=[Depends(known_parameters)],
    )
    app.state.services = services
    app.state.status = Status(services)
    app.state.metrics = metrics
    errors.install(app)
    describe(app, base_path)
    for part in ROUTERS:
        app.include_router(part.router)
    # What no route answers, not a route itself: a wrong method on a known address stays 405.
    app.router.default = Dashboard(static, base_path)
    app.add_middleware(BodyLimit, larger={triggers.PATH: triggers.MAX_BODY})
    app.add_middleware(SameOrigin)
    app.add_middleware(RequestMetrics, metrics=metrics)
    # Without a proxy in front the dashboard's script would be three times as large on the way.
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=6)
    names = allowed_hosts(services.settings.allowed_hosts, services.settings.host)
    return BasePath(SecurityHeaders(AllowedHosts(live.mount(app), names)), base_path)
