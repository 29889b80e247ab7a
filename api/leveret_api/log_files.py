"""The log of an occurrence as a file: all of it, read and sent page by page."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC
from typing import Any, Literal

from leveret_core.store.database import Database
from leveret_core.store.reads import occurrences as occurrence_reads
from leveret_core.store.reads.occurrence_rows import LogRow

LogFormat = Literal["text", "ndjson"]
MEDIA_TYPES: dict[LogFormat, str] = {"text": "text/plain; charset=utf-8", "ndjson": "application/x-ndjson"}
ENDINGS: dict[LogFormat, str] = {"text": "log", "ndjson": "ndjson"}
_PAGE = 500


async def log_file(db: Database, occurrence_id: int, form: LogFormat) -> AsyncGenerator[str]:
    """The records, oldest first, one a line; `text` puts the lines after the first of a message below it, indented.

    Ask for the first piece before the answer begins: it tells whether there is such an occurrence.

    Args:
        db: where they are.
        occurrence_id: whose.
        form: `text` for people, `ndjson` with a JSON object in each line.

    Raises:
        NotFound: there is no such occurrence.
    """
    line = _text if form == "text" else _json
    after = (-1, 0)
    while True:
        rows = await occurrence_reads.list_logs(db, occurrence_id, after=after, limit=_PAGE)
        yield "".join(line(row) for row in rows[:_PAGE])
        if len(rows) <= _PAGE:
            return
        after = rows[_PAGE - 1].attempt, rows[_PAGE - 1].seq


def _text(row: LogRow) -> str:
    at = row.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    message = row.message.replace("\n", "\n    ")
    return f"{at} {row.level.upper():<8} [{row.attempt}] {message}{_fields(row.fields)}\n"


def _fields(text: str | None) -> str:
    fields: dict[str, Any] = {} if text is None else json.loads(text)
    return "".join(f" {name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in fields.items())


_COLUMNS: Sequence[str] = ("attempt", "seq", "level", "message")


def _json(row: LogRow) -> str:
    values = row.values()
    fields = None if row.fields is None else json.loads(row.fields)
    record = {"at": row.at.isoformat()} | {name: values[name] for name in _COLUMNS} | {"fields": fields}
    return json.dumps(record, ensure_ascii=False) + "\n"
