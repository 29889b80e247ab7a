"""`leveret jobs`: the definitions, over REST."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from leveret.cli.client import DEFAULT_URL, Client, Url, ref
from leveret.cli.commands.backfills import start_backfill
from leveret.cli.commands.job_sources import apply_source, importing
from leveret.cli.json_object import json_object
from leveret.cli.output import AsJson, seconds, show_json, show_table, when
from leveret.cli.times import duration, instant
from leveret_core.errors import InvalidInput

app = typer.Typer(no_args_is_help=True, help="See and change jobs.")
app.command("apply")(apply_source)
app.command("backfill")(start_backfill)
app.add_typer(importing, name="import")

Ref = Annotated[str, typer.Argument(metavar="JOB", help="Name or id of the job.")]
Payload = Annotated[str | None, typer.Option(help="A JSON object, in quotes.")]


@app.command("list")
def list_jobs(
    type_: Annotated[str | None, typer.Option("--type", help="Only jobs of this type.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only jobs with this tag.")] = None,
    paused: Annotated[bool | None, typer.Option("--paused/--active", help="Only paused, or only active jobs.")] = None,
    search: Annotated[str | None, typer.Option(help="Only jobs with this in their name.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, at most.")] = 100,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """List jobs."""
    with Client(url) as client:
        found = client.pages("jobs", limit=limit, type=type_, tag=tag, paused=_flag(paused), search=search)
    if as_json:
        show_json(found)
        return
    show_table(
        ("id", "name", "type", "due", "next", "last"),
        [
            (
                job["id"],
                job["name"],
                job["type"],
                "paused" if job["paused"] else job["trigger_description"],
                when(job["next_fire_at"]),
                (job["last_occurrence"] or {}).get("state"),
            )
            for job in found
        ],
        empty="no jobs; `leveret jobs create` makes one",
    )


@app.command()
def show(job: Ref, as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Show one job whole, and when it is due next."""
    with Client(url) as client:
        found = client.get(f"jobs/{ref(job)}")
        fire_times = client.get(f"jobs/{ref(job)}/next", count=5)["fire_times"]
    if as_json:
        show_json(found | {"next": fire_times})
        return
    _show_fields(found)
    show_table(("next, local", "next, UTC"), [(each["local"], each["utc"]) for each in fire_times], empty="not due by itself")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Letters, digits, '.', '_' and '-'.")],
    type_: Annotated[str, typer.Option("--type", help="What handlers match, such as sendemail.welcome.")],
    cron: Annotated[str | None, typer.Option(help="Due by this cron expression, in quotes.")] = None,
    every: Annotated[float | None, typer.Option(help="Due every so many seconds.")] = None,
    at: Annotated[str | None, typer.Option(help="Due once, at this ISO 8601 time.")] = None,
    tz: Annotated[str | None, typer.Option(help="IANA time zone of --cron or --at. Default: UTC.")] = None,
    payload: Payload = None,
    description: Annotated[str | None, typer.Option(help="For people.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="May be given several times.")] = None,
    concurrency: Annotated[
        str | None, typer.Option(help="While another run is live: skip, queue, replace or allow. Default: skip.")
    ] = None,
    concurrency_key: Annotated[
        str | None, typer.Option(help="Dotted path into the payload; --concurrency holds for each value apart.")
    ] = None,
    priority: Annotated[int | None, typer.Option(help="0 to 9, the highest goes first. Default: 5.")] = None,
    disable_after: Annotated[int | None, typer.Option(help="Pause after so many failures in a row. Default: never.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds an attempt may take. Default: no limit.")] = None,
    max_attempts: Annotated[int | None, typer.Option(help="Attempts in all. Default: 3.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Change the job of this name, if there is one.")] = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Create a job. Without --cron, --every or --at it runs only when it is triggered."""
    optional: dict[str, object] = {
        "description": description,
        "tags": tag,
        "payload": json_object("--payload", payload),
        "concurrency": concurrency,
        "concurrency_key": concurrency_key,
        "priority": priority,
        "disable_after": disable_after,
        "timeout": timeout,
        "retry": None if max_attempts is None else {"max_attempts": max_attempts},
    }
    definition: dict[str, object] = {"name": name, "type": type_, "trigger": _trigger(cron, every, at, tz)}
    definition |= {field: value for field, value in optional.items() if value is not None}
    with Client(url) as client:
        method, path = ("PUT", f"jobs/{ref(name)}") if replace else ("POST", "jobs")
        status, job = client.send(method, path, definition)
    if as_json:
        show_json(job)
        return
    next_fire = f", next {when(job['next_fire_at'])}" if job["next_fire_at"] else ""
    typer.echo(
        f"{'created' if status == 201 else 'changed'} job {job['id']} {job['name']}: {job['trigger_description']}{next_fire}"
    )


@app.command()
def trigger(
    job: Ref,
    payload: Payload = None,
    delay: Annotated[str | None, typer.Option(help="Later, such as 90, 10m or 1h30m from now.")] = None,
    at: Annotated[str | None, typer.Option(help="At this ISO 8601 time; UTC unless it has an offset.")] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key: asking again with it starts nothing new.")] = None,
    priority: Annotated[int | None, typer.Option(help="0 to 9, instead of the job's.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Run a job, now or later."""
    if delay is not None and at is not None:
        raise InvalidInput.at("", "give --delay or --at, not both")
    body: dict[str, object] = {
        "payload": json_object("--payload", payload),
        "delay": None if delay is None else duration(delay, "--delay"),
        "at": None if at is None else instant(at, "--at"),
        "idempotency_key": key,
        "priority": priority,
    }
    with Client(url) as client:
        _, occurrence = client.send(
            "POST", f"jobs/{ref(job)}/trigger", {name: value for name, value in body.items() if value is not None}
        )
    if as_json:
        show_json(occurrence)
        return
    reason = f" ({occurrence['reason']})" if occurrence.get("reason") else ""
    if occurrence["state"] == "scheduled":
        reason = f" for {when(occurrence['scheduled_for'])}"
    typer.echo(f"occurrence {occurrence['id']} of {occurrence['job_name']} is {occurrence['state']}{reason}")


@app.command()
def pause(
    job: Ref,
    reason: Annotated[str | None, typer.Option(help="Shown with the job.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Stop a job's schedule; what runs goes on."""
    with Client(url) as client:
        _, found = client.send("POST", f"jobs/{ref(job)}/pause", {} if reason is None else {"reason": reason})
    show_json(found) if as_json else typer.echo(f"paused {found['name']}")


@app.command()
def resume(job: Ref, as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Let a paused job's schedule go on, from now."""
    with Client(url) as client:
        _, found = client.send("POST", f"jobs/{ref(job)}/resume", {})
    show_json(found) if as_json else typer.echo(f"resumed {found['name']}, next {when(found['next_fire_at']) or 'by hand'}")


@app.command()
def delete(job: Ref, url: Url = DEFAULT_URL) -> None:
    """Delete a job; its history stays."""
    with Client(url) as client:
        client.send("DELETE", f"jobs/{ref(job)}")
    typer.echo(f"deleted {job}")


def _show_fields(job: dict[str, Any]) -> None:
    retry = job["retry"]
    last = job["last_occurrence"]
    each = f" for each {job['concurrency_key']}" if job["concurrency_key"] else ""
    limit = f"pauses at {job['disable_after']}" if job["disable_after"] else "no limit"
    rows: list[tuple[str, object]] = [
        ("id", job["id"]),
        ("name", job["name"]),
        ("type", job["type"]),
        ("description", job["description"]),
        ("tags", ", ".join(job["tags"])),
        ("due", job["trigger_description"]),
        ("paused", (job["pause_reason"] or "yes") if job["paused"] else "no"),
        ("payload", json.dumps(job["payload"], ensure_ascii=False)),
        ("concurrency", f"{job['concurrency']}, {job['max_concurrent']} at once{each}"),
        ("priority", job["priority"]),
        ("failures in a row", f"{job['failures']}, {limit}"),
        ("catch up", f"{job['catch_up']}, within {seconds(job['catch_up_window'])}"),
        ("timeout", seconds(job["timeout"]) or "none"),
        ("attempts", f"{retry['max_attempts']}, first retry after {seconds(retry['delay'])}"),
        ("version", job["version"]),
        ("last occurrence", f"{last['id']} {last['state']} {when(last['scheduled_for'])}" if last else ""),
    ]
    show_table(("field", "value"), rows)


def _flag(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()


def _trigger(cron: str | None, every: float | None, at: str | None, tz: str | None) -> dict[str, object]:
    if sum(option is not None for option in (cron, every, at)) > 1:
        raise InvalidInput.at("", "give one of --cron, --every and --at")
    zone = {} if tz is None else {"timezone": tz}
    if cron is not None:
        return {"kind": "cron", "expression": cron, **zone}
    if at is not None:
        # Without a zone and an offset the server could not tell which instant is meant: UTC, as everywhere here.
        return {"kind": "once", "at": at, "timezone": tz or "UTC"}
    if tz is not None:
        raise InvalidInput.at("--tz", "goes with --cron or --at")
    return {"kind": "manual"} if every is None else {"kind": "interval", "every": every}
