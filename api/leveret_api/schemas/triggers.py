"""Triggers: when a job is due."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from leveret_api.schemas.body import WHOLE, Body
from leveret_core import triggers

_START = "Nothing is due before this time. Without an offset it is wall time in `timezone`."
_END = "Nothing is due after this time."
_JITTER = "Seconds over which starts are spread; never early."
_TIME: dict[str, JsonValue] = {"format": "date-time"}


class _Kind(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)


class CronTrigger(_Kind):
    """Due whenever the clock on a wall in `timezone` matches."""

    kind: Literal["cron"]
    expression: str = Field(
        description="Five fields, six with seconds first, or an alias such as `@daily`. A zone may stand in front, as in "
        "`CRON_TZ=Europe/Berlin 0 6 * * *`, in place of `timezone`; `@every 5m` makes it an interval.",
        examples=["0 6 * * MON-FRI"],
    )
    timezone: str = Field(default="UTC", description="IANA name.", examples=["Europe/Berlin"])
    start_at: str | None = Field(default=None, description=_START, json_schema_extra=_TIME)
    end_at: str | None = Field(default=None, description=_END, json_schema_extra=_TIME)
    jitter: float = Field(default=0.0, ge=0, description=_JITTER)
    seed: str | None = Field(
        default=None,
        description="Decides what `H` and `~` in the expression stand for; unless given, the name that the job has when it "
        "gets such an expression. It stays when the job is renamed.",
        examples=["daily-report"],
    )


class IntervalTrigger(_Kind):
    """Due every so many seconds of real time, counted from `start_at`."""

    kind: Literal["interval"]
    every: float = Field(gt=0, description="Seconds between two fire times.", examples=[300])
    start_at: str | None = Field(
        default=None, description="The anchor and first fire time; unless given, creation.", json_schema_extra=_TIME
    )
    end_at: str | None = Field(default=None, description=_END, json_schema_extra=_TIME)
    jitter: float = Field(default=0.0, ge=0, description=_JITTER + " Less than `every`.")


class OnceTrigger(_Kind):
    """Due one time."""

    kind: Literal["once"]
    at: str = Field(
        description="ISO 8601; without an offset, wall time in `timezone`.",
        examples=["2030-01-01T08:00:00+01:00"],
        json_schema_extra=_TIME,
    )
    timezone: str | None = Field(default=None, description="IANA name.")
    jitter: float = Field(default=0.0, ge=0, description=_JITTER)


class ManualTrigger(_Kind):
    """Never due by itself: a user or a program triggers the job."""

    kind: Literal["manual"]


TriggerBody = Annotated[
    CronTrigger | IntervalTrigger | OnceTrigger | ManualTrigger,
    Field(discriminator="kind", examples=[{"kind": "cron", "expression": "0 6 * * *", "timezone": "Europe/Berlin"}]),
]


class FireTime(BaseModel):
    """One fire time."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    utc: str = Field(examples=["2026-03-29T01:00:00Z"])
    local: str = Field(description="The same instant in the trigger's own zone.", examples=["2026-03-29T03:00:00+02:00"])
    clock: Literal["skipped", "first", "second"] | None = Field(
        default=None,
        description="`skipped`: the clock passes over the time that was asked for, and this is right after the jump. `first`, "
        "`second`: the clock shows this time twice, and this is which.",
    )


class ClockChange(BaseModel):
    """A change of the clocks in the trigger's zone."""

    utc: str = Field(examples=["2026-03-29T01:00:00Z"])
    before: str = Field(description="What the clock would show then.", examples=["2026-03-29T02:00:00+01:00"])
    after: str = Field(description="What it shows.", examples=["2026-03-29T03:00:00+02:00"])
    fire_times: list[FireTime] = Field(
        description="The last before the change and the first from it on, three of each at most."
    )


class FireTimes(BaseModel):
    """When a trigger is due, and what to know about it."""

    description: str = Field(examples=["every day at 02:30 Europe/Berlin"])
    notes: list[str] = Field(
        description="What may surprise; empty when there is nothing to say.",
        examples=[["months without a day 31 are left out; L is the last day of every month"]],
    )
    fire_times: list[FireTime] = Field(description="In order; fewer than asked for when the schedule or the range ends.")
    next_clock_change: ClockChange | None = Field(
        description="The next one after `after`; null without one within two years, and for a trigger other than cron."
    )

    @classmethod
    def of(cls, trigger: triggers.Trigger, after: datetime, count: int, until: datetime | None) -> FireTimes:
        """What there is to say about a trigger that can be stored (see `triggers.anchored`)."""
        return cls.model_validate(
            {
                "description": triggers.describe(trigger),
                "notes": triggers.notes(trigger),
                "fire_times": triggers.preview(trigger, after, count, until),
                "next_clock_change": triggers.next_clock_change(trigger, after),
            }
        )


class PreviewRequest(Body):
    """Asks when a trigger would be due."""

    trigger: TriggerBody
    after: str | None = Field(
        default=None,
        description="Fire times after this moment; now unless given. Without an offset, wall time in the trigger's zone.",
        examples=["2026-03-28T00:00:00"],
    )
    until: str | None = Field(
        default=None,
        description="Fire times up to this moment, itself included. Without an offset, wall time in the trigger's zone.",
        examples=["2026-04-01T00:00:00"],
    )
    count: Annotated[int, Field(ge=1, le=1000, description="How many, at most."), WHOLE] = 5

    @model_validator(mode="before")
    @classmethod
    def _check_trigger(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("trigger"), dict):
            try:
                triggers.decode(values["trigger"])
            except triggers.TriggerError as error:
                field = "trigger" if error.field == "trigger" else f"trigger.{error.field}"
                raise PydanticCustomError("invalid_input", "invalid", {"problems": [(field, error.message)]}) from error
        return values
