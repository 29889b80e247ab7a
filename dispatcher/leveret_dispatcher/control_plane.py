"""What every server process runs: claim desk and ingestor, and unless it is told not to, a candidate for the term."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping

from redis.asyncio import Redis

from leveret_core.broker.base import ServerBroker
from leveret_core.hints import Hints
from leveret_core.settings import Settings
from leveret_core.store.database import Database
from leveret_core.supervision import Kept, Supervisor
from leveret_dispatcher.claims.claim_desk import ClaimDesk
from leveret_dispatcher.dispatcher import Dispatcher
from leveret_dispatcher.ends.ingestor import Ingestor
from leveret_dispatcher.ends.progress_report import ProgressReport
from leveret_dispatcher.ends.replay import Replay
from leveret_dispatcher.leadership.candidate import Candidate
from leveret_dispatcher.leadership.lock import RedisLock
from leveret_dispatcher.leadership.term import Term
from leveret_dispatcher.leadership.watchdog import Watchdog, end_process

STOP_TIMEOUT = 14.0
"""Seconds in which the candidate must have resigned; half of them is longer than its own limits together."""
BLOCKED = 60.0
"""Seconds the event loop may be blocked; a holder of the term has less."""
BEYOND = 20.0
"""Seconds that ingest may take longer than it may, before the process is ended."""


class ControlPlane:
    """Claim desk, ingestor and candidate over adapters that the caller owns and has started.

    Args:
        settings: of this process.
        database: for claims and events; the dispatcher gets a small pool of its own, so that load cannot keep it waiting.
        broker: the broker's server side.
        redis: a client for the lock alone.
        hints: between replicas.
        supervisor: keeps the candidate.
        dispatcher: whether to stand for election. Default true.
        end_process: called when ingest does not come on and cannot be ended: RabbitMQ then gives its events to another process.

    Attributes:
        replay: hands dead events to this process's ingestor again.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        broker: ServerBroker,
        redis: Redis,
        hints: Hints,
        *,
        supervisor: Supervisor | None = None,
        dispatcher: bool = True,
        end_process: Callable[[], None] = end_process,
    ) -> None:
        self._settings = settings
        self._broker = broker
        self._hints = hints
        self._desk = ClaimDesk(settings, database, hints)
        self._ingestor = Ingestor(settings, database, hints)
        self._report = ProgressReport(database, lambda: broker.events_behind, min(5.0, settings.unnamed_grace / 3))
        self.replay = Replay(self._ingestor)
        self._reporting: Kept | None = None
        self._own_database = Database(
            settings.database_url, pool_size=6, application_name="leveret dispatcher", idle_in_transaction=3.0
        )
        lock = RedisLock(redis, uuid.uuid4().hex, settings.lock_ttl)
        self._candidate = Candidate(settings, self._own_database, lock, hints, self._dispatch) if dispatcher else None
        self._supervisor = supervisor or Supervisor()
        self._standing: Kept | None = None
        self._watchdog = Watchdog(BLOCKED, end_process, self._stuck)

    @property
    def term(self) -> Term | None:
        """The term this process holds, if it does."""
        return self._candidate.term if self._candidate else None

    @property
    def refused(self) -> Mapping[str, int]:
        """How many requests of workers this process refused, by kind."""
        return self._desk.refusals.counts

    @property
    def quarantined(self) -> Mapping[str, int]:
        """How many events this process could not apply since its start, by kind."""
        return self._ingestor.quarantine.counts

    async def start(self) -> None:
        """Serve claims and events, and stand for election. The broker may still be away.

        Raises:
            ConfigurationError: Postgres cannot be used.
        """
        if self._candidate is not None:
            await self._own_database.start()
        await self._broker.serve_claims(self._desk.answer, self._desk.refused)
        await self._broker.consume_events(self._ingestor.ingest)
        self._watchdog.start()
        self._reporting = self._supervisor.keep("report of events", self._report.run, steps=self._report.steps)
        if self._candidate is not None:
            self._standing = self._supervisor.keep("candidate", self._candidate.run)

    async def stop(self) -> None:
        """Resign if this process holds the term. Claims and events are served until the broker is stopped."""
        (standing, self._standing), (reporting, self._reporting) = (self._standing, None), (self._reporting, None)
        await self._supervisor.stop(standing, reporting, within=STOP_TIMEOUT)
        self._watchdog.stop()
        await self._desk.refusals.stop()
        await self._own_database.stop()

    def _stuck(self, awake_since: float) -> str | None:
        return self._supervisor.stuck(beyond=BEYOND, awake_since=awake_since)

    async def _dispatch(self, term: Term) -> None:
        await Dispatcher(self._settings, term, self._broker, self._hints, self._supervisor).run()
