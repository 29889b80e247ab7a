"""How the system is: which services answer, what is live, who dispatches."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from typing import Any, Literal

from leveret_api.cached import Cached
from leveret_api.schemas.system import Dispatch, Dispatcher, Health, Overview, ServiceStates, Task
from leveret_api.services import Services

log = logging.getLogger(__name__)

MAX_COUNTED = 100_000
"""Finished occurrences that are counted for the last hour, at most, and dead letters."""
_UPCOMING = 10
_PING_TIMEOUT = 2.0


class Status:
    """Answers the pages about the system, from values that many readers share.

    Args:
        services: of this process.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        settings = services.settings
        self._patience = settings.lock_ttl + 2 * (settings.lock_renew + settings.lock_retry + settings.poll_interval)
        # Not longer when it took long: a service that hung for a while is back as soon as it answers.
        self._states = Cached(self._ping, 1.0, costly=False)
        self._overview = Cached(self._load_overview, 1.0)

    async def health(self) -> Health:
        """Whether this process can serve requests; never raises."""
        states, dispatch = await self._states.get()
        tasks = self._services.supervisor.states()
        status: Literal["ok", "degraded", "unavailable", "draining"]
        if states.postgres == "down":
            status = "unavailable"
        elif self._services.draining:
            status = "draining"
        elif states == _ALL_OK and dispatch.state == "ok" and all(task.healthy for task in tasks):
            status = "ok"
        else:
            status = "degraded"
        return Health(status=status, services=states, dispatch=dispatch, tasks=[Task.of(task) for task in tasks])

    async def overview(self) -> Overview:
        """The system at a glance, a second old, or older where counting takes long.

        Raises:
            Exception: Postgres does not answer; see `is_unavailable`.
        """
        return await self._overview.get()

    async def dispatcher(self) -> Dispatcher:
        """Who holds the term.

        Raises:
            Exception: Postgres does not answer; see `is_unavailable`.
        """
        row = await self._services.database.fetchrow("reads/dispatcher")
        assert row is not None
        return Dispatcher.of(row)

    async def _ping(self) -> tuple[ServiceStates, Dispatch]:
        dispatch, redis = await asyncio.gather(self._dispatch(), self._redis_answers())
        states = ServiceStates(
            postgres="down" if dispatch is None else "ok",
            redis="ok" if redis else "down",
            rabbitmq="ok" if self._services.broker.connected else "down",
        )
        return states, dispatch or Dispatch(state="unknown", last_progress_seconds=None)

    async def _dispatch(self) -> Dispatch | None:
        """Whether anybody dispatches; None when Postgres does not answer."""
        try:
            async with asyncio.timeout(_PING_TIMEOUT):
                progress: float | None = await self._services.database.fetchval("reads/ping")
        except Exception as error:
            log.debug("status: Postgres does not answer: %r", error)
            return None
        stalled = progress is None or progress > self._patience
        return Dispatch(state="stalled" if stalled else "ok", last_progress_seconds=progress)

    async def _redis_answers(self) -> bool:
        if self._services.redis is None:
            return True
        try:
            async with asyncio.timeout(_PING_TIMEOUT):
                return bool(await self._services.redis.ping())
        except Exception as error:
            log.debug("status: Redis does not answer: %r", error)
            return False

    async def _load_overview(self) -> Overview:
        db = self._services.database
        live = await db.fetch("reads/count_live")
        finished = await db.fetch("reads/count_finished", MAX_COUNTED)
        jobs = await db.fetchrow("reads/count_jobs")
        workers = await db.fetchrow("reads/count_workers")
        dead = await db.fetchval("reads/count_dead", MAX_COUNTED)
        upcoming = await db.fetch("reads/upcoming", _UPCOMING)
        assert jobs is not None
        assert workers is not None
        counts: dict[str, int] = dict.fromkeys(("scheduled", "waiting", "pending", "running", "cancelling", "retrying"), 0)
        return Overview.model_validate(
            {
                "occurrences": counts | {row["state"]: row["count"] for row in live},
                "last_hour": {row["state"]: row["count"] for row in finished},
                "last_hour_since": _capped_since(finished),
                "dead_letters": dead,
                "jobs": dict(jobs),
                "workers": dict(workers),
                "dispatcher": await self.dispatcher(),
                "services": (await self._states.get())[0],
                "upcoming": [
                    {"job_id": row["id"], "job_name": row["name"], "next_fire_at": row["next_fire_at"]} for row in upcoming
                ],
            }
        )


def _capped_since(finished: list[Any]) -> datetime | None:
    if not finished or finished[0]["total"] < MAX_COUNTED:
        return None
    since: datetime = min(row["since"] for row in finished)
    return since


_ALL_OK = ServiceStates(postgres="ok", redis="ok", rabbitmq="ok")
