"""CPU time by kind of process: what one occurrence costs, and whom."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec

KINDS = ("api", "worker", "postgres", "rabbitmq", "redis")
"""Of processes, as they are told apart here."""


@dataclass(frozen=True)
class Sample:
    """CPU seconds at one moment.

    Args:
        seconds: by process id: its kind, and what it and those of its children that have ended used.
    """

    seconds: dict[int, tuple[str, float]]


def can_measure() -> bool:
    """Whether the package that reads processes is installed."""
    return find_spec("psutil") is not None


def sample() -> Sample:
    """What the processes that this one started have used so far, those of private servers included."""
    import psutil

    found: dict[int, tuple[str, float]] = {}
    me = psutil.Process(os.getpid())
    for process in me.children(recursive=True):
        try:
            with process.oneshot():
                times = process.cpu_times()
                kind = _kind(process.name(), process.cmdline())
        except psutil.Error:
            continue
        used = times.user + times.system + getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        if kind is not None:
            found[process.pid] = (kind, used)
    return Sample(found)


def microseconds_each(before: Sample, after: Sample, count: int) -> dict[str, int]:
    """CPU microseconds for each of `count` occurrences between two samples, by kind of process; kinds without any are left out.

    A process that ended in between is counted by its parent.
    """
    used: Counter[str] = Counter()
    for pid, (kind, seconds) in after.seconds.items():
        used[kind] += round((seconds - before.seconds.get(pid, (kind, 0.0))[1]) * 1e6)
    return {kind: round(used[kind] / count) for kind in KINDS if kind in used}


def _kind(name: str, command: list[str]) -> str | None:
    if "leveret" in command:
        return next((kind for kind in ("api", "worker") if kind in command), None)
    if name.startswith("postgres"):
        return "postgres"
    if name.startswith(("beam", "erl", "epmd", "rabbitmq", "inet_gethost")):
        return "rabbitmq"
    return "redis" if name.startswith("redis") else None
