"""How the system is: which services answer, what is live, who dispatches."""

from __future__ import annotations

import asyncio
import logging
from typing import Literal

from leveret_api.cached import Cached
from leveret_api.schemas.system import Dispatch, Dispatcher, Health, Overview, ServiceStates, Task
from leveret_api.services import Services
from leveret_core.store.reads.jobs import upcoming
from leveret_core.store.reads.overview import count_all, read_dispatcher, seconds_since_progress

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
        return Dispatcher.of(await read_dispatcher(self._services.database))

    async def _ping(self) -> tuple[ServiceStates, Dispatch]:
        dispatch, redis = await asyncio.gather(self._dispatch(), self._redis_answers())
        states = ServiceStates(
            postgres="down" if dispatch is None else "ok",
            redis="ok" if redis else "down",
            rabbitmq="ok" if self._services.broker.connected else "down",
        )
        return states, dispatch or Dispatch(state="unknown", last_progress_seconds=None)

    async def _dispatch(self) -> Dispatch | None:
        """Whether a process dispatches; None when Postgres does not answer."""
        try:
            async with asyncio.timeout(_PING_TIMEOUT):
                progress = await seconds_since_progress(self._services.database)
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
        found = await count_all(db, MAX_COUNTED)
        due = await upcoming(db, _UPCOMING)
        counts: dict[str, int] = dict.fromkeys(("scheduled", "waiting", "pending", "running", "cancelling", "retrying"), 0)
        return Overview.model_validate(
            {
                "occurrences": counts | found.live,
                "last_hour": found.finished,
                "last_hour_since": found.finished_since,
                "dead_letters": found.dead_letters,
                "jobs": found.jobs.values(),
                "workers": found.workers.values(),
                "dispatcher": await self.dispatcher(),
                "services": (await self._states.get())[0],
                "upcoming": [{"job_id": job.id, "job_name": job.name, "next_fire_at": job.next_fire_at} for job in due],
            }
        )


_ALL_OK = ServiceStates(postgres="ok", redis="ok", rabbitmq="ok")
