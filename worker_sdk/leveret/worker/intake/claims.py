"""Asks the claim desk for attempts, many in one request, again and again until each is answered."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from itertools import islice

from msgspec import UNSET

from leveret.config import WorkerConfig
from leveret.errors import BrokerUnavailable
from leveret.worker.attempt_key import AttemptKey
from leveret.worker.intake.membership import Membership
from leveret_core.broker.base import WorkerBroker
from leveret_core.messages import Answer, Ask, Claim, Claimed, Refused, Unknown

log = logging.getLogger(__name__)

MAX_ASKS = 200
GATHER = 0.001
"""Seconds in which asks come together before a request is sent; more gather while one is under way."""
RETRY_PAUSE = (0.2, 1.0)
"""Seconds before an ask that was not answered is asked again, from and to."""
BUSY_PAUSE = 0.02
"""Seconds before asking again what the desk left out of its reply."""
REFUSED_PAUSE = 30.0


class Claims:
    """Keeps what was asked for until its answer is there.

    An ask is repeated as it was, by the same incarnation, until it is answered, and the answer stays the same: neither a
    lost request nor a lost reply can run an occurrence twice, or never.

    Args:
        broker: connected to the claim desk.
        membership: whose incarnation claims.
        room: nothing is asked for while it is not set.
    """

    def __init__(
        self,
        broker: WorkerBroker,
        membership: Membership,
        config: WorkerConfig,
        room: asyncio.Event,
    ) -> None:
        self.lead = 0.01
        """Seconds from a request to its answer, averaged."""
        self._broker = broker
        self._membership = membership
        self._timeout = config.ask_timeout
        self._room = room
        self._asks: dict[AttemptKey, tuple[str, bool]] = {}
        """The type of each, and whether it wants the last success of its job."""
        self._wake = asyncio.Event()

    def connect(
        self,
        *,
        on_answer: Callable[[Answer], None],
        on_unclaimed: Callable[[Answer], None],
        on_unknown: Callable[[str], None],
    ) -> None:
        """Before anything else: who hears of answers.

        Args:
            on_answer: called for each answer that is still waited for, and that the present incarnation got.
            on_unclaimed: called for a granted answer that is not waited for any more.
            on_unknown: called with the incarnation that the servers do not know (any more).
        """
        self._on_answer = on_answer
        self._on_unclaimed = on_unclaimed
        self._on_unknown = on_unknown

    def ask(self, key: AttemptKey, job_type: str, *, last_success: bool = False) -> None:
        """Ask for an attempt, and for the last success of its job if that is wanted; asking twice is asking once."""
        self._asks[key] = job_type, last_success
        self._wake.set()

    def forget(self, key: AttemptKey) -> None:
        """Wait for this answer no longer; if it is granted, `on_unclaimed` hears of it."""
        self._asks.pop(key, None)

    def pending(self, key: AttemptKey) -> bool:
        """Whether the attempt is asked for, and not answered."""
        return key in self._asks

    @property
    def outstanding(self) -> int:
        """Asks without an answer."""
        return len(self._asks)

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self._wake.wait()
            await self._membership.joined.wait()
            await self._room.wait()
            if len(self._asks) < MAX_ASKS:
                await asyncio.sleep(GATHER)
            self._wake.clear()
            if self._asks:
                await self._request(list(islice(self._asks, MAX_ASKS)))
            if self._asks:
                self._wake.set()

    async def _request(self, keys: list[AttemptKey]) -> None:
        worker, _, secret = self._membership.incarnation
        clock = asyncio.get_running_loop().time
        sent_at = clock()
        try:
            claim = Claim(
                worker=worker,
                secret=secret,
                asks=[Ask(*key) for key in keys],
                types=[self._asks[key][0] for key in keys],
                last_success=[key[0] for key in keys if self._asks[key][1]] or UNSET,
            )
            reply = await self._broker.request(claim, self._timeout)
        except BrokerUnavailable as error:
            log.info("%d claims were not answered, asking again (%s)", len(keys), error)
            await asyncio.sleep(random.uniform(*RETRY_PAUSE))
            return
        if worker != self._membership.id:
            return  # an answer to a former self
        match reply:
            case Claimed(answers=answers, problems=problems):
                for problem in problems:
                    log.error("the claim desk says that an ask is wrong: %s", problem)
                self.lead += 0.2 * (min(clock() - sent_at + GATHER, 1.0) - self.lead)
                for answer in answers:
                    key = (answer.occurrence, answer.attempt)
                    if key in self._asks:
                        del self._asks[key]
                        self._on_answer(answer)
                    elif answer.status in ("granted", "cancelled"):
                        self._on_unclaimed(answer)
                unanswered = [key for key in keys if key in self._asks]
                if unanswered:
                    # The row was busy. Others first, and not at once.
                    for key in unanswered:
                        self._asks[key] = self._asks.pop(key)
                    await asyncio.sleep(BUSY_PAUSE)
            case Unknown():
                self._on_unknown(worker)
            case _:
                reason = reply.reason if isinstance(reply, Refused) else f"an answer of the wrong kind: {reply!r:.80}"
                log.error("the claim desk refused a request: %s", reason)
                await asyncio.sleep(REFUSED_PAUSE)
