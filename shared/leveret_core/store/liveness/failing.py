"""Tasks of the dispatcher that do not do their work, kept for who cannot ask its process."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from leveret_core.store.database import Connection, sql


class FailingTask(msgspec.Struct, frozen=True):
    """A task that does not do its work, and why not."""

    name: str
    error: str


async def note_failing(connection: Connection, failing: Sequence[FailingTask]) -> None:
    """Keep which there are now."""
    await connection.execute(sql("liveness/note_failing"), msgspec.json.encode(failing).decode())
