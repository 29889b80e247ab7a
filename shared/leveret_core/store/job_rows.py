"""Definitions of jobs and their rows, and when a job is due after a change."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from leveret_core import triggers
from leveret_core.errors import InvalidInput
from leveret_core.job_definition import JobDefinition
from leveret_core.payload import encode_payload
from leveret_core.retry import RetryPolicy
from leveret_core.triggers import Interval, Manual, Once, Trigger


def first_due(trigger: Trigger, now: datetime) -> datetime | None:
    """When a new trigger is due first; None for one that somebody pulls by hand.

    Raises:
        InvalidInput: it would never be due.
    """
    due = triggers.next_fire_time(trigger, now)
    if due is not None or isinstance(trigger, Manual):
        return due
    if isinstance(trigger, Once):
        raise InvalidInput.at("trigger.at", f"is in the past; the server's clock says {now.isoformat(timespec='seconds')}")
    if trigger.end_at is not None:
        raise InvalidInput.at("trigger.end_at", "comes before the next fire time, so that the job would never be due")
    raise InvalidInput.at("trigger", "would never be due")


def kept_anchor(new: Trigger, old: Trigger, now: datetime) -> Trigger:
    """An interval that was given without its start keeps the one it has, unless something else about it changes."""
    if isinstance(new, Interval) and isinstance(old, Interval) and new.start_at is None:
        kept = msgspec.structs.replace(new, start_at=old.start_at)
        if kept == old:
            return kept
    return triggers.anchored(new, now)


def used_up(definition: JobDefinition, row: asyncpg.Record) -> bool:
    """Whether the schedule of the job in `row` has fired as often as `definition` lets it."""
    runs: int = row["runs"]
    return definition.max_runs is not None and runs >= definition.max_runs


def values_of(definition: JobDefinition) -> tuple[object, ...]:
    """The first arguments of `jobs/insert` and `jobs/update`."""
    return (
        definition.name,
        definition.type,
        definition.description,
        list(definition.tags),
        encode_payload(definition.payload, limit=None),
        json.dumps(triggers.encode(definition.trigger)),
        definition.concurrency,
        definition.max_concurrent,
        definition.max_waiting,
        definition.catch_up,
        definition.catch_up_window,
        definition.timeout,
        json.dumps(msgspec.structs.asdict(definition.retry)),
        definition.max_runs,
        definition.concurrency_key,
        definition.priority,
        definition.disable_after,
    )


def definition_in(row: asyncpg.Record) -> JobDefinition:
    """The definition in a row of `jobs/lock`."""
    values: dict[str, Any] = {name: row[name] for name in JobDefinition.__struct_fields__}
    values["tags"] = tuple(row["tags"])
    values["payload"] = json.loads(row["payload"])
    values["trigger"] = triggers.load(json.loads(row["trigger"]))
    values["retry"] = msgspec.convert(json.loads(row["retry"]), RetryPolicy)
    return JobDefinition(**values)
