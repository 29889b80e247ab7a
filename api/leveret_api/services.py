"""What the API works with. The composition root makes it, starts and stops its parts, and hands it to `create_app`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from redis.asyncio import Redis

from leveret_api.cached import Cached
from leveret_api.served import Served
from leveret_core.broker.base import ServerBroker
from leveret_core.errors import BrokerError
from leveret_core.hints import Hint, Hints
from leveret_core.messages import Cancel
from leveret_core.settings import Settings
from leveret_core.store.database import Database
from leveret_core.store.dead_events.quarantine import DeadEventBytesRow, Replayed
from leveret_core.store.reads.workers import announced_handlers
from leveret_core.store.slots.decisions import Replaced
from leveret_core.supervision import Supervisor

log = logging.getLogger(__name__)


def _never() -> bool:
    return False


async def _no_ingestor(dead: DeadEventBytesRow) -> Replayed:
    return Replayed(refused=1, reason="this process applies no events")


@dataclass
class Services:
    """The parts of this process that requests use.

    Args:
        settings: of this process.
        database: started before the first request, stopped after the last.
        broker: to tell workers about a cancel; used while connected.
        hints: to tell the dispatcher and the dashboards that something changed.
        redis: pinged for `/readyz` and `/metrics`; None when this process does without Redis.
        leads: whether this process holds the term, for `/metrics`.
        supervisor: of the background tasks, for `/readyz` and `/metrics`.
        refused: how many requests of workers this process refused, by kind, for `/metrics`.
        quarantined: how many events of workers this process could not apply, by kind, for `/metrics`.
        replay: hands a dead event to the ingestor of this process again.
        draining: set it before a shutdown, so that `/readyz` sends new requests elsewhere.
    """

    settings: Settings
    database: Database
    broker: ServerBroker
    hints: Hints
    redis: Redis | None
    leads: Callable[[], bool] = _never
    supervisor: Supervisor = field(default_factory=Supervisor)
    refused: Callable[[], Mapping[str, int]] = dict
    quarantined: Callable[[], Mapping[str, int]] = dict
    replay: Callable[[DeadEventBytesRow], Awaitable[Replayed]] = _no_ingestor
    draining: bool = False
    served: Cached[Served] = field(init=False)
    """What live workers serve; a few seconds old at most, less when a worker says hello."""

    def __post_init__(self) -> None:
        self.served = Cached(self._load_served, max_age=5.0)
        self.hints.subscribe(self._heed)

    async def _load_served(self) -> Served:
        return Served(await announced_handlers(self.database))

    def _heed(self, hint: Hint) -> None:
        if hint.topic in ("workers", "resync"):
            self.served.forget()

    def job_changed(self, job_id: int, *, occurrences: bool = False) -> None:
        """Tell everybody that a job is another now, and with it perhaps its `occurrences`; call it after the commit."""
        self.hints.send(Hint("jobs", (job_id,)))
        if occurrences:
            self.hints.send(Hint("occurrences"))
        self.hints.send(Hint("wake"))

    def occurrence_changed(self, occurrence_id: int) -> None:
        """Tell everybody that an occurrence is another now; call it after the commit."""
        self.hints.send(Hint("occurrences", (occurrence_id,)))
        self.hints.send(Hint("wake"))

    async def tell(self, word: Cancel) -> None:
        """Tell a worker to stop what it runs, as soon as RabbitMQ can; call it after the commit."""
        try:
            await self.broker.tell_workers(word)
        except BrokerError:
            # It is in Postgres: the answer to the worker's next heartbeat repeats it.
            log.info("cancel: RabbitMQ did not take the word to the worker", extra={"occurrence": word.occurrence})

    async def replaced(self, replaced: Sequence[Replaced]) -> None:
        """Tell everybody that occurrences have ended, or are to end, for a newer one; call it after the commit."""
        if replaced:
            self.hints.send(Hint("occurrences", tuple(old.id for old in replaced)))
        for old in replaced:
            if old.tell is not None:
                await self.tell(old.tell)


async def services_of(request: Request) -> Services:
    """The services of the app that a request came to."""
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(services_of)]
