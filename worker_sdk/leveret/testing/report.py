"""Occurrences in words, for people who look at a failed test."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from leveret_core.triggers import zone

if TYPE_CHECKING:
    from leveret.testing.records import Occurrence

MAX_LINES = 30
MAX_ERROR = 200
"""Characters."""


def wall(instant: datetime, timezone: str) -> str:
    """An instant as people in a zone write it: `Sun 2026-03-29 03:00:00 +02:00`; fractions of a second are left out."""
    there = instant.astimezone(zone(timezone))
    offset = there.strftime("%z")
    return f"{there:%a %Y-%m-%d %H:%M:%S} {offset[:3]}:{offset[3:5]}"


def line(occurrence: Occurrence) -> str:
    """One occurrence in one line."""
    job = occurrence.of
    words = [f"#{occurrence.id}", f"{job.show(occurrence.scheduled_for)}", f"{occurrence.state.value:<9}"]
    if occurrence.missed:
        count, until = occurrence.missed
        words.append(f"{count} tick{'s' * (count != 1)}, the last {job.show(until)}")
    if len(occurrence.attempts) > 1:
        words.append(f"{len(occurrence.attempts)} attempts")
    if occurrence.retry_at:
        words.append(f"next attempt {job.show(occurrence.retry_at)}")
    if occurrence.reason:
        words.append(f"({occurrence.reason})")
    if occurrence.error is not None:
        text = f"{occurrence.error.type}: {occurrence.error.message}"
        words.append(text if len(text) <= MAX_ERROR else text[: MAX_ERROR - 1] + "…")
    return "  ".join(words).rstrip()


def table(occurrences: Iterable[Occurrence], *, jobs: bool = False) -> str:
    """Occurrences in lines, the latest of many; with the names of their jobs if asked."""
    rows = [f"  {o.job}  {line(o)}" if jobs else f"  {line(o)}" for o in occurrences]
    if len(rows) > MAX_LINES:
        rows = [f"  ... {len(rows) - MAX_LINES} earlier ones", *rows[-MAX_LINES:]]
    return "\n".join(rows)
