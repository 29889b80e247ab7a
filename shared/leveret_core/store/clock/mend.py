"""What was written by a clock of Postgres that was set back since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, TypeAlias, get_args

import asyncpg

from leveret_core.errors import LeveretError
from leveret_core.store.database import Connection, Database, columns, sql
from leveret_core.store.rows import Row, count_of, typed
from leveret_core.store.slots.release import lock_other_jobs

Times: TypeAlias = Literal["workers", "running", "retries", "messages", "planned", "limits", "key_limits"]
"""What has times by that clock: leases, attempts, retries, dispatch messages, planned runs and rate limits."""
ALL_TIMES: tuple[Times, ...] = get_args(Times)


class TimesCollide(LeveretError):
    """Two runs of a job would stand at the same microsecond."""


class ScheduledJob(Row, frozen=True):
    """An active job that is not due yet."""

    id: int
    trigger: str
    next_fire_at: datetime | None
    now: datetime


class MovedJob(Row, frozen=True):
    """A job that is due at another time now."""

    id: int
    name: str


async def look_at_clock(connection: Connection, tolerance: float) -> float | None:
    """Seconds by which the clock has gone back since the last look; None at the first one.

    The time is noted, unless it went back by more than `tolerance` seconds: then `note_set_back` notes it when all is mended.
    """
    seconds: float | None = await connection.fetchval(sql("clock/look"), tolerance)
    return seconds


async def note_set_back(connection: Connection, seconds: float) -> None:
    """All that a clock ahead wrote is mended: note the time, and keep for users that the clock was set back."""
    await connection.execute(sql("clock/note_set_back"), seconds)


async def mend_times(connection: Connection, what: Times, publish_in: float) -> int:
    """Bring times that lie too far ahead back to now; returns how many.

    Args:
        publish_in: seconds after which a dispatch message that no worker answers is published again for the first time.

    Raises:
        TimesCollide: two of them would be the same, which may not be.
    """
    try:
        args = (publish_in,) if what == "messages" else ()
        return count_of(await connection.execute(sql(f"clock/mend_{what}"), *args, timeout=30))
    except asyncpg.UniqueViolationError as error:
        raise TimesCollide(f"two {what} would be at the same time") from error


async def scheduled_jobs(db: Database, after: int, limit: int) -> list[ScheduledJob]:
    """Active jobs with a schedule that are not due yet, by id, behind `after`."""
    return typed(ScheduledJob, await db.fetch("clock/jobs", after, limit))


async def move_jobs(connection: Connection, wrong: Mapping[int, tuple[datetime | None, Sequence[datetime]]]) -> list[MovedJob]:
    """Let jobs be due at the first of their ticks that has not run.

    Args:
        wrong: when each job, by id, is due, and the ticks before that.
    """
    await lock_other_jobs(connection, wrong.keys())
    candidates = [(id_, tick) for id_, (_, ticks) in wrong.items() for tick in ticks]
    found = await connection.fetch(sql("clock/occupied"), *columns(candidates, 2))
    missed = {(row["job_id"], row["scheduled_for"]): row["missed"] for row in found}
    moves: list[tuple[int, datetime | None, datetime]] = []
    for id_, (was, ticks) in wrong.items():
        # Ticks that have run are over: an hour that comes again is passed over in silence.
        due = next((tick for tick in ticks if missed.get((id_, tick), True)), None)
        if due is not None:
            moves.append((id_, was, due))
    if recorded := [(id_, due) for id_, _, due in moves if (id_, due) in missed]:
        await connection.execute(sql("clock/shift_missed_records"), *columns(recorded, 2))
    return typed(MovedJob, await connection.fetch(sql("clock/move_jobs"), *columns(moves, 3))) if moves else []
