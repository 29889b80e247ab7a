"""Lines: the occurrences of one job, or of one job and one value of its concurrency key, that share its places."""

from __future__ import annotations

from collections.abc import Mapping

from leveret_core.policy import JobLoad
from leveret_core.store.database import Connection, columns, sql

Line = tuple[int, str]
"""Job id and concurrency key; the key is empty for a job without one."""


async def load_lines(connection: Connection, limits: Mapping[Line, tuple[str, int, int]]) -> dict[Line, JobLoad]:
    """How busy each line is; the caller holds the locks of the jobs.

    Args:
        connection: inside that transaction.
        limits: (concurrency, max_concurrent, max_waiting) of each line.
    """
    loads = {line: JobLoad(*limit, key=line[1]) for line, limit in limits.items()}
    limited = [line for line, load in loads.items() if load.concurrency != "allow"]
    if not limited:
        return loads
    for row in await connection.fetch(sql("slots/of_jobs"), *columns(limited, 2)):
        loads[row["job_id"], row["key"]].taken[row["n"]] = row["occurrence_id"]
    queued = [line for line in limited if loads[line].taken]
    if queued:
        for row in await connection.fetch(sql("slots/count_waiting"), *columns(queued, 2)):
            loads[row["job_id"], row["key"]].waiting = row["waiting"]
    replacing = [line for line in queued if loads[line].concurrency == "replace"]
    if replacing:
        for row in await connection.fetch(sql("slots/to_replace"), *columns(replacing, 2)):
            load = loads[row["job_id"], row["key"]]
            if row["state"] == "waiting":
                load.in_line.add(row["id"])
            elif row["state"] == "cancelling":
                load.stopping.add(row["id"])
    return loads
