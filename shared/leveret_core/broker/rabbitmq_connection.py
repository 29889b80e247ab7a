"""A connection to RabbitMQ that is kept up: when anything about it breaks, it is dropped whole and made anew.

Why not aio-pika's `RobustConnection`, which restores a connection in place? It restores everything or nothing: one declaration
that the broker refuses closes the connection, every five seconds, all clients in step. It keeps channels by weak reference.
Restored channels and consumers have been lost in several of its versions, and nothing in it would notice. Here a link is never
repaired. Each new one gets all that it must have by the very code that made the first, a refused part is retried alone and
slowly, new tries are spread at random, and a watchdog asks the broker whether the consumers exist.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiormq.exceptions import ChannelNotFoundEntity

from leveret_core.broker.aiormq_logs import hide_in_this_task
from leveret_core.broker.rabbitmq_errors import REFUSALS, explain_connecting, explain_refusal, is_refused_login
from leveret_core.broker.rabbitmq_link import CLOSE_TIMEOUT, Link
from leveret_core.broker.rabbitmq_part import Made, Part
from leveret_core.broker.rabbitmq_urls import Nodes, parse_urls
from leveret_core.cancellation import heed_cancellation
from leveret_core.supervision import Kept, Supervisor, end_tasks

logger = logging.getLogger("leveret.broker")

HEARTBEAT = 10
"""Seconds; a silent broker is noticed after about three times as long."""
BACKOFF_MIN, BACKOFF_MAX = 0.2, 5.0
"""Seconds before the next try: at random between the first and a bound that doubles up to the second."""
LOGIN_RETRY = 5.0
"""Seconds before a refused login is tried again, give or take half."""
REFUSED_RETRY = 30.0
"""Seconds, likewise, before a refused part is tried again on the same link."""
MISSING_RETRY = 3.0
"""Seconds, likewise, while an exchange or queue is not there yet."""
ACCESS_REFUSED = "ACCESS_REFUSED"
"""RabbitMQ's word in the reason of a channel that it closed for lack of a permission."""
STEADY = 5.0
"""Seconds that a link must last for its end to count as the first one of a series."""
CAUTION = 10.0
"""Seconds that a cautious link must last to be replaced by an ordinary one."""
WATCH_INTERVAL = 25.0
"""Seconds between questions whether the consumers exist, give or take a fifth."""


