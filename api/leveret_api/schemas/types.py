"""Types of jobs that live workers serve."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from leveret_api.schemas.problem import FieldError
from leveret_api.served import Served
from leveret_core.patterns import queue_name


class JobType(BaseModel):
    """A handler of live workers."""

    pattern: str = Field(description="A type, or with `*` for one word and `#` for any number.", examples=["sendemail.*"])
    name: str = Field(description="Module and name of the handler.", examples=["app.mails.send"])
    doc: str = Field(description="What the handler says about itself.")
    schema_: dict[str, Any] | None = Field(alias="schema", description="JSON Schema of the payload, when known.")
    unchecked: list[FieldError] = Field(
        description="What of the schema the server leaves to the handler, such as expressions with look-around."
    )
    workers: int = Field(description="Live workers that have it.")
    queue: str = Field(description="The queue in RabbitMQ.", examples=["jobs.sendemail.wildcard"])


class JobTypeList(BaseModel):
    """What live workers serve, by pattern. Handlers of one pattern that differ are told apart."""

    items: list[JobType]

    @classmethod
    async def of(cls, served: Served) -> JobTypeList:
        """The types in `served`."""
        items = [
            {
                "pattern": each.pattern,
                "name": each.name,
                "doc": each.doc,
                "schema": each.schema,
                "unchecked": [{"field": problem.field, "message": problem.message} for problem in problems],
                "workers": each.workers,
                "queue": queue_name(each.pattern),
            }
            for each, problems in zip(served.types, await served.unchecked(), strict=True)
        ]
        return cls.model_validate({"items": items})
