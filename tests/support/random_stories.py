"""Stories that were not written by hand: jobs, handlers and steps drawn at random, the same ones for the same number."""

from __future__ import annotations

import random
from typing import Any

from support.scenarios import Step, Story

ENDS = ("ok", "ok", "ok", "fail", "fail for good", "retry", "cancel", "skip", "snooze")
UNTIL = 4 * 3600


def random_story(number: int) -> Story:
    """The story of that number."""
    rng = random.Random(number)
    jobs = {f"job-{n}": _job(rng, n) for n in range(rng.randint(1, 3))}
    steps: list[Step] = []
    down: set[float] = set()
    for at in sorted(_moment(rng, UNTIL) for _ in range(rng.randint(4, 16))):
        what = rng.choice(
            ("trigger",) * 6 + ("later",) * 2 + ("cancel", "requeue", "pause", "resume", "resume", "down", "kill")
        )
        name = rng.choice(list(jobs))
        match what:
            case "trigger" | "later":
                steps.append(_trigger(rng, at, name, later=what == "later"))
            case "down":
                if not down:
                    steps += [Step(at, "down"), Step(at + _moment(rng, 2 * 3600), "up")]
                    down.add(at)
            case _:
                steps.append(Step(at, what, name))
    until = max(UNTIL, *(step.at for step in steps)) + 10 * 3600.0
    return Story(
        f"story {number}",
        jobs,
        tuple(sorted(steps, key=lambda step: step.at)),
        until,
        # When a dispatcher is back, what is due and what has waited become known together: with few slots either may be first.
        slots=100 if down else rng.choice((1, 2, 10)),
    )


def _job(rng: random.Random, n: int) -> dict[str, Any]:
    # Of jobs that are due at the same moment any may come first: each has minutes of its own.
    fields: dict[str, Any] = {
        "trigger": rng.choice(
            (
                {"kind": "manual"},
                {"kind": "cron", "expression": f"{n}-59/20 * * * *"},
                {"kind": "cron", "expression": f"{7 + n} * * * *", "jitter": 900.0},
                {"kind": "interval", "every": 1111 + n},
            )
        ),
        "payload": {"plan": _plan(rng), "customer": rng.choice((None, "ada", 7))},
        "concurrency": rng.choice(("skip", "queue", "replace", "allow")),
        "max_concurrent": rng.choice((1, 1, 2, 3)),
        "max_waiting": rng.choice((1, 2, 1000)),
        "catch_up": rng.choice(("latest", "all", "none")),
        "catch_up_window": rng.choice((0, 3600, 86_400)),
        "retry": {"max_attempts": rng.randint(1, 3), "delay": rng.choice((0, 30, 700)), "max_lost": rng.choice((1, 3))},
        "timeout": rng.choice((None, None, 600)),
        "priority": rng.randint(0, 9),
        "disable_after": rng.choice((None, None, 1, 2)),
        "concurrency_key": rng.choice((None, "customer")),
        "max_runs": rng.choice((None, None, None, 5)),
    }
    return fields


def _trigger(rng: random.Random, at: float, name: str, *, later: bool) -> Step:
    given: dict[str, Any] = {}
    if rng.random() < 0.6:
        given["payload"] = {"plan": _plan(rng), "customer": rng.choice((None, "ada", "7", "bob"))}
    if rng.random() < 0.3:
        given["priority"] = rng.randint(0, 9)
    if rng.random() < 0.2:
        given["idempotency_key"] = rng.choice("ab")
    if later:
        given["delay"] = _moment(rng, 3 * 3600)
    return Step(at, "trigger", name, given)


def _plan(rng: random.Random) -> list[list[Any]]:
    return [[_moment(rng, rng.choice((5, 500, 5000))), rng.choice(ENDS)] for _ in range(rng.randint(1, 3))]


def _moment(rng: random.Random, longest: float) -> float:
    """Seconds, in thousandths, so that things seldom happen at the same moment."""
    return rng.randrange(1, round(longest * 1000)) / 1000
