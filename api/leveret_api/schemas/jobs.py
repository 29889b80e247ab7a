"""Jobs. What a field may hold is checked by `leveret_core.job_definition`, for REST as for everybody else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from leveret_api.schemas.body import WHOLE, Body
from leveret_api.schemas.texts import Reason
from leveret_api.schemas.triggers import TriggerBody
from leveret_api.served import Served
from leveret_core import triggers
from leveret_core.errors import InvalidInput
from leveret_core.job_definition import JobDefinition, check, define
from leveret_core.job_rules import MAX_CATCH_UP_WINDOW, MAX_DESCRIPTION, MAX_PATH, MAX_TAG, MAX_TAGS, MAX_TIMEOUT, NAME
from leveret_core.patterns import MAX_TYPE_LENGTH
from leveret_core.states import State
from leveret_core.store.reads.jobs import JobRow

Name = Annotated[
    str,
    Field(
        description="Unique; begins with a letter, then letters, digits, `.`, `_`, `-`; at most 200.",
        examples=["daily-report"],
        json_schema_extra={"pattern": f"^{NAME}$"},
    ),
]
Type = Annotated[
    str,
    Field(
        description="Routing key: words joined by dots.",
        examples=["report.daily"],
        json_schema_extra={"pattern": r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$", "maxLength": MAX_TYPE_LENGTH},
    ),
]
Description = Annotated[str, Field(max_length=MAX_DESCRIPTION)]
Tags = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=MAX_TAG)]], Field(max_length=MAX_TAGS, examples=[["finance"]])
]
Payload = Annotated[dict[str, Any], Field(description="The JSON object the handler gets.", examples=[{"format": "csv"}])]
Concurrency = Annotated[
    Literal["skip", "queue", "replace", "allow"],
    Field(
        description="What an occurrence does while `max_concurrent` others are live: be skipped, queue, replace an older one, "
        "or run all the same."
    ),
]
ConcurrencyKey = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=MAX_PATH,
        description="Dotted path into the payload: the policy holds for each value apart; null for the whole job.",
        examples=["customer.id"],
    ),
]
Priority = Annotated[
    int, Field(ge=0, le=9, description="Of what waits to be published of a type, the highest goes first.", examples=[5])
]
DisableAfter = Annotated[
    int | None,
    Field(ge=1, le=1_000_000, description="Occurrences that fail for good in a row until the job is paused; null means never."),
]
MaxConcurrent = Annotated[int, Field(ge=1, le=10_000)]
MaxWaiting = Annotated[
    int, Field(ge=1, le=100_000, description="Length of the concurrency queue; what comes later is skipped.")
]
CatchUp = Annotated[
    Literal["latest", "all", "none"], Field(description="Which ticks run that were missed while no dispatcher was at work.")
]
CatchUpWindow = Annotated[float, Field(ge=0, le=MAX_CATCH_UP_WINDOW, description="Seconds back that `catch_up` looks.")]
Timeout = Annotated[
    float | None,
    Field(ge=0.001, le=MAX_TIMEOUT, description="Seconds an attempt may take; null means no limit.", examples=[600]),
]
MaxRuns = Annotated[
    int | None, Field(ge=1, le=10**12, description="How many times the schedule fires in all; null means no limit.")
]

Attempts = Annotated[int, Field(ge=1, le=100)]
Delay = Annotated[float, Field(ge=0, le=86_400)]
Factor = Annotated[float, Field(ge=1, le=10)]
MaxDelay = Annotated[float, Field(ge=0, le=604_800)]


class Retry(BaseModel):
    """What follows a failed attempt: another one after `delay * factor ** n` seconds at most, with jitter."""

    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)

    max_attempts: Attempts = Field(default=3, description="Attempts in all; 1 never retries.")
    delay: Delay = Field(default=5.0, description="Seconds before the second attempt, at most.")
    factor: Factor = 2.0
    max_delay: MaxDelay = 3600.0
    max_lost: Attempts = Field(default=3, description="Attempts that may end with their worker's death.")


class RetryChanges(BaseModel):
    """Fields of the retry policy to change; null puts a default back."""

    model_config = ConfigDict(extra="forbid")

    max_attempts: Attempts | None = None
    delay: Delay | None = None
    factor: Factor | None = None
    max_delay: MaxDelay | None = None
    max_lost: Attempts | None = None


class _JobBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    required: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _check(cls, values: Any) -> Any:
        # All problems of all fields in one answer; the annotations below only describe.
        if isinstance(values, dict):
            try:
                check(cls._definition_fields(cast("dict[str, Any]", values)), required=cls.required, payload_limit=None)
            except InvalidInput as error:
                problems = [(problem.field, problem.message) for problem in error.problems]
                raise PydanticCustomError("invalid_input", "invalid", {"problems": problems}) from error
        return values

    @classmethod
    def _definition_fields(cls, values: dict[str, Any]) -> Mapping[str, Any]:
        return values


class _Definition(_JobBody):
    type: Type
    trigger: TriggerBody
    description: Description = ""
    tags: Tags = []
    payload: Payload = {}
    concurrency: Concurrency = "skip"
    concurrency_key: ConcurrencyKey = None
    max_concurrent: MaxConcurrent = 1
    max_waiting: MaxWaiting = 1000
    catch_up: CatchUp = "latest"
    catch_up_window: CatchUpWindow = 3600.0
    timeout: Timeout = None
    retry: Retry = Retry()
    max_runs: MaxRuns = None
    priority: Priority = 5
    disable_after: DisableAfter = None


class JobCreate(_Definition):
    """A new job."""

    required = ("name", "type", "trigger")

    name: Name

    def definition(self, payload_limit: int) -> JobDefinition:
        """The definition. Raises `InvalidInput` for a payload over `payload_limit` bytes."""
        return define(self.model_dump(exclude_unset=True), payload_limit=payload_limit)


class JobPut(_Definition):
    """All of a job; fields left out have their defaults. `name` is that of the address, and may be left out."""

    required = ("type", "trigger")

    name: Name | None = None

    def definition(self, name: str, payload_limit: int) -> JobDefinition:
        """The definition of the job `name`. Raises `InvalidInput` for another name, or a payload over `payload_limit` bytes."""
        if self.name is not None and self.name != name:
            raise InvalidInput.at("name", f"is not the name in the address, {name}; PATCH renames a job")
        return define(self.model_dump(exclude_unset=True) | {"name": name}, payload_limit=payload_limit)


class JobPatch(_JobBody):
    """Fields to change. Each replaces the old value whole, except those of `retry`; null puts the default back."""

    name: Name | None = None
    type: Type | None = None
    trigger: TriggerBody | None = None
    description: Description | None = None
    tags: Tags | None = None
    payload: Payload | None = None
    concurrency: Concurrency | None = None
    concurrency_key: ConcurrencyKey = None
    max_concurrent: MaxConcurrent | None = None
    max_waiting: MaxWaiting | None = None
    catch_up: CatchUp | None = None
    catch_up_window: CatchUpWindow | None = None
    timeout: Timeout = None
    retry: RetryChanges | None = None
    max_runs: MaxRuns = None
    priority: Priority | None = None
    disable_after: DisableAfter = None
    version: Annotated[int, Field(ge=1, lt=2**31, strict=True), WHOLE] | None = Field(
        default=None, description="The version that this changes; another one answers 409."
    )

    @classmethod
    def _definition_fields(cls, values: dict[str, Any]) -> Mapping[str, Any]:
        given = {name: value for name, value in values.items() if value is not None and name != "version"}
        if isinstance(given.get("retry"), dict):
            given["retry"] = {name: value for name, value in given["retry"].items() if value is not None}
        return given

    def changes(self) -> dict[str, Any]:
        """The fields that were given, as JSON values."""
        return self.model_dump(exclude_unset=True, exclude={"version"})


class LastOccurrence(BaseModel):
    """The occurrence of a job that was planned for the latest time."""

    id: int
    state: State
    scheduled_for: datetime
    finished_at: datetime | None


class Job(BaseModel):
    """A job."""

    id: int
    name: Name
    type: Type
    description: str
    tags: list[str]
    payload: Payload
    trigger: TriggerBody
    source: Literal["api", "code", "import"] = Field(
        description="`code`: a handler's `@job(..., cron=...)` declares it. `import`: it comes from `import_source`."
    )
    import_source: str | None = Field(description="What it was imported from; null unless it was.", examples=["db2:alice"])
    served: bool = Field(description="Whether a live worker serves its type.")
    trigger_description: str = Field(examples=["every day at 06:00 Europe/Berlin"])
    concurrency: Concurrency
    concurrency_key: ConcurrencyKey
    max_concurrent: int
    max_waiting: MaxWaiting
    catch_up: CatchUp
    catch_up_window: CatchUpWindow
    timeout: Timeout
    retry: Retry
    max_runs: MaxRuns
    runs: int = Field(description="How many times the schedule fired.")
    priority: Priority
    disable_after: DisableAfter
    failures: int = Field(description="Occurrences that failed for good since the last success.")
    version: int = Field(description="Rises with every change of the definition; also the ETag.")
    paused: bool
    pause_reason: str | None
    next_fire_at: datetime | None
    last_fire_at: datetime | None
    created_at: datetime
    updated_at: datetime
    last_occurrence: LastOccurrence | None

    @classmethod
    def of(cls, row: JobRow, served: Served) -> Job:
        """The job in a row, while live workers serve `served`."""
        values = row.values()
        trigger = triggers.load(json.loads(row.trigger))
        last = None
        if row.last_id is not None:
            last = {name: values[f"last_{name}"] for name in ("id", "state", "scheduled_for", "finished_at")}
        return cls.model_validate(
            values
            | {
                "payload": json.loads(row.payload),
                "retry": json.loads(row.retry),
                "trigger": triggers.encode(trigger),
                "trigger_description": _described(trigger),
                "paused": row.paused_at is not None,
                "source": "code" if row.declaration is not None else "api" if row.import_source is None else "import",
                "served": served.serves(row.type),
                "last_occurrence": last,
            }
        )


class JobPage(BaseModel):
    """A page of jobs, newest first. It can be short without being the last: only a null `next_cursor` says so."""

    items: list[Job]
    next_cursor: str | None


class PauseRequest(Body):
    """Why a job is paused."""

    reason: Reason | None = Field(default=None, examples=["the mail server is down until noon"])


def _described(trigger: triggers.Trigger) -> str:
    try:
        return triggers.describe(trigger)
    except triggers.TriggerError as error:
        # A zone that a new release of the zone rules has dropped must not hide the job.
        return f"cannot be read: {error}"
