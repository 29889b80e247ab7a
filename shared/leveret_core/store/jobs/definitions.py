"""Definitions of jobs and their rows."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import msgspec

from leveret_core import triggers
from leveret_core.job_definition import JobDefinition
from leveret_core.payload import encode_payload
from leveret_core.retry import RetryPolicy


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
