"""`leveret jobs backfill` and `leveret backfills`: fire times of the past, over REST."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from leveret.cli.client import DEFAULT_URL, Client, Url, ref
from leveret.cli.json_object import json_object
from leveret.cli.output import AsJson, note, show_json, show_table, when

app = typer.Typer(no_args_is_help=True, help="See and cancel backfills, runs of a job for fire times of the past.")

WATCH_INTERVAL = 1.0
"""Seconds between looks at a backfill that is watched."""

Id = Annotated[int, typer.Argument(metavar="BACKFILL", help="Id of the backfill.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Go on until it is over; exit code 1 unless all of it succeeded.")]


def start_backfill(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Name or id of the job.")],
    start: Annotated[
        str, typer.Option("--from", help="ISO 8601; without an offset, wall time in the job's zone. Belongs to the range.")
    ],
    end: Annotated[str, typer.Option("--to", help="As --from; not in the future. Belongs to the range.")],
    concurrency: Annotated[
        str | None, typer.Option(help="While others of it are live: queue, skip or allow. Default: queue.")
    ] = None,
    max_concurrent: Annotated[int | None, typer.Option(help="Live at once, at most. Default: 1.")] = None,
    payload: Annotated[str | None, typer.Option(help="A JSON object, in quotes, instead of the job's payload.")] = None,
    watch: Watch = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Run a job for its fire times in a past range, except those that have run."""
    optional = {"concurrency": concurrency, "max_concurrent": max_concurrent, "payload": json_object("--payload", payload)}
    body: dict[str, object] = {"start_at": start, "end_at": end}
    body |= {name: value for name, value in optional.items() if value is not None}
    with Client(url) as client:
        _, found = client.send("POST", f"jobs/{ref(job)}/backfills", body)
        if not as_json:
            typer.echo(f"backfill {found['id']} of {found['job_name']}: {found['total']} fire times")
        found = _watched(client, found) if watch else found
    if as_json:
        show_json(found)
    _exit(found, watch)


@app.callback()
def backfills() -> None:
    """See and cancel backfills, runs of a job for fire times of the past."""


@app.command("list")
def list_backfills(
    job: Annotated[str | None, typer.Option(help="Only of this job: name or id.")] = None,
    state: Annotated[str | None, typer.Option(help="Only those that are running, completed or cancelled.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, at most.")] = 50,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """List backfills, newest first."""
    with Client(url) as client:
        found = client.pages("backfills", limit=limit, page_size=100, job=job, state=state)
    if as_json:
        show_json(found)
        return
    show_table(
        ("id", "job", "state", "from", "to", "fire times", "occurrences", "started"),
        [
            (
                each["id"],
                each["job_name"],
                each["state"],
                when(each["start_at"]),
                when(each["end_at"]),
                f"{_reached(each)}/{each['total']}",
                _counts(each),
                when(each["created_at"]),
            )
            for each in found
        ],
        empty="no backfills; `leveret jobs backfill JOB --from TIME --to TIME` starts one",
    )


@app.command()
def show(backfill: Id, watch: Watch = False, as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Show how far a backfill is."""
    with Client(url) as client:
        found = client.get(f"backfills/{backfill}")
        found = _watched(client, found) if watch else found
    if as_json:
        show_json(found)
        _exit(found, watch)
        return
    several = found["concurrency"] != "allow"
    rows: list[tuple[str, object]] = [
        ("id", found["id"]),
        ("job", f"{found['job_name']} ({found['job_id']})"),
        ("state", found["state"] + (f", {found['reason']}" if found["reason"] else "")),
        ("from", when(found["start_at"])),
        ("to", when(found["end_at"])),
        ("concurrency", found["concurrency"] + (f", {found['max_concurrent']} at once" if several else "")),
        ("fire times", f"{_reached(found)}/{found['total']}, {found['existing']} had run before"),
        ("occurrences", _counts(found)),
        ("started", when(found["created_at"])),
        ("finished", when(found["finished_at"])),
    ]
    show_table(("field", "value"), rows)
    _exit(found, watch)


@app.command()
def cancel(
    backfill: Id,
    running: Annotated[bool, typer.Option("--running", help="Cancel what runs, too.")] = False,
    reason: Annotated[str | None, typer.Option(help="Shown with it.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Stop a backfill: what has not begun is cancelled, what runs goes on."""
    body: dict[str, object] = {"running": running}
    if reason is not None:
        body["reason"] = reason
    with Client(url) as client:
        _, found = client.send("POST", f"backfills/{backfill}/cancel", body)
    show_json(found) if as_json else typer.echo(
        f"backfill {found['id']} is {found['state']}: {_counts(found) or 'nothing ran'}"
    )


def _watched(client: Client, found: dict[str, Any]) -> dict[str, Any]:
    """The backfill when it is over; tells of its progress on stderr meanwhile."""
    told = ""
    while found["state"] == "running":
        time.sleep(WATCH_INTERVAL)
        found = client.get(f"backfills/{found['id']}")
        progress = f"{_reached(found)}/{found['total']} fire times; {_counts(found)}"
        if progress != told:
            note(progress)
            told = progress
    note(f"backfill {found['id']} is {found['state']}")
    return found


def _exit(found: dict[str, Any], watched: bool) -> None:
    if watched and (found["state"] != "completed" or found["counts"].keys() - {"succeeded"}):
        raise typer.Exit(1)


def _reached(found: dict[str, Any]) -> int:
    reached: int = found["created"] + found["existing"]
    return reached


def _counts(found: dict[str, Any]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(found["counts"].items()))
