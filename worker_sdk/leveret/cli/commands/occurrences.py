"""`leveret occurrences`: what ran, runs and will run, over REST."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

import typer

from leveret.cli.client import DEFAULT_URL, Client, Url
from leveret.cli.output import AsJson, printable, seconds, show_json, show_table, when
from leveret_core.states import FINAL, State

app = typer.Typer(no_args_is_help=True, help="See and cancel occurrences, the planned runs of jobs.")

FOLLOW_INTERVAL = 0.5
"""Seconds between looks for new log records."""

Id = Annotated[int, typer.Argument(metavar="OCCURRENCE", help="Id of the occurrence.")]


@app.command("list")
def list_occurrences(
    job: Annotated[str | None, typer.Option(help="Only of this job: name or id.")] = None,
    state: Annotated[list[State] | None, typer.Option(help="Only in this state; may be given several times.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Only of this type, or of a pattern such as sendemail.*.")] = None,
    since: Annotated[str | None, typer.Option(help="Only those that ended at this time or later; ISO 8601.")] = None,
    until: Annotated[str | None, typer.Option(help="Only those that ended before this time; ISO 8601.")] = None,
    error: Annotated[str | None, typer.Option(help="Only those that failed with this in their error.")] = None,
    worker: Annotated[str | None, typer.Option(help="Only those this worker (its id) ran.")] = None,
    backfill: Annotated[int | None, typer.Option(help="Only of this backfill.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, at most.")] = 50,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """List occurrences, newest first."""
    states = [each.value for each in state] if state else None
    with Client(url) as client:
        found = client.pages(
            "occurrences",
            limit=limit,
            job=job,
            state=states,
            type=type_,
            since=since,
            until=until,
            error=error,
            worker=worker,
            backfill=backfill,
        )
    if as_json:
        show_json(found)
        return
    show_table(
        ("id", "job", "state", "reason", "due", "attempt", "took", "worker"),
        [
            (
                each["id"],
                each["job_name"],
                each["state"],
                each["reason"],
                when(each["scheduled_for"]),
                f"{each['attempt']}/{each['max_attempts']}",
                seconds(each["duration"]),
                each["worker_name"],
            )
            for each in found
        ],
        empty="no occurrences",
    )


@app.command()
def show(occurrence: Id, as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Show one occurrence whole, with its attempts."""
    with Client(url) as client:
        found = client.get(f"occurrences/{occurrence}")
    if as_json:
        show_json(found)
        return
    progress, error = found["progress"], found["error"]
    rows: list[tuple[str, object]] = [
        ("id", found["id"]),
        ("job", f"{found['job_name']} (version {found['job_version']})"),
        ("type", found["type"]),
        ("state", found["state"] + (f", {found['reason']}" if found["reason"] else "")),
        ("origin", found["origin"]),
        ("due", when(found["scheduled_for"])),
        ("started", when(found["started_at"])),
        ("finished", when(found["finished_at"])),
        ("took", seconds(found["duration"])),
        ("worker", found["worker_name"]),
        ("progress", f"{progress['fraction']:.0%} {progress['message']}" if progress else ""),
        ("payload", json.dumps(found["payload"], ensure_ascii=False)),
        ("result", json.dumps(found["result"], ensure_ascii=False)),
        ("error", f"{error['type']}: {error['message']}\n{error['traceback']}".rstrip() if error else ""),
    ]
    show_table(("field", "value"), rows)
    attempts = [
        (
            each["attempt"],
            each["state"],
            when(each["started_at"]),
            when(each["finished_at"]),
            (each["error"] or {}).get("message"),
        )
        for each in found["attempts"]
    ]
    if attempts:
        show_table(("attempt", "state", "started", "finished", "error"), attempts)


@app.command()
def logs(
    occurrence: Id,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the occurrence has ended.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Print what the handler logged, in all attempts."""
    with Client(url) as client:
        after: str | None = None
        while True:
            # The state first: what was logged before the end is then certainly among the records read after it.
            final = not follow or client.get(f"occurrences/{occurrence}")["state"] in FINAL
            after = _print_logs(client, occurrence, after, as_json)
            if final:
                return
            time.sleep(FOLLOW_INTERVAL)


@app.command()
def cancel(
    occurrence: Id,
    reason: Annotated[str | None, typer.Option(help="Shown with the occurrence.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Cancel an occurrence, or ask its worker to stop it."""
    with Client(url) as client:
        _, found = client.send("POST", f"occurrences/{occurrence}/cancel", {} if reason is None else {"reason": reason})
    show_json(found) if as_json else typer.echo(f"occurrence {found['id']} is {found['state']}")


def _print_logs(client: Client, occurrence: int, after: str | None, as_json: bool) -> str | None:
    """Print the records after the one that `after` names (`attempt:seq`); the name of the last one printed."""
    while True:
        page = client.get(f"occurrences/{occurrence}/logs", after=after, limit=500)
        for record in page["items"]:
            typer.echo(json.dumps(record, ensure_ascii=False) if as_json else _line(record))
            after = f"{record['attempt']}:{record['seq']}"
        if page["next_cursor"] is None:
            return after


def _line(record: dict[str, Any]) -> str:
    fields = " ".join(f"{name}={value}" for name, value in (record["fields"] or {}).items())
    return printable(f"{when(record['at'])} {record['level']:<8} {record['message']}{'  ' + fields if fields else ''}")
