"""The worker's standing with the servers: one incarnation after the other, each with an id and a lease of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import secrets
import socket
import uuid
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import msgspec

from leveret.config import WorkerConfig
from leveret.errors import BrokerUnavailable, ConfigurationError
from leveret.worker.intake.lease import Lease, boot_time
from leveret_core.broker.base import WorkerBroker
from leveret_core.messages import Declare, Declared, Goodbye, HandlerInfo, Hello, Refused, Unknown, Welcome, encode
from leveret_core.messages.fields import MAX_NAME
from leveret_core.messages.taking import MAX_REQUEST_BYTES

log = logging.getLogger(__name__)

DECLARE_INTERVAL = 300.0
"""Seconds between two declarations of the jobs."""
MAX_ANNOUNCED = MAX_REQUEST_BYTES["hello"] - 4_096
"""Bytes of all handlers in a hello; the rest of it takes less than the difference."""
SUPERSEDED_INTERVAL = 60.0
"""The same while a newer release declares one of them otherwise."""


class Incarnation(NamedTuple):
    """One life of the worker: its id, the lease that servers keep for that id, and the secret that proves it theirs."""

    id: str
    lease: Lease
    secret: str

    @classmethod
    def new(cls, lease_margin: float) -> Incarnation:
        """One that the servers do not know yet."""
        return cls(str(uuid.uuid4()), Lease(lease_margin), secrets.token_urlsafe(32))


class Membership:
    """Says hello and goodbye.

    Args:
        broker: connected to the claim desk.
        handlers: as announced.
        concurrency: slots in all, as announced.
        config: the worker's.
        jobs: what the handlers' code declares, as `POST /api/v1/jobs` takes it.
    """

    def __init__(
        self,
        broker: WorkerBroker,
        handlers: Sequence[HandlerInfo],
        concurrency: int,
        config: WorkerConfig,
        jobs: Sequence[dict[str, Any]] = (),
    ) -> None:
        self.incarnation = Incarnation.new(config.lease_margin)
        """The present one; replaced as a whole, because the heartbeat's thread reads it."""
        self.heartbeat = 5.0
        """Seconds between heartbeats, as told by the servers."""
        self.joined = asyncio.Event()
        """Set while the servers know the incarnation and its lease is trusted."""
        self._broker = broker
        self._handlers = _fitting(handlers)
        self._concurrency = concurrency
        self._config = config
        self._jobs = list(jobs)
        self._superseded: set[str] = set()

    @property
    def id(self) -> str:
        """The present incarnation's."""
        return self.incarnation.id

    @property
    def lease(self) -> Lease:
        """The present incarnation's."""
        return self.incarnation.lease

    async def join(self) -> None:
        """Say hello until a server answers, and have it make the jobs that the code declares.

        Raises:
            ConfigurationError: the servers refuse this worker, or its declaration as a whole, and would again.
        """
        said = 0
        while True:
            # Again with each try: the lease may have ended before a server could be asked about the jobs.
            hello = Hello(
                worker=self.id,
                name=self._config.name,
                host=socket.gethostname()[:MAX_NAME],
                pid=os.getpid(),
                sdk=f"leveret-python/{_version()}",
                concurrency=self._concurrency,
                handlers=self._handlers,
                secret=self.incarnation.secret,
            )
            sent_at = boot_time()
            try:
                reply = await self._broker.request(hello, self._config.ask_timeout)
                declared = await self._declare() if isinstance(reply, Welcome) and self._jobs else True
            except BrokerUnavailable as error:
                if said % 10 == 0:
                    log.warning("no server answers; is `leveret api` running? Trying on (%s)", error)
                said += 1
                await asyncio.sleep(random.uniform(0.5, 1.5))
                continue
            if isinstance(reply, Welcome) and declared:
                self.lease.renew(sent_at, reply.lease)
                self.heartbeat = reply.heartbeat
                self.joined.set()
                return
            if isinstance(reply, Refused):
                raise ConfigurationError(f"the servers refuse this worker: {reply.reason}")
            # An incarnation that was declared lost before it was welcome, or had declared its jobs.
            self.leave()
            await asyncio.sleep(random.uniform(0.2, 1.0))

    async def stay_declared(self) -> None:
        """Declare the jobs again from time to time: one that a newer release declares otherwise may be ours again by now."""
        while self._jobs:
            await self.joined.wait()
            await asyncio.sleep((SUPERSEDED_INTERVAL if self._superseded else DECLARE_INTERVAL) * random.uniform(0.9, 1.1))
            if not self.joined.is_set():
                continue
            try:
                await self._declare()
            except BrokerUnavailable as error:
                log.debug("the jobs could not be declared again: %s", error)
            except ConfigurationError as error:
                log.error("%s", error)

    async def _declare(self) -> bool:
        """Have the servers make the jobs; False if they do not know this incarnation."""
        declare = Declare(worker=self.id, secret=self.incarnation.secret, jobs=self._jobs)
        reply = await self._broker.request(declare, self._config.ask_timeout)
        if isinstance(reply, Unknown):
            return False
        if not isinstance(reply, Declared):
            await self._forget_us()
            reason = reply.reason if isinstance(reply, Refused) else f"an answer of the wrong kind: {reply!r:.80}"
            raise ConfigurationError(f"the servers refuse the jobs that the code declares: {reason}")
        # A job that the servers refuse keeps this worker from nothing else.
        for problem in reply.problems:
            log.error("the servers refuse a job that the code declares: %s", problem)
        superseded = {job.name for job in reply.jobs if job.result == "superseded"}
        for job in reply.jobs:
            if job.result in ("created", "updated"):
                log.info("job %s was %s as its code declares it", job.name, job.result)
        if new := superseded - self._superseded:
            log.warning("workers of a newer release declare %s otherwise; theirs holds while they live", ", ".join(sorted(new)))
        self._superseded = superseded
        return True

    async def _forget_us(self) -> None:
        if not self.joined.is_set():  # nothing is held yet: no need for the servers to wait for the end of a lease
            with contextlib.suppress(BrokerUnavailable):
                await self._broker.request(Goodbye(worker=self.id, secret=self.incarnation.secret), self._config.ask_timeout)

    def leave(self) -> None:
        """The incarnation is void: everything it held may be another's. Its successor has a new id and must join."""
        self.joined.clear()
        self.lease.end()
        self.incarnation = Incarnation.new(self._config.lease_margin)

    async def say_goodbye(self) -> None:
        """Hand back whatever the servers think is held. Best effort: without it they wait for the lease to end."""
        if not self.joined.is_set():
            return
        self.joined.clear()  # no more heartbeats: they would be answered by "unknown"
        try:
            await self._broker.request(Goodbye(worker=self.id, secret=self.incarnation.secret), self._config.ask_timeout)
        except BrokerUnavailable as error:
            log.warning("no server heard the goodbye (%s); what is still held goes back when the lease ends", error)


def _fitting(handlers: Sequence[HandlerInfo]) -> list[HandlerInfo]:
    """The handlers without the largest of their schemas, where all together are more than a hello may have."""
    told = list(handlers)
    sizes = [len(encode(each)) for each in told]
    for index in sorted(range(len(told)), key=sizes.__getitem__, reverse=True):
        if sum(sizes) <= MAX_ANNOUNCED:
            break
        log.warning(
            "the schema of handler %s is too large to be announced; servers will not check its payloads", told[index].name
        )
        told[index] = msgspec.structs.replace(told[index], schema=None)
        sizes[index] = len(encode(told[index]))
    return told


def _version() -> str:
    try:
        return version("leveret")
    except PackageNotFoundError:
        return "unknown"
