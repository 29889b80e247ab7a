"""A server process, composed: every role but the worker's own is this, with more or fewer parts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from leveret.cli.processes.heap import settle_heap
from leveret_api.app import create_app
from leveret_api.hosts import is_loopback
from leveret_api.server import GRACE, serve
from leveret_api.services import Services
from leveret_core.broker.base import ServerBroker
from leveret_core.broker.rabbitmq_server import RabbitServerBroker
from leveret_core.hints import Hints
from leveret_core.redis_clients import hints_client, lock_client
from leveret_core.settings import Settings
from leveret_core.store.database import Database
from leveret_core.supervision import Supervisor, end_tasks
from leveret_dispatcher.control_plane import ControlPlane

log = logging.getLogger("leveret.process")

STOP_TIMEOUT = 15.0
"""Seconds one part may take to end; each has shorter limits of its own."""

Beside = Callable[[str], AbstractAsyncContextManager["asyncio.Future[None]"]]
"""Something that runs beside the API, which answers at the URL given: entered when the API is up, left before it goes. Gives a
future that ends, with an error perhaps, when the whole process should."""


@dataclass(frozen=True)
class Adapters:
    """What stands between a server process and the other services.

    Args:
        broker: not started.
        lock: a Redis client for the dispatcher's lock alone.
        redis: a client that is pinged, and closed at the end; None when there is no Redis to speak of.
        hints: not started.
        supervisor: keeps the background tasks of the process; made before the others, which have it too.
    """

    broker: ServerBroker
    lock: Redis
    redis: Redis | None
    hints: Hints
    supervisor: Supervisor

    @classmethod
    def of(cls, settings: Settings) -> Adapters:
        """Those of RabbitMQ and Redis. Nothing is connected yet, and neither needs to be there."""
        redis, supervisor = hints_client(settings.redis_url), Supervisor()
        broker = RabbitServerBroker(settings.amqp_url, supervisor=supervisor)
        return cls(broker, lock_client(settings.redis_url), redis, Hints(redis, supervisor), supervisor)


async def run_server(
    settings: Settings,
    adapters: Adapters,
    stopping: asyncio.Event,
    *,
    dispatcher: bool = True,
    web: bool = True,
    beside: Beside | None = None,
) -> None:
    """Run the parts of a server process until `stopping` is set, then end them in order: the holder of the term resigns first.

    Args:
        settings: of this process; Postgres answers and its tables are up to date.
        adapters: not started; started and stopped here.
        stopping: set from outside.
        dispatcher: whether to be a candidate for the term.
        web: whether to serve the API; without it nothing listens.
        beside: see `Beside`; needs `web`.

    Raises:
        ConfigurationError: Postgres cannot be used, or the address cannot be listened on.
    """
    async with _parts(settings, adapters, dispatcher=dispatcher) as (services, control):
        if not web:
            settle_heap()
            log.info("dispatcher: standing for election")
            await stopping.wait()
            return
        if not settings.allowed_hosts and not is_loopback(settings.host):
            log.warning("requests to any name are answered; list the API's names in LEVERET_ALLOWED_HOSTS")
        up: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(serve(create_app(services), settings.host, settings.port, ready=up.set_result))
        try:
            started: set[asyncio.Future[Any]] = {serving, up}
            await asyncio.wait(started, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
            settle_heap()
            log.info("the API answers at %s%s", up.result(), settings.base_path)
            if beside is None:
                await _first(stopping, serving)
            else:
                async with beside(up.result()) as ended:
                    await _first(stopping, serving, ended)
        finally:
            services.draining = True
            # Before the rest: the next holder takes over while open requests are still answered.
            await control.stop()
            await end_tasks([serving], 2 * GRACE + 5)


@asynccontextmanager
async def _parts(settings: Settings, adapters: Adapters, *, dispatcher: bool) -> AsyncGenerator[tuple[Services, ControlPlane]]:
    broker, redis, hints = adapters.broker, adapters.redis, adapters.hints
    # A replica that freezes within a transaction must not hold its locks on jobs and runs for long: the others end runs, too.
    database = Database(settings.database_url, pool_size=settings.pool_size, idle_in_transaction=3.0)
    # Its own connections, so that slow lists never keep claims and events waiting.
    requests = Database(settings.database_url, pool_size=settings.pool_size, application_name="leveret api")
    supervisor = adapters.supervisor
    control = ControlPlane(settings, database, broker, adapters.lock, hints, supervisor=supervisor, dispatcher=dispatcher)
    async with AsyncExitStack() as stack:

        def end(part: str, stop: Callable[[], Awaitable[None]]) -> None:
            stack.push_async_callback(_end, part, stop)

        end("the lock's client", adapters.lock.aclose)
        if redis is not None:
            end("the Redis client", redis.aclose)
        for pool in (database, requests):
            await pool.start()
            end("a database pool", pool.stop)
        end("hints", hints.stop)
        await hints.start()
        end("the broker", broker.stop)
        await broker.start()
        if not broker.connected:
            log.warning("RabbitMQ is not there yet: nothing is published or claimed until it is")
        end("the control plane", control.stop)
        await control.start()
        services = Services(
            *(settings, requests, broker, hints, redis),
            leads=lambda: control.term is not None,
            refused=lambda: control.refused,
            supervisor=supervisor,
            quarantined=lambda: control.quarantined,
            replay=control.replay,
        )
        yield services, control


async def _end(part: str, stop: Callable[[], Awaitable[None]]) -> None:
    """Stop a part; one that hangs or breaks keeps no other from ending."""
    try:
        async with asyncio.timeout(STOP_TIMEOUT):
            await stop()
    except TimeoutError:
        log.error("%s did not end within %g s and is left behind", part, STOP_TIMEOUT)
    except Exception:
        log.exception("%s did not end in order", part)


async def _first(stopping: asyncio.Event, *others: asyncio.Future[None]) -> None:
    """Wait until `stopping` is set or one of the others ends; if it ended in an error, raise that."""
    told = asyncio.create_task(stopping.wait())
    try:
        ends: set[asyncio.Future[Any]] = {told, *others}
        done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
    finally:
        told.cancel()
