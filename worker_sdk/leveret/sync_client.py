"""The client for programs without an event loop: `with SyncClient() as client: client.trigger("digest")`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from leveret.client import Backfill, Client, Job, Occurrence, TriggerItem

if TYPE_CHECKING:
    import httpx

__all__ = ["Backfill", "Job", "Occurrence", "SyncClient", "TriggerItem"]

_Value = TypeVar("_Value")


class SyncClient:
    """`leveret.client.Client`, whose methods wait for their answers; for any number of threads, in a `with` block.

    The requests are made on an event loop in a thread of its own. Arguments, answers and errors are those of `Client`.

    Args:
        url, timeout, headers, transport: as of `Client`.

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
        self._client = Client(url, timeout=timeout, headers=headers, transport=transport)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="leveret-client", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and end the thread. Safe to call twice."""
        if self._loop.is_closed():
            return
        self._run(self._client.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def trigger(
        self,
        job: str | int,
        payload: Any = None,
        *,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        idempotency_key: str | None = None,
        priority: int | None = None,
    ) -> Occurrence:
        """As `Client.trigger`."""
        return self._run(
            self._client.trigger(job, payload, delay=delay, at=at, idempotency_key=idempotency_key, priority=priority)
        )

    def trigger_many(self, items: Iterable[TriggerItem]) -> list[Occurrence]:
        """As `Client.trigger_many`."""
        return self._run(self._client.trigger_many(list(items)))

    def job(self, job: str | int) -> Job:
        """As `Client.job`."""
        return self._run(self._client.job(job))

    def put_job(self, name: str, /, **definition: Any) -> Job:
        """As `Client.put_job`."""
        return self._run(self._client.put_job(name, **definition))

    def occurrence(self, occurrence_id: int) -> Occurrence:
        """As `Client.occurrence`."""
        return self._run(self._client.occurrence(occurrence_id))

    def wait(self, occurrence_id: int, timeout: float | None = None) -> Occurrence:
        """As `Client.wait`."""
        return self._run(self._client.wait(occurrence_id, timeout))

    def start_backfill(
        self,
        job: str | int,
        start_at: datetime,
        end_at: datetime,
        *,
        concurrency: Literal["queue", "skip", "allow"] = "queue",
        max_concurrent: int = 1,
        payload: Any = None,
    ) -> Backfill:
        """As `Client.start_backfill`."""
        return self._run(
            self._client.start_backfill(
                job, start_at, end_at, concurrency=concurrency, max_concurrent=max_concurrent, payload=payload
            )
        )

    def backfill(self, backfill_id: int) -> Backfill:
        """As `Client.backfill`."""
        return self._run(self._client.backfill(backfill_id))

    def cancel_backfill(self, backfill_id: int, *, running: bool = False, reason: str | None = None) -> Backfill:
        """As `Client.cancel_backfill`."""
        return self._run(self._client.cancel_backfill(backfill_id, running=running, reason=reason))

    def _run(self, asked: Coroutine[Any, Any, _Value]) -> _Value:
        answer = asyncio.run_coroutine_threadsafe(asked, self._loop)
        try:
            return answer.result()
        except BaseException:
            # Ctrl-C while it waits: the request is given up, too.
            answer.cancel()
            raise
