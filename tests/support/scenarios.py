"""One story told to the testing kit's environment and to a real control plane: what do they make of it?

A story has jobs whose handlers do what `plan` in their payload says, and steps at certain times. Both sides answer with the
same kind of list, so that a test can compare them.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from leveret import Cancel, Fail, JobContext, Registry, Retry, Skip, Snooze
from leveret.errors import Conflict
from leveret.testing import Environment, ServerRules

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
LEASE = 20.0
"""Seconds, as the control plane of the tests has it."""


@dataclass(frozen=True)
class Step:
    """Something that a user does, or that goes down, so many seconds after the beginning.

    Args:
        at: seconds.
        what: `trigger`, `cancel`, `requeue`, `pause`, `resume`, `down`, `up` or `kill`.
        job: whose; `cancel` and `requeue` mean its latest occurrence, if it is in a state that allows it.
        given: of a trigger.
    """

    at: float
    what: str
    job: str = "job"
    given: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Story:
    """What is told.

    Args:
        name: of the story.
        jobs: by name, fields as REST takes them; the type is `test.job` unless said otherwise.
        steps: in the order of their times.
        until: seconds.
        begin: when it begins.
        slots: runs at the same time in the worker.
        window: the publish window.
    """

    name: str
    jobs: dict[str, dict[str, Any]]
    steps: tuple[Step, ...] = ()
    until: float = 3600
    begin: datetime = BEGIN
    slots: int = 10
    window: int = 1000

    def definition(self, name: str) -> dict[str, Any]:
        """A job's definition, whole."""
        return {"name": name, "type": "test.job", "trigger": {"kind": "manual"}, "payload": {"plan": [[0, "ok"]]}} | self.jobs[
            name
        ]

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Seen:
    """An occurrence as both sides show it; `attempts` are their outcomes, the last one's empty while it runs."""

    id: int
    job: str
    scheduled_for: datetime
    origin: str
    state: str
    reason: str | None
    blocker: int | None
    attempts: tuple[str, ...]
    started_at: datetime | None
    finished_at: datetime | None
    retry_at: datetime | None
    error: tuple[str, str] | None
    result: Any
    key: str
    priority: int
    missed: tuple[int, datetime] | None
    requeue_of: int | None


@dataclass(frozen=True)
class SeenJob:
    """A job as both sides show it."""

    name: str
    next_fire_at: datetime | None
    runs: int
    failures: int
    paused: bool
    pause_reason: str | None


def in_order(seen: list[Seen]) -> list[Seen]:
    """What was seen by job and time, each with a number of its own: ids have gaps, and jobs due together come in any order."""
    found = sorted(seen, key=lambda o: (o.job, o.scheduled_for))
    numbers = {o.id: number for number, o in enumerate(found, 1)}

    def renamed(text: str | None) -> str | None:
        return text and re.sub(r"(?<=occurrence )\d+", lambda match: str(numbers[int(match[0])]), text)

    def number(id_: int | None) -> int | None:
        return None if id_ is None else numbers[id_]

    return [
        replace(o, id=numbers[o.id], blocker=number(o.blocker), requeue_of=number(o.requeue_of), reason=renamed(o.reason))
        for o in found
    ]


def differences(kit: list[Seen], product: list[Seen]) -> list[str]:
    """Where the two lists, both `in_order`, are not the same: in words."""
    found: list[str] = []
    for one, other in itertools.zip_longest(kit, product):
        if one is None or other is None:
            found.append(f"only {'the product' if one is None else 'the kit'} has {other or one}")
            continue
        for name, value in vars(one).items():
            if value != getattr(other, name):
                found.append(
                    f"{one.job} {one.scheduled_for}: {name} is {value!r} in the kit and {getattr(other, name)!r} in the product"
                )
    return found


def plan_of(payload: dict[str, Any], attempt: int) -> tuple[float, str]:
    """Seconds and end of the n-th attempt."""
    plan = payload["plan"]
    seconds, word = plan[min(attempt, len(plan)) - 1]
    return seconds, word


async def act(payload: dict[str, Any], ctx: JobContext) -> object:
    """The handler of all stories."""
    seconds, word = plan_of(payload, ctx.attempt)
    await asyncio.sleep(seconds)
    match word:
        case "ok":
            return {"n": ctx.attempt}
        case "fail":
            raise ValueError("as planned")
        case "fail for good":
            raise Fail("as planned")
        case "retry":
            raise Retry("as planned", after=90)
        case "cancel":
            raise Cancel("as planned")
        case "skip":
            raise Skip("as planned")
        case "snooze":
            raise Snooze("as planned", after=600, limit=2)
        case _:
            raise AssertionError(word)


def told_to_the_environment(story: Story) -> tuple[list[Seen], list[SeenJob]]:
    """The story as the testing kit has it."""
    registry = Registry()
    registry.job("test.#", concurrency=story.slots)(act)
    rules = ServerRules(publish_window=story.window, lease=LEASE)
    with Environment(registry, now=story.begin, rules=rules) as env:
        for name in story.jobs:
            values = story.definition(name)
            env.define(values.pop("name"), type=values.pop("type"), **values)
        down = False
        for step in (*story.steps, Step(story.until, "end")):
            target = story.begin + timedelta(seconds=step.at)
            if down:
                env.down(until=target) if step.what == "up" else env._runtime.run(target)  # pyright: ignore[reportPrivateUsage]
            else:
                env.advance(until=target)
            latest = next(reversed(env.occurrences(step.job)), None) if step.what in ("cancel", "requeue") else None
            match step.what:
                case "trigger":
                    env.trigger(step.job, **step.given)
                case "cancel":
                    with contextlib.suppress(Conflict):
                        if latest is not None:
                            env.cancel(latest, "as planned")
                case "requeue":
                    with contextlib.suppress(Conflict):
                        if latest is not None:
                            env.requeue(latest, **step.given)
                case "pause":
                    env.pause(step.job, "as planned")
                case "resume":
                    env.resume(step.job)
                case "down":
                    down = True
                    env._runtime.server.dispatching = False  # pyright: ignore[reportPrivateUsage]
                case "up":
                    down = False
                case "kill":
                    env.kill_workers()
                case _:
                    assert step.what == "end"
        seen = [
            Seen(
                id=o.id,
                job=o.job,
                scheduled_for=o.scheduled_for,
                origin=o.origin,
                state=o.state.value,
                reason=o.reason,
                blocker=o.blocker,
                attempts=tuple(attempt.outcome or "" for attempt in o.attempts),
                started_at=o.started_at,
                finished_at=o.finished_at,
                retry_at=o.retry_at,
                error=None if o.error is None else (o.error.type, o.error.message),
                result=o.result,
                key=o.concurrency_key,
                priority=o.priority,
                missed=o.missed,
                requeue_of=o.requeue_of,
            )
            for o in env.occurrences()
        ]
        jobs = [SeenJob(j.name, j.next_fire_at, j.runs, j.failures, j.paused, j.pause_reason) for j in map(env.job, story.jobs)]
        return seen, jobs
