"""Ends of attempts: success, and retry, failure, cancel or release. One place for what workers report and the reaper alike."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from leveret_core import policy
from leveret_core.retry import stored_policy
from leveret_core.states import FINAL, State
from leveret_core.store.database import Connection, columns, sql
from leveret_core.store.jobs import failures
from leveret_core.store.rows import Row, typed
from leveret_core.store.slots.release import Final, as_final, lock_jobs_of, release


@dataclass(frozen=True, kw_only=True)
class Ending:
    """An attempt that ended.

    Args:
        occurrence: whose attempt.
        outcome: as `policy.Ended`.
        claim: (attempt, token) that the row must still hold; None for endings that the server decides itself.
        error: JSON text of the error, if there is one.
        reason: shown with a final state.
        duration: seconds by the worker's clock, None when only the server knows.
        may_retry: as `policy.Ended`.
        retry_after: as `policy.Ended`.
        max_snoozes: as `policy.Ended`.
    """

    occurrence: int
    outcome: str
    claim: tuple[int, str] | None = None
    error: str | None = None
    reason: str | None = None
    duration: float | None = None
    may_retry: bool = True
    retry_after: float | None = None
    max_snoozes: int = policy.DEFAULT_SNOOZES


@dataclass
class Settled:
    """What a transaction changed: ids of occurrences and jobs, and whether the dispatcher has something to do now."""

    changed: list[int] = field(default_factory=list[int])
    wake: bool = False
    jobs: list[int] = field(default_factory=list[int])


MAY_FAIL = frozenset({"failed", "timed_out", "lost", "snoozed"})
"""Outcomes that may make an occurrence fail for good, which is counted in its job's row."""


class _Running(Row, frozen=True):
    """An attempt that is to be ended, locked."""

    id: int
    job_id: int
    state: str
    attempt: int
    claim_token: UUID
    lost_count: int
    released_count: int
    snoozed_count: int
    worker_id: UUID
    retry: str
    backfill_id: int | None
    deleted: bool


class Success(NamedTuple):
    """An attempt that succeeded. `duration` is in seconds, `result` JSON text."""

    occurrence: int
    attempt: int
    token: UUID
    seq: int
    duration: float
    result: str


async def succeed(connection: Connection, successes: Sequence[Success], locked: Collection[int]) -> tuple[Settled, set[int]]:
    """Apply successes whose attempt still runs; the others came too late and change nothing.

    Args:
        connection: inside a transaction.
        successes: in any order.
        locked: ids of the jobs whose locks it holds, from `lock_jobs_of`.

    Returns:
        What changed, jobs that had failed before and begin to count anew among it; and the ids of the jobs that had a
        success; backfills say nothing about them.
    """
    done = await connection.fetch(sql("attempts/finish_succeeded"), *columns(sorted(successes), 6), sorted(locked))
    final = [Final(row["id"], (row["job_id"], row["key"]), row["freed"] is True, row["wanted"]) for row in done]
    admitted = await release(connection, final, locked)
    recovered = sorted({row["job_id"] for row in done if row["recovered"]})
    succeeded = {row["job_id"] for row in done if row["backfill_id"] is None}
    return Settled([*(each.id for each in final), *admitted], bool(admitted), recovered), succeeded


async def settle(connection: Connection, endings: Sequence[Ending], recovered: Collection[int] = ()) -> Settled:
    """Apply `endings` whose attempt still runs; the others came too late and change nothing.

    Args:
        connection: inside a transaction that holds no locks on jobs or occurrences yet.
        endings: in any order; of several for one occurrence only the one with the current claim counts.
        recovered: jobs that had a success in the same transaction; see `failures.count`.
    """
    by_id: dict[int, list[Ending]] = {}
    for ending in endings:
        by_id.setdefault(ending.occurrence, []).append(ending)
    ids = sorted(by_id)
    may_fail = {e.occurrence for e in endings if e.outcome in MAY_FAIL}
    locked = await lock_jobs_of(connection, ids, may_fail)
    steps: list[tuple[int, str, float | None, str | None, str | None, int, int, float | None, int]] = []
    kept: list[tuple[int, str, str | None]] = []
    failed: list[failures.Failure] = []
    for row in typed(_Running, await connection.fetch(sql("attempts/load_running"), ids)):
        claim = (row.attempt, str(row.claim_token))
        current = next((e for e in by_id[row.id] if e.claim is None or e.claim == claim), None)
        if current is None:
            continue
        following = policy.after(
            policy.Ended(
                state=State(row.state),
                outcome=current.outcome,
                attempt=row.attempt,
                uncharged=row.lost_count + row.released_count + row.snoozed_count,
                lost_count=row.lost_count,
                policy=stored_policy(row.retry),
                may_retry=current.may_retry,
                retry_after=current.retry_after,
                snoozed=row.snoozed_count,
                max_snoozes=current.max_snoozes,
                deleted=row.deleted,
            )
        )
        if following.state in (State.RETRYING, State.PENDING):
            kept.append((row.id, current.outcome, current.error))
        elif following.state in (State.FAILED, State.TIMED_OUT) and row.backfill_id is None:
            # What fails in old ranges says nothing about the schedule, which a backfill must not stop.
            failed.append(failures.Failure(row.job_id, current.error, current.reason or following.reason))
        steps.append(
            (
                row.id,
                following.state.value,
                following.delay,
                current.reason or following.reason,
                current.error,
                int(current.outcome == "lost"),
                int(current.outcome == "released"),
                current.duration,
                int(current.outcome == "snoozed"),
            )
        )
    if not steps:
        return Settled()
    if kept:
        await connection.execute(sql("attempts/keep_attempts"), *columns(kept, 3))
    ended = await connection.fetch(sql("attempts/end_attempts"), *columns(steps, 9))
    final = [as_final(row) for row in ended if State(row["state"]) in FINAL]
    admitted = await release(connection, final, locked)
    disabled = await failures.count(connection, failed, recovered)
    wake = bool(admitted) or any(row["state"] in ("retrying", "pending") for row in ended)
    return Settled([*(row["id"] for row in ended), *admitted], wake, disabled)
