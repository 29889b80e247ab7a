"""Runs that people plan for later, one or many at once. The dispatcher admits them when they are due; see `admission`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from leveret_core.errors import Conflict, InvalidInput, Problem
from leveret_core.store.database import Connection, Database, columns, sql
from leveret_core.store.jobs.refs import JobRef
from leveret_core.store.occurrences.creation import Triggered

MAX_RUNS = 1_000
"""Runs that one call plans, at most."""
MAX_DELAY = 10 * 365.25 * 86_400
"""Seconds that a run may be planned ahead; more is taken for a mistake, such as milliseconds."""
_ROUNDS = 10
_SPAN = 0.01
"""Seconds after a due time in which others of the job are looked for at first, and four times as many in each further round."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A run to plan.

    Args:
        job: id or name; a paused job's runs begin as any others.
        payload: JSON text of an object instead of the job's payload.
        at: when it is due; in the past means now.
        delay: seconds from now on instead of `at`. Default: now.
        priority: 0 to 9 instead of the job's.
        idempotency_key: a second run of the job with the same key is the first one.
    """

    job: JobRef
    payload: str | None = None
    at: datetime | None = None
    delay: float = 0.0
    priority: int | None = None
    idempotency_key: str | None = None


def parse_at(text: str, field: str) -> datetime:
    """The instant that an ISO 8601 text with a zone names.

    Args:
        text: such as `2030-01-01T08:00:00+01:00`.
        field: its name in error messages.

    Raises:
        InvalidInput: it is none, or is too far in the future.
    """
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise InvalidInput.at(field, "needs a time zone: an offset such as +01:00, or Z for UTC")
        at = at.astimezone(UTC)
        too_late = at - datetime.now(UTC) > timedelta(seconds=MAX_DELAY)
    except (ValueError, OverflowError) as error:
        raise InvalidInput.at(field, "must be an ISO 8601 time with a zone, such as 2030-01-01T08:00:00+01:00") from error
    if too_late:
        raise InvalidInput.at(field, "is more than ten years away")
    return at


async def schedule_runs(db: Database, wanted: Sequence[Wanted], *, actor: str, field: str = "items") -> list[Triggered]:
    """Plan runs in one transaction: all of them or, when it raises, none.

    Args:
        wanted: up to `MAX_RUNS`.
        actor: who asks, for the audit.
        field: name of the list in error messages.

    Returns:
        What stands for each, in order: a new run, which is `scheduled`, or the one that its key found.

    Raises:
        InvalidInput: some name jobs that there are not.
        Conflict: too many runs of one job stand within the same moment.
    """
    async with db.transaction() as connection:
        job_ids = await _jobs(connection, wanted, field)
        found = await _insert(connection, wanted, job_ids)
        created = [(job, f.occurrence_id, w) for job, f, w in zip(job_ids, found, wanted, strict=True) if f.created]
        details = [
            (job, id_, msgspec.json.encode({"idempotency_key": w.idempotency_key, "at": w.at, "delay": w.delay}).decode())
            for job, id_, w in created
        ]
        if details:
            await connection.execute(sql("planned/audit"), actor, *columns(details, 3))
    return found


async def _jobs(connection: Connection, wanted: Sequence[Wanted], field: str) -> list[int]:
    refs = {w.job for w in wanted}
    rows = await connection.fetch(
        sql("planned/jobs"), [ref for ref in refs if isinstance(ref, int)], [ref for ref in refs if isinstance(ref, str)]
    )
    known: dict[JobRef, int] = {row["id"]: row["id"] for row in rows} | {row["name"]: row["id"] for row in rows}
    missing = [
        Problem(f"{field}.{index}.job", f"there is no job {'named ' if isinstance(w.job, str) else ''}{w.job}")
        for index, w in enumerate(wanted)
        if w.job not in known
    ]
    if missing:
        raise InvalidInput(missing)
    return [known[w.job] for w in wanted]


async def _insert(connection: Connection, wanted: Sequence[Wanted], job_ids: Sequence[int]) -> list[Triggered]:
    found: dict[int, Triggered] = {}
    left = set(range(len(wanted)))
    for round_ in range(_ROUNDS):
        keyed = [(index, job_ids[index], key) for index in sorted(left) if (key := wanted[index].idempotency_key) is not None]
        if keyed:
            known = await connection.fetch(sql("planned/known"), *columns(keyed, 3))
            found |= {row["position"]: Triggered(row["id"], created=False) for row in known}
            left -= found.keys()
        if not left:
            return [found[index] for index in range(len(wanted))]
        rows: list[tuple[object, ...]] = []
        keys: set[tuple[int, str]] = set()
        for index in sorted(left):
            w = wanted[index]
            if w.idempotency_key is not None:
                if (job_ids[index], w.idempotency_key) in keys:
                    # An earlier one has it, and is found by it in the next round.
                    continue
                keys.add((job_ids[index], w.idempotency_key))
            rows.append((index, job_ids[index], w.payload, w.at, w.delay, w.priority, w.idempotency_key))
        span = _SPAN * 4**round_
        made = await connection.fetch(sql("planned/insert"), *columns(rows, 7), span, timeout=30)
        found |= {row["position"]: Triggered(row["id"], created=True) for row in made}
        left -= found.keys()
        if not left:
            return [found[index] for index in range(len(wanted))]
        # Others were quicker at these instants, or with these keys.
    raise Conflict(f"{len(left)} runs found no free moment beside others of their jobs; plan them for other times")
