"""The worker's standing with the servers: one incarnation after the other, each with an id and a lease of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import uuid
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from leveret._lease import Lease, boot_time
from leveret.config import WorkerConfig
from leveret.errors import BrokerUnavailable, ConfigurationError
from leveret_core.broker.base import WorkerBroker
from leveret_core.messages import Goodbye, HandlerInfo, Hello, Refused, Welcome

log = logging.getLogger(__name__)


class Incarnation(NamedTuple):
    """One life of the worker: its id, and the lease that servers keep for that id."""

    id: str
    lease: Lease


class Membership:
    """Says hello and goodbye.

    Args:
        broker: connected to the claim desk.
        handlers: as announced.
        concurrency: slots in all, as announced.
        config: the worker's.
    """

    def __init__(self, broker: WorkerBroker, handlers: Sequence[HandlerInfo], concurrency: int, config: WorkerConfig) -> None:
        self.incarnation = Incarnation(str(uuid.uuid4()), Lease(config.lease_margin))
        """The present one; replaced as a whole, because the heartbeat's thread reads it."""
        self.heartbeat = 5.0
        """Seconds between heartbeats, as told by the servers."""
        self.joined = asyncio.Event()
        """Set while the servers know the incarnation and its lease is trusted."""
        self._broker = broker
        self._handlers = list(handlers)
        self._concurrency = concurrency
        self._config = config

    @property
    def id(self) -> str:
        """The present incarnation's."""
        return self.incarnation.id

    @property
    def lease(self) -> Lease:
        """The present incarnation's."""
        return self.incarnation.lease

    async def join(self) -> None:
        """Say hello until a server answers.

        Raises:
            ConfigurationError: the servers refuse this worker, and would again.
        """
        said = 0
        while True:
            hello = Hello(
                worker=self.id,
                name=self._config.name,
                host=socket.gethostname(),
                pid=os.getpid(),
                sdk=f"leveret-python/{_version()}",
                concurrency=self._concurrency,
                handlers=self._handlers,
            )
            sent_at = boot_time()
            try:
                reply = await self._broker.request(hello, self._config.ask_timeout)
            except BrokerUnavailable as error:
                if said % 10 == 0:
                    log.warning("no server answers; is `leveret api` running? Trying on (%s)", error)
                said += 1
                await asyncio.sleep(random.uniform(0.5, 1.5))
                continue
            if isinstance(reply, Welcome):
                self.lease.renew(sent_at, reply.lease)
                self.heartbeat = reply.heartbeat
                self.joined.set()
                return
            if isinstance(reply, Refused):
                raise ConfigurationError(f"the servers refuse this worker: {reply.reason}")
            # An incarnation that was declared lost before it was welcome.
            self.leave()
            await asyncio.sleep(random.uniform(0.2, 1.0))

    def leave(self) -> None:
        """The incarnation is void: everything it held may be another's. Its successor has a new id and must join."""
        self.joined.clear()
        self.lease.end()
        self.incarnation = Incarnation(str(uuid.uuid4()), Lease(self._config.lease_margin))

    async def say_goodbye(self) -> None:
        """Hand back whatever the servers think is held. Best effort: without it they wait for the lease to end."""
        if not self.joined.is_set():
            return
        self.joined.clear()  # no more heartbeats: they would be answered by "unknown"
        try:
            await self._broker.request(Goodbye(worker=self.id), self._config.ask_timeout)
        except BrokerUnavailable as error:
            log.warning("no server heard the goodbye (%s); what is still held goes back when the lease ends", error)


def _version() -> str:
    try:
        return version("leveret")
    except PackageNotFoundError:
        return "unknown"
