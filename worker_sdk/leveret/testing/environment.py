"""Jobs, schedules and handlers in a test: the product's rules on a clock that the test moves, and no server."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any

import msgspec

from leveret.config import WorkerConfig
from leveret.errors import Conflict, InvalidInput
from leveret.testing.clock import Clock
from leveret.testing.given import Moment, checked_payload, instant, trigger_of
from leveret.testing.handlers import Source, handlers_of
from leveret.testing.records import Attempt, Job, LogLine, Occurrence, ServerRules
from leveret.testing.runtime import Runtime
from leveret.testing.timeline import Timeline
from leveret_core.job_definition import check, define
from leveret_core.retry import RetryPolicy
from leveret_core.states import FINAL
from leveret_core.triggers import Manual, Trigger

__all__ = ["Attempt", "Environment", "Job", "LogLine", "Occurrence", "ServerRules"]

BEGINNING = "2026-01-01T00:00:00Z"


class Environment(Timeline):
    """Schedules and handlers under the rules of the product, on a clock that stands still unless it is moved.

    To be used with `with` or `async with`, in plain tests and in coroutines alike. All that can happen at a moment has
    happened when a method returns: what is due has begun, and handlers have gone on as far as they get without waiting.

    Args:
        handlers: a `Registry`; a module or its dotted name, or several, which mean the handlers in it and below it.
            Default: all that were defined under `@leveret.job` in this process.
        now: where the clock begins. Default: the beginning of 2026.
        config: of the worker: `concurrency`, `stop_grace` and the limits. Default: as everywhere.
        rules: what is set on servers.
        seed: of the random part of the delays of retries. None (default) takes it out: each delay is the longest it can be.
        patience: real seconds to wait in silence for threads and child processes before the clock goes on without them, and
            ten times as long as for sockets. Default 10.
        declared: whether the jobs that `@job(..., cron=...)` declares are there from the beginning. Default: yes.
        clock_moved: called with every instant at which the clock comes to stand, so that a library that fakes
            `datetime.now()` can follow.

    Raises:
        ConfigurationError: there are no handlers in the module.
        InvalidInput: `now` is not an instant.
    """

    def __init__(
        self,
        handlers: Source = None,
        *,
        now: Moment = BEGINNING,
        config: WorkerConfig | None = None,
        rules: ServerRules | None = None,
        seed: int | None = None,
        patience: float = 10.0,
        declared: bool = True,
        clock_moved: Callable[[datetime], object] = lambda _: None,
    ) -> None:
        served = handlers_of(handlers)
        runtime = Runtime(
            served,
            Clock(instant(now, "UTC"), clock_moved),
            config=config or WorkerConfig(),
            rules=rules or ServerRules(),
            rng=_Longest() if seed is None else random.Random(seed),
            patience=patience,
            declared=[define(job) for handler in served for job in handler.jobs] if declared else [],
        )
        super().__init__(runtime)

    # Jobs

    def define(
        self,
        name: str,
        *,
        type: str,
        cron: str | None = None,
        tz: str | None = None,
        every: float | timedelta | None = None,
        at: Moment | None = None,
        trigger: Trigger | Mapping[str, Any] | None = None,
        retry: RetryPolicy | Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Job:
        """Make a job that is due from now on.

        Args:
            name: unique in the environment.
            type: such as `report.daily`.
            cron: five or six fields, evaluated in the zone `tz`.
            tz: IANA name, for `cron` and `at`. Default: UTC.
            every: seconds between runs.
            at: when it runs once.
            trigger: instead of these, the object that REST takes. Default: none, it is only triggered by hand.
            retry: such as `{"max_attempts": 3, "delay": 5}`.
            fields: other fields of a job, as REST takes them: `payload`, `concurrency`, `timeout`, ...

        Raises:
            InvalidInput: with every wrong field, in the words of the product; or no handler takes the payload.
            Conflict: there is a job of that name.
        """
        values: dict[str, Any] = {"name": name, "type": type, **fields}
        values["trigger"] = trigger_of(cron, tz, every, at, trigger)
        if retry is not None:
            values["retry"] = msgspec.structs.asdict(retry) if isinstance(retry, RetryPolicy) else retry
        definition = define(values)
        if definition.payload or not isinstance(definition.trigger, Manual):
            self._runtime.worker.check_payload(type, definition.payload)
        return self._runtime.do(lambda: self._runtime.server.define(definition))

    def pause(self, job: str, reason: str | None = None) -> None:
        """Stop a job from being due; it can still be triggered."""
        found = self.job(job)
        self._runtime.do(lambda: self._runtime.server.pause(found, reason))

    def resume(self, job: str) -> None:
        """Let a paused job be due again, from now on."""
        found = self.job(job)
        self._runtime.do(lambda: self._runtime.server.resume(found))

    # Occurrences

    def trigger(
        self,
        job: str,
        *,
        payload: dict[str, Any] | None = None,
        idempotency_key: str | None = None,
        priority: int | None = None,
        delay: float | timedelta | None = None,
        at: Moment | None = None,
    ) -> Occurrence:
        """Run a job now or later, under its own policy. A handler that begins now and does not wait has ended on return.

        Args:
            payload: instead of the job's.
            idempotency_key: a second call with the same key finds the first one's occurrence.
            priority: 0 to 9 instead of the job's.
            delay: seconds from now.
            at: instead of a delay, when to run; text without an offset is UTC. What is past means now.

        Raises:
            NotFound: there is no such job.
            InvalidInput: the payload or priority is wrong, or no handler takes the payload.
        """
        found = self.job(job)
        given: dict[str, Any] = {}
        if priority is not None:
            given |= check({"priority": priority})
        if payload is not None:
            given["payload"] = checked_payload(payload)
        self._runtime.worker.check_payload(found.definition.type, given.get("payload", found.definition.payload))
        if idempotency_key is not None:
            for known in self._runtime.server.occurrences.all:
                if known.of is found and known.idempotency_key == idempotency_key:
                    return known
            given["idempotency_key"] = idempotency_key
        if delay is not None and at is not None:
            raise InvalidInput.at("at", "cannot be given together with delay")
        if delay is None and at is None:
            return self._runtime.do(lambda: self._runtime.server.run_now(found, "manual", **given))
        wait = delay if isinstance(delay, timedelta) else timedelta(seconds=delay or 0)
        due = self.now + wait if at is None else instant(at, "UTC")
        return self._runtime.do(lambda: self._runtime.server.run_later(found, due, **given))

    def cancel(self, occurrence: Occurrence, reason: str = "cancelled by the test") -> None:
        """Cancel an occurrence: at once what does not run, otherwise its handler is interrupted.

        Raises:
            Conflict: it is final: the cancel came too late.
        """
        self._runtime.do(lambda: self._runtime.server.cancel(occurrence, reason))

    def requeue(self, occurrence: Occurrence, *, payload: dict[str, Any] | None = None) -> Occurrence:
        """Repeat a final occurrence as a new one that names it.

        Raises:
            Conflict: it has not ended yet.
        """
        if occurrence.state not in FINAL:
            raise Conflict(f"occurrence {occurrence.id} is {occurrence.state}; only one that has ended can be requeued")
        given: dict[str, Any] = {"requeue_of": occurrence.id, "priority": occurrence.priority}
        given["payload"] = occurrence.payload if payload is None else checked_payload(payload)
        return self._runtime.do(lambda: self._runtime.server.run_now(occurrence.of, "requeue", **given))

    # With and without `async`

    def __enter__(self) -> Environment:
        self._runtime.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._runtime.close()

    async def __aenter__(self) -> Environment:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


class _Longest(random.Random):
    """Draws the end of each range."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)
