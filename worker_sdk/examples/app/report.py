"""`report.*`: what the scheduler did lately, from its own REST API, as a CSV file and a chart."""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from examples.app import settings
from leveret import JobContext, job

PAGE = 500
MAX_OCCURRENCES = 50_000
COLORS = {"succeeded": "#2e9e5b", "failed": "#c8453b", "timed_out": "#d98324", "cancelled": "#8a8f98"}
OTHER_COLOR = "#5b7fbd"


@job("report.*", concurrency=2, timeout=300)
def activity(ctx: JobContext, hours: float = 24) -> dict[str, Any]:
    """Write `<name of the job>.csv` and `.png`: occurrences by job and state in the last hours."""
    since = ctx.scheduled_for - timedelta(hours=hours)
    occurrences: list[dict[str, Any]] = []
    for occurrence in history(settings.server_url(), since):
        occurrences.append(occurrence)
        if len(occurrences) % PAGE == 0:
            ctx.progress(0.5, f"{len(occurrences)} occurrences read")
    ctx.log.info("%d occurrences since %s", len(occurrences), f"{since:%d %B %H:%M} UTC")
    rows = summary(occurrences)
    settings.OUTPUT.mkdir(parents=True, exist_ok=True)
    table, chart = settings.OUTPUT / f"{ctx.job}.csv", settings.OUTPUT / f"{ctx.job}.png"
    write_csv(rows, table)
    ctx.progress(0.8, "drawing")
    draw_chart(rows, chart, title=f"{len(occurrences)} occurrences in {hours:g} h to {ctx.scheduled_for:%d %B %H:%M} UTC")
    return {"occurrences": len(occurrences), "jobs": len({row["job"] for row in rows}), "csv": str(table), "chart": str(chart)}


def history(url: str, since: datetime) -> Iterator[dict[str, Any]]:
    """Occurrences created since then, newest first, page by page from the REST API at `url`."""
    cursor: str | None = None
    for _ in range(MAX_OCCURRENCES // PAGE):
        query = urlencode({"limit": PAGE} | ({"cursor": cursor} if cursor else {}))
        with urlopen(f"{url}/api/v1/occurrences?{query}", timeout=10) as answer:  # noqa: S310  # the server that the worker was told
            page = json.load(answer)
        for occurrence in page["items"]:
            if datetime.fromisoformat(occurrence["created_at"]).astimezone(UTC) < since:
                return
            yield occurrence
        cursor = page["next_cursor"]
        if cursor is None:
            return


def summary(occurrences: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each job and state: `job`, `state`, `count`, and `median_seconds` where durations are known."""
    durations: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    counts: Counter[tuple[str, str]] = Counter()
    for occurrence in occurrences:
        key = (occurrence["job_name"], occurrence["state"])
        counts[key] += 1
        if occurrence["duration"] is not None:
            durations[key].append(occurrence["duration"])
    return [
        {
            "job": name,
            "state": state,
            "count": count,
            "median_seconds": round(median(durations[name, state]), 3) if durations[name, state] else "",
        }
        for (name, state), count in sorted(counts.items())
    ]


def write_csv(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write `rows` as CSV, whole or not at all: a reader never sees half a report."""
    unfinished = path.with_suffix(".csv.part")
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["job", "state", "count", "median_seconds"])
        writer.writeheader()
        writer.writerows(rows)
    unfinished.replace(path)


def draw_chart(rows: Sequence[dict[str, Any]], path: Path, title: str) -> None:
    """Draw `rows` as stacked bars, one a job, to a PNG."""
    # Not pyplot: it keeps global state, and handlers run in threads. A figure alone draws with Agg.
    from matplotlib.figure import Figure

    jobs = sorted({row["job"] for row in rows})
    figure = Figure(figsize=(9, 1.6 + 0.4 * max(len(jobs), 1)), layout="constrained")
    axes = figure.add_subplot()
    left = dict.fromkeys(jobs, 0)
    for state in sorted({row["state"] for row in rows}):
        counts = {row["job"]: row["count"] for row in rows if row["state"] == state}
        widths = [counts.get(name, 0) for name in jobs]
        axes.barh(jobs, widths, left=[left[name] for name in jobs], label=state, color=COLORS.get(state, OTHER_COLOR))
        for name, width in zip(jobs, widths, strict=True):
            left[name] += width
    axes.set_title(title, loc="left")
    axes.set_xlabel("occurrences")
    axes.spines[["top", "right"]].set_visible(False)
    if jobs:
        axes.legend(frameon=False, ncols=4, loc="upper left", bbox_to_anchor=(0, -0.18))
    unfinished = path.with_suffix(".png.part")
    figure.savefig(unfinished, format="png", dpi=144)
    unfinished.replace(path)
