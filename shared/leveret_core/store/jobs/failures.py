"""Failures of a job in a row: counted where occurrences fail for good, and at the job's `disable_after` it is paused."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec

from leveret_core.store.database import Connection, columns, sql

log = logging.getLogger(__name__)

MAX_SHOWN = 300
"""Characters of the last error that a pause reason quotes."""


@dataclass(frozen=True)
class Failure:
    """An occurrence that ended as failed or timed out.

    Args:
        job: its job.
        error: JSON text of the last error, if there is one.
        reason: the occurrence's own reason, shown when there is no error.
    """

    job: int
    error: str | None
    reason: str | None


async def count(connection: Connection, failures: Sequence[Failure], recovered: Collection[int] = ()) -> list[int]:
    """Count `failures` and pause the jobs for which they are too many in a row.

    Args:
        connection: inside the transaction that made the occurrences fail, which holds the locks of their jobs.
        failures: in the order they became known.
        recovered: jobs that also had a success in this transaction: which came first is not known, so nothing is counted.

    Returns:
        Ids of the jobs that were paused.
    """
    counted: dict[int, tuple[int, str]] = {}
    for failure in failures:
        if failure.job not in recovered:
            counted[failure.job] = (counted.get(failure.job, (0, ""))[0] + 1, _shown(failure))
    if not counted:
        return []
    rows = [(job, number, error) for job, (number, error) in sorted(counted.items())]
    disabled: list[int] = []
    for row in await connection.fetch(sql("jobs/count_failures"), *columns(rows, 3)):
        if row["disabled"]:
            disabled.append(row["id"])
            log.warning("job %s is paused: %s", row["name"], row["pause_reason"])
            detail = msgspec.json.encode({"reason": row["pause_reason"]}).decode()
            await connection.execute(sql("jobs/audit"), "dispatcher", "disable", row["id"], detail)
    return disabled


def _shown(failure: Failure) -> str:
    if failure.error is None:
        return (failure.reason or "no error was reported")[:MAX_SHOWN]
    error = msgspec.json.decode(failure.error)
    text = f"{error['type']}: {error['message']}" if error["message"] else str(error["type"])
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
