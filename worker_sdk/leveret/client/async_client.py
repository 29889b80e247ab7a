"""The client for programs with an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import quote

from leveret.client.results import Backfill, Job, Occurrence, Triggered
from leveret.client.transport import Transport
from leveret.client.triggers import TriggerItem, body_of, requests_of
from leveret.errors import InvalidInput

if TYPE_CHECKING:
    import httpx

LONGEST_POLL = 2.0
"""Seconds between two looks at an occurrence that is waited for."""


class Client:
    """Talks to one server; for any number of tasks of one event loop, in an `async with` block.

    A request that can be repeated without harm (reading, `put_job`, a trigger with an idempotency key) is sent up to four
    times while no server answers, or says that it cannot just now. Any other is sent once: it may have taken effect
    although its answer is missing.

    Args:
        url: of the server's root. Default: `LEVERET_URL`, else `http://127.0.0.1:8080`.
        timeout: seconds one request may take.
        headers: sent with every request, such as what a proxy in front of the server asks for.
        transport: httpx's, to reach the server in another way; for tests.

    Raises:
        ConfigurationError: `url` is not one, or httpx is not installed.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        timeout: float = 30.0,
        headers: dict[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._transport = Transport(url, timeout=timeout, headers=headers, transport=transport)

    @property
    def url(self) -> str:
        """The server's root, without a login."""
        return self._transport.url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.close()

    async def trigger(
        self,
        job: str | int,
        payload: Any = None,
        *,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        idempotency_key: str | None = None,
        priority: int | None = None,
    ) -> Occurrence:
        """Run a job, now or later. Its concurrency policy holds: now the occurrence may be `pending`, `waiting` or `skipped`.

        Args:
            job: name or id.
            payload: anything that becomes a JSON object, instead of the job's. Default: the job's.
            delay: seconds, or a timedelta, until it is due; it is `scheduled` until then. Default: now.
            at: when it is due, instead of `delay`; with a time zone. What is past is due now.
            idempotency_key: of up to 200 characters; the same key again finds the same occurrence, so the request is repeated
                when no server answers.
            priority: 0 to 9. Default: the job's.

        Raises:
            NotFound: there is no such job.
            InvalidInput: the payload, time, key or priority is wrong.
            TypeError: the payload holds what JSON cannot.
            ServerUnreachable, Refused: see those. Without a key, the trigger may have taken effect all the same.
        """
        item: TriggerItem = {
            "job": job,
            "payload": payload,
            "delay": delay,
            "at": at,
            "idempotency_key": idempotency_key,
            "priority": priority,
        }
        body = body_of(item)
        del body["job"]
        return await self._transport.ask(
            Occurrence, "POST", f"jobs/{_ref(job)}/trigger", body, safe=idempotency_key is not None
        )

    async def trigger_many(self, items: Iterable[TriggerItem]) -> list[Occurrence]:
        """Run jobs, now or later, a thousand in a request.

        Each request is one transaction: all of its items or, when one is refused, none. What is due now is `scheduled` too,
        until the dispatcher admits it a moment later.

        Args:
            items: mappings with `job`, and what else `trigger` takes: `payload`, `delay`, `at`, `idempotency_key`, `priority`.
                When all have keys, the whole call can be repeated after an error, and requests are when no server answers.

        Returns:
            The occurrences, in the order of the items.

        Raises:
            InvalidInput: items are wrong; `.problems` names them, as in `items.3.payload`. Nothing of their request and of
                those after it is triggered; earlier requests stay triggered.
            TypeError: a payload holds what JSON cannot; nothing is triggered.
            ServerUnreachable, Refused: see those.
        """
        made: list[Occurrence] = []
        for request in requests_of(items):
            try:
                answer = await self._transport.ask(Triggered, "POST", "triggers", request.content, safe=request.safe)
            except InvalidInput as error:
                raise request.placed(error) from error
            made += answer.items
        return made

    async def job(self, job: str | int) -> Job:
        """Read a job by its name or id. Raises `NotFound`, `ServerUnreachable`, `Refused`."""
        return await self._transport.ask(Job, "GET", f"jobs/{_ref(job)}", safe=True)

    async def put_job(self, name: str, /, **definition: Any) -> Job:
        """Make the job of this name be as defined, whether it exists or not. The same again changes nothing.

        Args:
            name: of the job.
            definition: its fields, as in docs/api.md: `type` and `trigger` are needed, what is left out has its default.

        Raises:
            InvalidInput: `.problems` names every field at fault.
            ServerUnreachable, Refused: see those.
        """
        return await self._transport.ask(Job, "PUT", f"jobs/{_ref(name)}", definition, safe=True)

    async def occurrence(self, occurrence_id: int) -> Occurrence:
        """Read an occurrence, with payload, result and error. Raises `NotFound`, `ServerUnreachable`, `Refused`."""
        return await self._transport.ask(Occurrence, "GET", f"occurrences/{occurrence_id}", safe=True)

    async def wait(self, occurrence_id: int, timeout: float | None = None) -> Occurrence:
        """Wait until an occurrence has ended, however: see its `state`, `result` and `error`.

        Args:
            occurrence_id: which one.
            timeout: seconds to wait. Default: for ever.

        Raises:
            TimeoutError: it has not ended by then.
            NotFound, ServerUnreachable, Refused: see those.
        """
        pause = 0.05
        async with asyncio.timeout(timeout):
            while not (found := await self.occurrence(occurrence_id)).final:
                await asyncio.sleep(pause)
                pause = min(LONGEST_POLL, pause * 1.5)
        return found

    async def start_backfill(
        self,
        job: str | int,
        start_at: datetime,
        end_at: datetime,
        *,
        concurrency: Literal["queue", "skip", "allow"] = "queue",
        max_concurrent: int = 1,
        payload: Any = None,
    ) -> Backfill:
        """Run a job for its fire times from `start_at` to `end_at`, except those that have run; beside its schedule.

        Args:
            job: name or id, of a job with a cron or interval trigger.
            start_at: without a time zone, wall time in the job's zone. Belongs to the range.
            end_at: as `start_at`; not in the future.
            concurrency: what a fire time does while others of the backfill are live. Default: wait for its turn.
            max_concurrent: how many of them are live at once. Default: 1.
            payload: anything that becomes a JSON object, instead of the job's. Default: the job's.

        Raises:
            NotFound: there is no such job.
            InvalidInput: the job has no fire times in the range, or too many, or the range or the payload is wrong.
            Conflict: too many backfills of the job run.
            ServerUnreachable, Refused: see those; the backfill may have been started all the same.
        """
        body = {"start_at": start_at, "end_at": end_at, "concurrency": concurrency, "max_concurrent": max_concurrent}
        given = {} if payload is None else {"payload": payload}
        return await self._transport.ask(Backfill, "POST", f"jobs/{_ref(job)}/backfills", body | given, safe=False)

    async def backfill(self, backfill_id: int) -> Backfill:
        """Read how far a backfill is. Raises `NotFound`, `ServerUnreachable`, `Refused`."""
        return await self._transport.ask(Backfill, "GET", f"backfills/{backfill_id}", safe=True)

    async def cancel_backfill(self, backfill_id: int, *, running: bool = False, reason: str | None = None) -> Backfill:
        """Stop a backfill: what of it has not begun is cancelled. Again does no harm.

        Args:
            backfill_id: which one.
            running: cancel what runs, too. Default: that goes on.
            reason: shown with it.

        Raises:
            Conflict: it is completed.
            NotFound, ServerUnreachable, Refused: see those.
        """
        body = {"running": running, "reason": reason}
        return await self._transport.ask(Backfill, "POST", f"backfills/{backfill_id}/cancel", body, safe=True)


def _ref(value: str | int) -> str:
    return quote(str(value), safe="")
