"""What the handlers wrote down: which attempts they began and how these ended, known to no server."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

Key: TypeAlias = tuple[int, int]
"""Occurrence and attempt."""


@dataclass
class Run:
    """One start of a handler. `outcome` is `end`, `failed`, `stopped`, or empty when nothing was written any more."""

    key: Key
    job: str
    pid: int
    began: float
    ended: float | None = None
    outcome: str = ""


class Witness:
    """Reads the file as it grows.

    Arguments:
        path: where handlers write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self.runs: list[Run] = []
        self._open: dict[tuple[Key, int], Run] = {}

    def read(self) -> None:
        """Take in what was written since the last time."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            self._take(json.loads(line))

    def _take(self, line: dict[str, object]) -> None:
        key, pid, at = (int(str(line["occurrence"])), int(str(line["attempt"]))), int(str(line["pid"])), float(str(line["at"]))
        if line["what"] == "start":
            run = Run(key, str(line["job"]), pid, at)
            self.runs.append(run)
            self._open[key, pid] = run
        elif (known := self._open.pop((key, pid), None)) is not None:
            known.ended, known.outcome = at, str(line["what"])

    def pids_since(self, at: float) -> set[int]:
        """Processes in which a run began after `at`."""
        found: set[int] = set()
        for run in reversed(self.runs):
            if run.began < at - 5:
                break
            if run.began > at:
                found.add(run.pid)
        return found

    def began_twice(self) -> list[Key]:
        """Attempts that began more than once."""
        return [key for key, count in Counter(run.key for run in self.runs).items() if count > 1]

    def of(self) -> dict[Key, Run]:
        """The runs by their keys; the first, should there be two."""
        return {run.key: run for run in reversed(self.runs)}

    def close(self, ends: Iterable[tuple[int, float]]) -> None:
        """Tell when processes ended (pid, boottime): what they still ran ended then."""
        when = dict(ends)
        for run in self.runs:
            if run.ended is None and run.pid in when:
                run.ended = max(run.began, when[run.pid])

    def overlaps(self) -> list[tuple[Run, Run]]:
        """Runs of one job of which the later began before the earlier had ended."""
        by_job: defaultdict[str, list[Run]] = defaultdict(list)
        for run in self.runs:
            by_job[run.job].append(run)
        found: list[tuple[Run, Run]] = []
        for runs in by_job.values():
            runs.sort(key=lambda run: run.began)
            last = runs[0]
            for run in runs[1:]:
                if last.ended is None or run.began < last.ended:
                    found.append((last, run))
                if last.ended is not None and (run.ended is None or run.ended > last.ended):
                    last = run
        return found
