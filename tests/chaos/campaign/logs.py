"""Warnings, errors and tracebacks of all processes, counted by kind."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

_NUMBERS = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b[0-9a-f]{12,}\b|\d+(\.\d+)?")
_BUG = re.compile(
    r"^raw: Traceback|exception was never retrieved|was never awaited"
    r"|apscheduler.*raised an exception \[traceback: (?!asyncio.exceptions.CancelledError)"
)
_LEVELS = {"warning", "error", "critical"}


def kinds(folder: Path) -> Counter[str]:
    """`error leveret.desk: what it said [type of the exception]`, with numbers and ids left out → how often."""
    found: Counter[str] = Counter()
    for path in (path for part in ("replica", "worker") for path in folder.glob(f"{part}-*.log")):
        for line in path.read_text().splitlines():
            if kind := _kind(line):
                found[kind] += 1
    return found


def bugs(found: Counter[str]) -> list[str]:
    """Kinds that nobody meant to print: errors that no code of ours caught."""
    return [f"{count} times: {kind}" for kind, count in found.items() if _BUG.search(kind)]


def _kind(line: str) -> str:
    if not line.startswith("{"):
        # Whatever does not come through logging; of a traceback, its first line.
        return f"raw: {_plain(line)}" if line and not line.startswith((" ", "\t")) else ""
    try:
        entry = json.loads(line)
    except ValueError:
        return f"raw: {_plain(line)}"
    if entry.get("level") not in _LEVELS:
        return ""
    trace = str(entry.get("traceback", "")).strip().splitlines()
    ending = f" [traceback: {_plain(trace[-1])}]" if trace else ""
    return f"{entry['level']} {entry['logger']}: {_plain(str(entry['message']))}{ending}"


def _plain(text: str) -> str:
    return _NUMBERS.sub("N", text)[:200]
