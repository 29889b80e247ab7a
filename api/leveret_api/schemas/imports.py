"""Imports of jobs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from leveret_api.schemas.body import Body
from leveret_core.store.imports.sources import Imported
from leveret_core.triggers import describe


def _plain(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("may not hold control characters, nor begin or end with a space")
    return text


class ImportRequest(Body):
    """All entries that a source has now."""

    source: Annotated[str, AfterValidator(_plain)] = Field(
        min_length=1,
        max_length=200,
        description="Names what the jobs come from. The next import of the same name is of the same source.",
        examples=["db2:alice"],
    )
    jobs: list[Any] = Field(
        max_length=1_000,
        description="Job definitions as `POST /jobs` takes them, each with a `key` that tells what it runs (default: its "
        "name). Several may have the same, as one command at several times has. "
        "What is no such definition is refused by itself.",
    )
    prune: bool = Field(default=False, description="Delete the jobs whose entry is gone from the source.")
    partial: bool = Field(default=False, description="The source has entries that could not be read: nothing is deleted.")
    dry_run: bool = Field(default=False, description="Only say what would happen.")


class ImportedJob(BaseModel):
    """What became of an entry, or of a job whose entry is gone."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    entry: int | None = Field(
        description="Which of the `jobs` of the request, counted from 0; null for a job whose entry is gone."
    )
    name: str = Field(
        description="Of the job, which is not the entry's when that was taken, or when the job was renamed since; of a refused "
        "entry its own, as far as it has one."
    )
    result: Literal["created", "adopted", "updated", "unchanged", "gone", "deleted", "refused"] = Field(
        description="`adopted`: there was the same job already, and it belongs to the source from now on. `gone`: its entry "
        "is gone from the source, and the job runs on."
    )
    fields: list[str] = Field(default=[], description="What an update changed.")
    problem: str | None = Field(default=None, description="Why it was refused, or what else a person should know.")
    trigger_description: str | None = None

    @classmethod
    def of(cls, imported: Imported, entry: int | None) -> ImportedJob:
        """What the store says of the entry at that place."""
        return cls(
            entry=entry,
            name=imported.name,
            result=imported.result,
            fields=list(imported.fields),
            problem=imported.problem or None,
            trigger_description=None if imported.trigger is None else describe(imported.trigger),
        )


class ImportResult(BaseModel):
    """What became of each entry, in their order, then of each job whose entry is gone."""

    items: list[ImportedJob]
    dry_run: bool
