"""Wins, keeps and gives up the term; runs the dispatcher while it holds it. The rules are told in the package's docstring."""

from __future__ import annotations

import asyncio
import logging
import socket
import uuid
from collections.abc import Callable, Coroutine
from typing import Any

from leveret_core.cancellation import heed_cancellation
from leveret_core.errors import TermOver
from leveret_core.failpoints import reach
from leveret_core.hints import Hint, Hints
from leveret_core.settings import Settings
from leveret_core.store.database import Database
from leveret_core.store.term import fence
from leveret_core.supervision import end_tasks
from leveret_dispatcher.leadership.lock import LockUnknown, RedisLock
from leveret_dispatcher.leadership.term import Term, boottime
from leveret_dispatcher.leadership.watchdog import Watchdog, end_process

log = logging.getLogger(__name__)

END_TIMEOUT = 5.0
"""Seconds in which dispatching and renewing must have ended when the term is given up."""
RENEW_LIMIT = 20.0
"""Seconds one renewal may take: both services, each with its own time limit."""
RESIGN_TIMEOUT = 2.0
"""Seconds to tell Postgres that the term is given up, which only saves candidates the wait for the lease."""


class Candidate:
    """Tries for the term until it is stopped.

    Args:
        settings: TTL, margin and intervals.
        database: for the fence row; a pool that nothing else can exhaust.
        lock: the Redis lock, with this process's token.
        hints: wake this candidate when a holder resigns.
        dispatch: runs for the length of a term; raises `TermOver` or is cancelled when it ends.
        end_process: called when this process holds the term and can neither keep nor give it up.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        lock: RedisLock,
        hints: Hints,
        dispatch: Callable[[Term], Coroutine[Any, Any, None]],
        end_process: Callable[[], None] = end_process,
    ) -> None:
        self._settings = settings
        self._database = database
        self._lock = lock
        self._hints = hints
        self._dispatch = dispatch
        self._end_process = end_process
        self._holder = uuid.uuid4()
        self._holder_name = f"{socket.gethostname()}:{self._holder.hex[:8]}"
        self._vacant = asyncio.Event()
        self.term: Term | None = None

    async def run(self) -> None:
        """Stand for election until cancelled; then resign, so that the next candidate need not wait for the TTL."""
        unsubscribe = self._hints.subscribe(self._on_hint)
        try:
            while True:
                if (term := await self._elect()) is not None:
                    await self._hold(term)
                    # Its own resignation must not wake it: a replica that had to step down lets the others try first.
                    self._vacant.clear()
                try:
                    async with asyncio.timeout(self._settings.lock_retry):
                        await self._vacant.wait()
                except TimeoutError:
                    pass
                self._vacant.clear()
        finally:
            unsubscribe()

    def _on_hint(self, hint: Hint) -> None:
        if hint.topic == "term":
            self._vacant.set()

    async def _elect(self) -> Term | None:
        """A new term, or None when another replica dispatches or the answer is unknown."""
        asked = boottime()
        settings = self._settings
        try:
            if not await self._lock.acquire():
                return None
            lock_known = True
        except LockUnknown:
            lock_known = False
        try:
            epoch = await fence.raise_epoch(
                self._database, self._holder, self._holder_name, settings.lock_ttl, if_expired=not lock_known
            )
        except Exception as error:
            heed_cancellation()
            log.warning("term: Postgres cannot be asked (%s: %s); trying again", type(error).__name__, error)
            await self._give_back()
            return None
        if epoch is None:
            return None
        return Term(self._database, epoch, asked + settings.lock_ttl - settings.lock_margin)

    async def _hold(self, term: Term) -> None:
        log.info("term: holding epoch %d as %s", term.epoch, self._holder_name)
        self.term = term
        beyond = 2 * self._settings.lock_ttl
        watchdog = Watchdog(beyond, self._end_process, lambda awake: term.stuck(beyond=beyond, awake_since=awake))
        watchdog.start()
        dispatching = asyncio.create_task(self._dispatch(term), name="leveret dispatching")
        renewing = asyncio.create_task(self._renew(term), name="leveret renewing")
        try:
            done, _ = await asyncio.wait({dispatching, renewing}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = None if task.cancelled() else task.exception()
                if isinstance(error, TermOver):
                    log.warning("term: stepping down: %s", error)
                else:
                    log.error("term: the dispatcher failed, stepping down", exc_info=error)
        finally:
            # Before anything is awaited: from here on no renewal counts, whatever has become of the tasks.
            term.give_up()
            self.term = None
            try:
                if await end_tasks((dispatching, renewing), END_TIMEOUT):
                    # It might renew the lock, or dispatch, for ever: no replica could take over from a process like that.
                    log.critical("term: what belongs to epoch %d does not end; ending the process", term.epoch)
                    self._end_process()
            finally:
                watchdog.stop()
                await asyncio.shield(self._resign(term))

    async def _renew(self, term: Term) -> None:
        """Extend the trust window; returns never, raises `TermOver` when the term cannot be kept."""
        settings = self._settings
        steps = term.watch("renewing", RENEW_LIMIT)
        pause, answered = settings.lock_renew, boottime()
        while True:
            steps.rest()
            await asyncio.sleep(pause)
            reach("renewing")
            steps.begin()
            asked = boottime()
            trusted_until = asked + settings.lock_ttl - settings.lock_margin
            # First the lease in Postgres, at which candidates look when they cannot reach Redis: a Redis that does not answer
            # costs a second, which the trust window need not wait for.
            leased = await self._renew_lease(term)
            if leased is False:
                raise TermOver(f"epoch {term.epoch} is over: another dispatcher holds the term")
            if leased:
                answered = asked
                term.trust(trusted_until)
            locked = await self._renew_lock()
            if locked is False:
                raise TermOver("another process holds the lock in Redis")
            if locked:
                term.trust(trusted_until)
            pause = settings.lock_renew if locked or leased else settings.lock_retry
            term.check()
            if asked - answered > 2 * settings.lock_ttl:
                # A lock alone dispatches nothing; another replica may be able to reach Postgres.
                raise TermOver(f"Postgres has not answered for {asked - answered:.0f} s")
            if (stuck := term.stuck()) is not None:
                raise TermOver(f"the {stuck} does not come on")

    async def _renew_lock(self) -> bool | None:
        try:
            # A lost key (Redis was restarted or flushed) may be taken again, if no other replica was quicker.
            return await self._lock.renew() or await self._lock.acquire()
        except LockUnknown:
            return None

    async def _renew_lease(self, term: Term) -> bool | None:
        ttl = self._settings.lock_ttl
        try:
            # A Postgres that is slow to answer must not cost the renewal of the lock.
            async with asyncio.timeout(ttl / 3):
                return await fence.renew_lease(self._database, term.epoch, ttl, term.behind)
        except Exception as error:
            heed_cancellation()
            log.warning("term: the lease was not renewed (%s: %s)", type(error).__name__, error)
            return None

    async def _resign(self, term: Term) -> None:
        try:
            async with asyncio.timeout(RESIGN_TIMEOUT):
                await fence.resign(self._database, term.epoch)
        except Exception as error:
            log.debug("term: the lease is left to expire: %r", error)
        await self._give_back()
        self._hints.send(Hint("term"))
        log.info("term: gave up epoch %d", term.epoch)

    async def _give_back(self) -> None:
        try:
            await self._lock.resign()
        except LockUnknown:
            log.debug("term: the lock is left to expire")
