"""Which of a job's ticks run, which are recorded as missed, and when it is due next. Pure rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from leveret_core.errors import InvalidInput
from leveret_core.triggers import (
    Cron,
    Interval,
    Manual,
    Once,
    Trigger,
    TriggerError,
    anchored,
    fire_times_between,
    next_fire_time,
)

ON_TIME = timedelta(seconds=60)
"""A tick no later than this is not too late: a change of leadership is not an outage."""
MAX_TICKS = 500
"""Ticks looked at in one go; the rest of a longer outage follows in the next, so that one job never blocks the others."""
CATCH_UP_LIMIT = 1_000
"""Late ticks that `catch_up="all"` runs, at most, unless the job says otherwise."""


@dataclass(frozen=True)
class DueJob:
    """A job whose next fire time has come.

    Args:
        together: how many ticks may be decided about at once, the newest of those that are due; None for all. See
            `QueueLoad.together`.
    """

    trigger: Trigger
    next_fire_at: datetime
    catch_up: str
    catch_up_window: timedelta
    runs_left: int | None
    catch_up_limit: int = CATCH_UP_LIMIT
    together: int | None = None


@dataclass(frozen=True)
class Plan:
    """What to do about the ticks up to now.

    Args:
        fire: instants to create occurrences for, in order.
        missed: (how many, first, last) of the ticks that will not run, if any.
        next_fire_at: the next tick, possibly still in the past when there are many; None when there is none.
    """

    fire: list[datetime] = field(default_factory=list[datetime])
    missed: tuple[int, datetime, datetime] | None = None
    next_fire_at: datetime | None = None


def plan(job: DueJob, now: datetime) -> Plan:
    """Sort the ticks from `job.next_fire_at` to `now`.

    A late tick (older than `ON_TIME`) runs with `catch_up="all"` if it lies within the window and is one of the newest
    `catch_up_limit` late ones, and with `latest` if it lies within the window and is the newest tick there is. Newer ticks
    fire; with `none` only the newest of them does. Of what would fire, `together` may leave out the older ones. The rest is
    missed.
    """
    ticks, following = _ticks(job, now)
    fire: list[datetime] = []
    late: list[datetime] = []
    newer = _late_from(job, following, now) + sum(now - tick > ON_TIME for tick in ticks)
    for tick in ticks:
        newest = tick == ticks[-1] and (following is None or following > now)
        in_window = now - tick <= job.catch_up_window
        newer -= 1
        if (
            (now - tick <= ON_TIME and (newest or job.catch_up != "none"))
            or (job.catch_up == "all" and in_window and newer < job.catch_up_limit)
            or (job.catch_up == "latest" and newest and in_window)
        ):
            fire.append(tick)
        else:
            late.append(tick)
    if job.together is not None:
        # What follows in the next step is newer than all of these.
        kept = fire[-job.together :] if following is None or following > now else []
        late += fire[: len(fire) - len(kept)]
        fire = kept
    if job.runs_left is not None and len(fire) >= job.runs_left:
        fire, following = fire[: job.runs_left], None
    return Plan(fire, (len(late), late[0], late[-1]) if late else None, following)


def _ticks(job: DueJob, now: datetime) -> tuple[list[datetime], datetime | None]:
    ticks: list[datetime] = []
    tick: datetime | None = job.next_fire_at
    while tick is not None and tick <= now and len(ticks) < MAX_TICKS:
        ticks.append(tick)
        tick = next_fire_time(job.trigger, tick)
    return ticks, tick


def _late_from(job: DueJob, tick: datetime | None, now: datetime) -> int:
    """How many ticks from `tick` on are late by now; counted no further than `catch_up_limit`, and for `all` alone."""
    if job.catch_up != "all" or tick is None or now - tick <= ON_TIME:
        return 0
    until = now - ON_TIME - timedelta(microseconds=1)
    return 1 + len(fire_times_between(job.trigger, tick, until, job.catch_up_limit - 1))


def first_due(trigger: Trigger, now: datetime) -> datetime | None:
    """When a new trigger is due first; None for one that is pulled by hand.

    Raises:
        InvalidInput: it would never be due.
    """
    due = next_fire_time(trigger, now)
    if due is not None or isinstance(trigger, Manual):
        return due
    if isinstance(trigger, Once):
        raise InvalidInput.at("trigger.at", f"is in the past; the server's clock says {now.isoformat(timespec='seconds')}")
    if trigger.end_at is not None:
        raise InvalidInput.at("trigger.end_at", "comes before the next fire time, so that the job would never be due")
    raise InvalidInput.at("trigger", "would never be due")


def settled(new: Trigger, old: Trigger | None, now: datetime, name: str) -> Trigger:
    """Return the trigger of a job as it is stored: with what the user left out, see `triggers.anchored`.

    An interval that was given without its start keeps the one it has, unless something else about it changes. What `H` stands
    for in a cron expression stays as it was drawn, also when the job has another name by now.

    Args:
        new: a valid trigger.
        old: the one that the job has so far; None for a new job.
        now: the aware time of the change.
        name: the job's.

    Raises:
        InvalidInput: what the name draws for `H` or `~` is never due.
    """
    if isinstance(new, Interval) and isinstance(old, Interval) and new.start_at is None:
        kept = msgspec.structs.replace(new, start_at=old.start_at)
        if kept == old:
            return kept
    seed = old.seed if isinstance(old, Cron) and old.seed is not None else name
    try:
        return anchored(new, now, seed)
    except TriggerError as error:
        raise InvalidInput.at(f"trigger.{error.field}", error.message) from error
