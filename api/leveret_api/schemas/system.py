"""Workers, the dispatcher, and how the system is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from leveret_core.patterns import queue_name
from leveret_core.states import State
from leveret_core.store.reads.overview import DispatcherRow
from leveret_core.store.reads.workers import RefusalRow, WorkerRow
from leveret_core.supervision import TaskState

ServiceState = Literal["ok", "down"]


class Handler(BaseModel):
    """A handler that a worker announced."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    pattern: str = Field(examples=["sendemail.*"])
    queue: str = Field(description="The queue in RabbitMQ, for autoscalers.", examples=["jobs.sendemail.wildcard"])
    concurrency: int
    name: str = ""
    timeout: float | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema", description="JSON Schema of the payload, when known.")
    doc: str = ""


class Worker(BaseModel):
    """One incarnation of a worker process."""

    id: UUID
    name: str
    host: str
    pid: int
    sdk: str
    state: Literal["alive", "draining", "stopped", "lost"]
    concurrency: int
    running: int
    handlers: list[Handler]
    started_at: datetime
    heartbeat_at: datetime
    stopped_at: datetime | None

    @classmethod
    def of(cls, row: WorkerRow) -> Worker:
        """The worker in a row."""
        handlers = [handler | {"queue": queue_name(handler["pattern"])} for handler in json.loads(row.handlers)]
        return cls.model_validate(row.values() | {"handlers": handlers})


class Refusal(BaseModel):
    """Something that a worker got wrong, however often."""

    kind: str = Field(description="What it sent: a `hello`, `declare`, `claim`, `heartbeat`, `goodbye`, or an `event`.")
    reason: str = Field(description="What is wrong with it; names the field.", examples=["Expected `int` >= 1 - at `$.pid`"])
    count: int
    first_at: datetime
    last_at: datetime


class WorkerDetails(Worker):
    """A worker with all that its handlers tell, and what it got wrong."""

    refusals: list[Refusal] = Field(description="The latest first; only the latest are kept.")

    @classmethod
    def told(cls, row: WorkerRow, refusals: Sequence[RefusalRow]) -> WorkerDetails:
        """The worker in a row, with the rows of what was refused."""
        return cls(
            **Worker.of(row).model_dump(by_alias=True), refusals=[Refusal.model_validate(each.values()) for each in refusals]
        )


class WorkerList(BaseModel):
    """Workers that live, and those that went within the last hour. Their handlers come without `schema` and `doc`."""

    items: list[Worker]


class OwnerlessExample(BaseModel):
    """An occurrence or a backfill that is not over, and that nothing is responsible for."""

    kind: str = Field(description="The rule that found it.", examples=["worker"])
    id: int = Field(description="Of the occurrence; of the backfill where `kind` is `backfill`.")
    job_id: int
    state: str
    why: str = Field(examples=["its worker has ended"])


class Dispatcher(BaseModel):
    """Which process holds the term, if one does, and what the holder found when it looked after things."""

    holder: UUID | None
    holder_name: str
    epoch: int
    acquired_at: datetime | None
    since_seconds: float | None
    lag_seconds: float = Field(description="By how much the job that is longest due is late.")
    ownerless: int = Field(
        description="What is not over and had nothing that is responsible for it when the holder of the term looked last."
        " It looks once a minute, and mends what it can. Should be 0."
    )
    ownerless_examples: list[OwnerlessExample] = Field(description="Ten of these, at most.")
    ownerless_looked_at: datetime | None = Field(description="When; null before the first look.")
    clock_set_back: int = Field(description="How often the clock of Postgres was found to have been set back.")
    clock_set_back_at: datetime | None

    @classmethod
    def of(cls, row: DispatcherRow) -> Dispatcher:
        """The dispatcher in a row."""
        return cls.model_validate(row.values() | {"ownerless_examples": json.loads(row.ownerless_examples)})


class ServiceStates(BaseModel):
    """Whether each service answers."""

    postgres: ServiceState
    redis: ServiceState
    rabbitmq: ServiceState


class JobCounts(BaseModel):
    """Jobs that exist."""

    total: int
    paused: int


class WorkerCounts(BaseModel):
    """Workers alive."""

    alive: int
    slots: int = Field(description="What they can run at once.")
    running: int = Field(description="What they ran at their last heartbeat.")


class UpcomingJob(BaseModel):
    """A job that is due next."""

    job_id: int
    job_name: str
    next_fire_at: datetime


class Overview(BaseModel):
    """The system at a glance, at most a few seconds old."""

    occurrences: dict[State, int] = Field(description="Live occurrences by state.")
    last_hour: dict[State, int] = Field(description="Occurrences that ended within the last hour, by state.")
    last_hour_since: datetime | None = Field(
        description="Set when there were too many to count: `last_hour` then counts those since this time."
    )
    dead_letters: int = Field(description="What failed for good and was neither requeued nor discarded; up to 100,000.")
    jobs: JobCounts
    workers: WorkerCounts
    dispatcher: Dispatcher
    services: ServiceStates
    upcoming: list[UpcomingJob]


class Task(BaseModel):
    """A background task that should run as long as its process does."""

    name: str = Field(examples=["hints listener"])
    healthy: bool = Field(description="Whether it does what it is for.")
    running: bool = Field(description="False between its end and its next start.")
    restarts: int = Field(description="How often it had to be started again.")
    error: str | None = Field(
        description="What ended it last, or what its steps fail of just now; the log tells more.", examples=["KeyError"]
    )
    overdue_seconds: float = Field(description="By how much the step it is at takes longer than it may; 0 if it does not.")
    failing_seconds: float = Field(
        description="For how long its steps have failed, one after the other; 0 if the last one did not."
        " From a minute on the task counts as one that does not do its work."
    )
    steps: int = Field(description="How many it began; 0 where it does not tell.")
    failures: int = Field(description="How many of these failed.")

    @classmethod
    def of(cls, state: TaskState) -> Task:
        """The task as it is."""
        error = None if state.error is None else state.error.partition(":")[0]
        return cls(
            name=state.name,
            healthy=state.healthy,
            running=state.running,
            restarts=state.restarts,
            error=error,
            overdue_seconds=state.overdue,
            failing_seconds=state.failing,
            steps=state.steps,
            failures=state.failures,
        )


class Dispatch(BaseModel):
    """Whether due runs are dispatched, by whatever process holds the term."""

    state: Literal["ok", "stalled", "unknown"] = Field(
        description="`stalled`: no process has dispatched for longer than a new holder of the term needs to begin."
    )
    last_progress_seconds: float | None = Field(
        description="Seconds since the holder last had done what was to be done; null if none ever has, or it is unknown."
    )


class Health(BaseModel):
    """`degraded` serves requests, but some work waits: for a service, for a task of this process, or for dispatching."""

    status: Literal["ok", "degraded", "unavailable", "draining"]
    services: ServiceStates
    dispatch: Dispatch
    tasks: list[Task] = Field(description="Of this process; of the dispatcher, too, while it holds the term.")


class Alive(BaseModel):
    """The process answers."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    status: Literal["ok"] = "ok"