class SupervisedConnection:
    """Keeps one connection and its parts.

    After a message that breaks the parser (and so the connection) links are *cautious* for a while: their consumers hold one
    message at a time, so that only the bad one uses up its deliveries, and not its neighbours.

    Args:
        url: `amqp://` or `amqps://`; with several hosts the next one is tried when one is away.
        role: what it is for, in names and log records.
        supervisor: keeps the task that keeps the connection.
        heartbeat: seconds; after two or three times as long a silent side is given up by the other.
    """

    def __init__(self, url: str, role: str, supervisor: Supervisor | None = None, *, heartbeat: int = HEARTBEAT) -> None:
        self.role = role
        self.connecting_problem: str | None = None
        self.login_refused = False
        """Whether the last try to connect ended with the broker's refusal of the login."""
        self.lacking: str | None = None
        """What it is not allowed to do, although it may connect and declare: found out when it tried."""
        self._told: set[str] = set()
        self._nodes = Nodes(parse_urls(url, heartbeat))
        self._name = f"{self._nodes.current.query.get('name', 'leveret')} {role} {socket.gethostname()}:{os.getpid()}"
        self._parts: list[Part[Any]] = []
        self._link: Link | None = None
        self._tried = asyncio.Event()
        self._supervisor = supervisor or Supervisor()
        self._kept: Kept | None = None
        self._making: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        """Whether there is a link with all its parts."""
        return self._link is not None and all(part.there for part in self._parts)

    @property
    def problem(self) -> str | None:
        """Why it is not, as far as the broker's answers tell."""
        return self.connecting_problem or next((part.problem for part in self._parts if part.problem), self.lacking)

    def keep(self, what: str, make: Callable[[Link], Awaitable[Made]]) -> Part[Made]:
        """Make this part on the current link, if there is one, and on every later one.

        If the broker refuses it (403, 404, 405, 406) that concerns this part only; any other exception ends the link.
        """
        part = Part(what, make)
        self._parts.append(part)
        if self._link is not None:
            self._start_making(self._link, part)
        return part

    def start(self) -> None:
        """Begin, also after `stop`; does nothing if it has begun."""
        if self._kept is None:
            self._tried.clear()
            for part in self._parts:
                part.lose()
            self._kept = self._supervisor.keep(f"broker connection {self.role}", self._supervise)

    async def tried(self, timeout: float) -> bool:
        """Wait until the first try succeeded or failed. False if that took longer than `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._tried.wait()
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """Close; nothing is left running. Safe to call twice."""
        kept, self._kept = self._kept, None
        await self._supervisor.stop(kept)
        await end_tasks(self._making)
        if self._closing:
            await asyncio.wait(self._closing, timeout=2 * CLOSE_TIMEOUT)
        for part in self._parts:
            part.close()

    async def _supervise(self) -> None:
        hide_in_this_task()
        failures, lost_at, cautious = 0, 0.0, False
        while True:
            try:
                link = await Link.open(self._nodes.current, self._name, cautious=cautious)
            except Exception as error:
                if not self._cannot_connect(error):
                    continue
                failures += 1
                await asyncio.sleep(_around(LOGIN_RETRY) if is_refused_login(error) else backoff(failures))
                continue
            began = time.monotonic()
            try:
                await self._live(link, lost_at, began)
            finally:
                await self._leave(link)
            lost_at = time.monotonic()
            lasted = lost_at - began
            cautious = link.spoilt or (cautious and lasted < CAUTION)
            failures = 1 if lasted > STEADY else failures + 1
            self._nodes.next()
            if ACCESS_REFUSED in link.reason:
                self._lacks(link.reason)
            else:
                logger.warning("broker connection %s lost: %s", self.role, link.reason)
            await asyncio.sleep(backoff(failures))

    def _lacks(self, reason: str) -> None:
        lacking = f"the broker's user lacks a permission, see docs/deploy.md ({reason})"
        if lacking != self.lacking:
            logger.error("broker connection %s: %s", self.role, lacking)
        self.lacking = lacking

    async def _live(self, link: Link, lost_at: float, began: float) -> None:
        self._link = link
        self.connecting_problem, self.login_refused = None, False
        self._told.clear()
        for part in self._parts:
            self._start_making(link, part)
        for part in self._parts:
            await part.tried.wait()
        self._tried.set()
        if not link.ended.is_set():
            node = self._nodes.current
            if lost_at:
                logger.info(
                    "broker connection %s back after %.1f s, with %s:%s",
                    self.role,
                    time.monotonic() - lost_at,
                    node.host,
                    node.port,
                )
            else:
                logger.info("broker connection %s established with %s:%s", self.role, node.host, node.port)
        until = began + CAUTION if link.cautious else float("inf")
        while not link.ended.is_set():
            pause = min(WATCH_INTERVAL * random.uniform(0.8, 1.2), max(0.0, until - time.monotonic()))
            try:
                async with asyncio.timeout(pause):
                    await link.ended.wait()
            except TimeoutError:
                if time.monotonic() >= until:
                    link.end("steady again after a message that could not be parsed")
                else:
                    self.lacking = None
                    await link.check()

    async def _leave(self, link: Link) -> None:
        self._link = None
        for task in list(self._making):
            task.cancel()
        closing = asyncio.create_task(link.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        for part in self._parts:
            part.lose()

    def _start_making(self, link: Link, part: Part[Made]) -> None:
        task = asyncio.create_task(self._make(link, part))
        self._making.add(task)
        task.add_done_callback(self._making.discard)

    async def _make(self, link: Link, part: Part[Made]) -> None:
        try:
            while not link.ended.is_set():
                try:
                    made = await part.make(link)
                    heed_cancellation()
                    part.gain(made)
                    return
                except REFUSALS as error:
                    self._refused(part, error)
                    retry = MISSING_RETRY if isinstance(error, ChannelNotFoundEntity) else REFUSED_RETRY
                    await asyncio.sleep(_around(retry))
                except Exception as error:
                    link.end(f"{part.what} could not be set up: {error!r}")
        finally:
            part.tried.set()

    def _refused(self, part: Part[Made], error: Exception) -> None:
        problem = explain_refusal(error, part.what)
        if problem != part.problem:
            logger.error("broker refused %s", problem)
        part.problem = problem
        part.tried.set()

    def _cannot_connect(self, error: Exception) -> bool:
        """Tell why, and go on to the next node; whether no node is left that was not tried since the last pause."""
        problem = explain_connecting(error, self._nodes.current)
        if problem not in self._told:
            self._told.add(problem)
            logger.warning("broker connection %s: %s", self.role, problem)
        self.connecting_problem = problem
        self.login_refused = is_refused_login(error)
        if not self._nodes.next():
            return False
        self._tried.set()
        return True


def backoff(failures: int) -> float:
    """Seconds before the next try after `failures` in a row, 1 or more: full jitter, from `BACKOFF_MIN` up."""
    return random.uniform(BACKOFF_MIN, min(BACKOFF_MAX, BACKOFF_MIN * 2.0 ** min(failures, 10)))


def _around(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.5)
