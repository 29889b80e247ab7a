"""The load: some sixty jobs of every policy, whose handlers sleep, fail, block and end their worker; and clients."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from chaos.campaign.parts import Part
from chaos.campaign.stack import Stack
from leveret_core.store.errors import is_data_error
from support.eventually import eventually

PULSE = "pulse"
"""A job of each second: while it succeeds, everything on its way works."""
EXIT_CODE = 66
"""Of a worker that a handler ended."""


@dataclass(frozen=True)
class Planned:
    """A job of the load.

    Arguments:
        every: seconds between fire times; 0 for one that is only triggered.
        alone: whether two runs of it may never overlap.
        cron: whether it is told by a cron expression, else by an interval.
        fields: the others, as REST takes them.
    """

    name: str
    every: int = 0
    alone: bool = False
    cron: bool = False
    fields: dict[str, Any] = field(default_factory=dict[str, Any])

    def body(self) -> dict[str, Any]:
        """What REST takes."""
        trigger: dict[str, Any] = {"kind": "manual"}
        if self.cron:
            expression = f"*/{self.every} * * * * *" if self.every < 60 else "* * * * *"
            trigger = {"kind": "cron", "expression": expression}
        elif self.every:
            trigger = {"kind": "interval", "every": self.every}
        return {"name": self.name, "type": "chaos.run", "trigger": trigger, "concurrency": "allow"} | self.fields


def planned() -> list[Planned]:
    """All of them."""
    return [*_steady(), *_policies(), *_trouble(), *_triggered()]


def _steady() -> Iterable[Planned]:
    yield Planned(PULSE, 1)
    for n, catch_up in zip(range(8), itertools.cycle(("latest", "all", "none")), strict=False):
        yield Planned(f"interval-{n}", 2 + n % 4, fields={"catch_up": catch_up})
    for n, every in enumerate((1, 2, 3, 5, 10, 15, 60)):
        yield Planned(f"cron-{n}", every, cron=True, fields={"catch_up": "all" if n % 2 else "latest"})
    yield Planned("threads", 3, fields={"type": "thread.run", "payload": {"seconds": 1}})


def _policies() -> Iterable[Planned]:
    for n, seconds in enumerate((0, 0.3, 0.8, 1.5, 2.5, 4, 0.1, 1)):
        fields: dict[str, Any] = {"concurrency": "skip", "payload": {"seconds": seconds}}
        yield Planned(f"skip-{n}", 2 + n % 3, alone=True, cron=n % 2 == 1, fields=fields)
    for n, seconds in enumerate((0, 0.2, 0.6, 1, 1.5, 0.4)):
        fields = {"concurrency": "queue", "catch_up": "all" if n % 2 else "latest", "payload": {"seconds": seconds}}
        yield Planned(f"queue-{n}", 3 + n % 3, alone=True, cron=n == 2, fields=fields)
    for n, seconds in enumerate((0, 0.5, 1.5, 3, 6)):
        fields = {"concurrency": "replace", "payload": {"seconds": seconds}}
        yield Planned(f"replace-{n}", 2 + n % 2, alone=True, fields=fields)
    for n, policy in enumerate(("skip", "queue", "replace")):
        yield Planned(f"two-{n}", 2, fields={"concurrency": policy, "max_concurrent": 2, "payload": {"seconds": 3 - n}})
        fields = {"concurrency": policy, "concurrency_key": "who", "payload": {"who": "ann", "seconds": 1}}
        yield Planned(f"keyed-{n}", 3, alone=True, fields=fields)


def _trouble() -> Iterable[Planned]:
    fields: dict[str, Any]
    quick: dict[str, Any] = {"delay": 0.5, "max_lost": 20}
    for n, policy in enumerate(("allow", "skip", "queue", "replace")):
        fields = {"concurrency": policy, "payload": {"fail_first": True}, "retry": quick | {"max_attempts": 3}}
        yield Planned(f"fails-once-{n}", 4, alone=policy != "allow", fields=fields)
        fields = {"concurrency": policy, "payload": {"fail": True}, "retry": quick | {"max_attempts": 2}}
        yield Planned(f"fails-{n}", 6, alone=policy != "allow", fields=fields)
    for n, seconds in enumerate((5, 9, 14)):
        yield Planned(f"slow-{n}", 7 + n, fields={"payload": {"seconds": seconds}})
    for n, timeout in enumerate((1, 3)):
        fields = {"concurrency": "skip", "payload": {"seconds": 20}, "timeout": timeout, "retry": quick | {"max_attempts": 1}}
        yield Planned(f"late-{n}", 8, alone=True, fields=fields)
    yield Planned("blocks", 15, fields={"payload": {"block": 2}})
    yield Planned("blocks-long", 50, fields={"payload": {"block": 6}})
    for n, policy in enumerate(("skip", "queue")):
        fields = {"concurrency": policy, "payload": {"exit_first": EXIT_CODE}, "retry": quick}
        yield Planned(f"exits-{n}", 40 + 10 * n, alone=True, fields=fields)


def _triggered() -> Iterable[Planned]:
    for policy in ("allow", "queue"):
        yield Planned(f"by-rest-{policy}", alone=policy != "allow", fields={"concurrency": policy, "payload": {"seconds": 0.1}})
    yield Planned("by-sql")


class Load:
    """Makes the jobs, and triggers some of them until it is told to end.

    `accepted` are the idempotency keys of the runs that a server, or Postgres by its commit, said it would do.
    """

    def __init__(self, stack: Stack, seed: int) -> None:
        self.jobs = {job.name: job for job in planned()}
        self.ids: dict[str, int] = {}
        self.accepted: set[str] = set()
        self._stack = stack
        self._rng = random.Random(f"load {seed}")

    async def make(self) -> None:
        """Create the jobs over REST."""
        # Those that others interrupt count their losses: none is to end because of its neighbours.
        for job in self.jobs.values():
            body = job.body()
            body["retry"] = {"max_lost": 20} | body.get("retry", {})
            made = await self._stack.post("/jobs", body, self._stack.replicas[0])
            self.ids[job.name] = made["id"]

    @asynccontextmanager
    async def triggering(self) -> AsyncGenerator[None]:
        """Clients at work, on each replica and in a transaction of their own."""
        clients = [asyncio.create_task(self._by_rest(replica)) for replica in self._stack.replicas]
        clients.append(asyncio.create_task(self._by_sql()))
        try:
            yield
        finally:
            for client in clients:
                client.cancel()
            ended = await asyncio.gather(*clients, return_exceptions=True)
        for end in ended:
            if isinstance(end, Exception):
                raise end

    async def _by_rest(self, replica: Part) -> None:
        for n in itertools.count():
            job, key = f"by-rest-{'queue' if n % 5 == 0 else 'allow'}", f"{replica.name}-{n}"
            # Asked again with its key until it is accepted, as a client should.
            accepted = None
            while accepted is None:
                accepted = await self._stack.post(f"/jobs/{job}/trigger", {"idempotency_key": key}, replica)
                await asyncio.sleep(0.5)
            self.accepted.add(key)
            await asyncio.sleep(self._rng.uniform(0, 1))

    async def _by_sql(self) -> None:
        for n in itertools.count():
            key = f"sql-{n}"
            try:
                async with self._stack.sql() as connection, connection.transaction():
                    await connection.fetchval("select leveret_trigger('by-sql', idempotency_key => $1)", key)
            except Exception as error:
                # It leaves open whether it was committed: then nothing was promised.
                if is_data_error(error):
                    raise
            else:
                self.accepted.add(key)
            await asyncio.sleep(1)

    async def pause(self) -> None:
        """Pause every job; what exists goes on to its end."""
        for name in self.ids:

            async def paused(name: str = name) -> None:
                answer = await self._stack.post(
                    f"/jobs/{name}/pause", {"reason": "the campaign is over"}, self._stack.replicas[0]
                )
                assert answer is not None, f"{name} cannot be paused"

            await eventually(paused, timeout=30, interval=0.5)
