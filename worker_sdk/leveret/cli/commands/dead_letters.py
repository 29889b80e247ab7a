"""`leveret dead-letters`: what failed for good, over REST."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from leveret.cli.client import DEFAULT_URL, Client, Url
from leveret.cli.json_object import json_object
from leveret.cli.output import AsJson, note, show_json, show_table, when
from leveret_core.errors import InvalidInput

app = typer.Typer(no_args_is_help=True, help="See what failed for good, and requeue or discard it.")

AT_ONCE = 500
"""Dead letters that one request deals with, at most."""

Ids = Annotated[list[int] | None, typer.Argument(metavar="[OCCURRENCE]...", help="These; otherwise say which by options.")]
Job = Annotated[str | None, typer.Option(help="Only of this job: name or id.")]
Type = Annotated[str | None, typer.Option("--type", help="Only of this type.")]
Search = Annotated[str | None, typer.Option(help="Only with this in the error's type or message, or in the reason.")]
Since = Annotated[str | None, typer.Option(help="Only what ended at this ISO 8601 time or later; without an offset in UTC.")]
Until = Annotated[str | None, typer.Option(help="Only what ended before this time.")]
All = Annotated[bool, typer.Option("--all", help="All there are, without any other option that says which.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only list which ones it would be.")]
Limit = Annotated[int | None, typer.Option(min=1, help="How many, at most. Default: all of them.")]


@app.callback()
def dead_letters() -> None:
    """See what failed for good, and requeue or discard it."""


@app.command("list")
def list_dead_letters(
    job: Job = None,
    type_: Type = None,
    search: Search = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, at most.")] = 50,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """List occurrences that failed for good and were neither requeued nor discarded since, the last to end first."""
    with Client(url) as client:
        found = client.pages("dead-letters", limit=limit, **_filter(job, type_, search, since, until))
    if as_json:
        show_json(found)
        return
    show_table(
        ("id", "job", "state", "ended", "attempts", "error"),
        [
            (each["id"], each["job_name"], each["state"], when(each["finished_at"]), each["attempt"], _error(each))
            for each in found
        ],
        empty="no dead letters",
    )


@app.command()
def requeue(
    occurrences: Ids = None,
    job: Job = None,
    type_: Type = None,
    search: Search = None,
    since: Since = None,
    until: Until = None,
    all_: All = False,
    payload: Annotated[str | None, typer.Option(help="A JSON object for all of them, instead of their own.")] = None,
    payload_patch: Annotated[
        str | None, typer.Option(help="A JSON object with what differs from each payload; null takes a name out.")
    ] = None,
    queue: Annotated[
        bool, typer.Option("--queue", help="What a job that skips takes no more of just now waits in its queue instead.")
    ] = False,
    limit: Limit = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Run dead letters again, those that ended first going first."""
    body = _chosen(occurrences, _filter(job, type_, search, since, until), all_)
    for name, text in (("payload", payload), ("payload_patch", payload_patch)):
        if (value := json_object(f"--{name.replace('_', '-')}", text)) is not None:
            body[name] = value
    if queue:
        body["queue"] = True
    _deal("requeue", "requeued", body, limit, dry_run=dry_run, as_json=as_json, url=url)


@app.command()
def discard(
    occurrences: Ids = None,
    job: Job = None,
    type_: Type = None,
    search: Search = None,
    since: Since = None,
    until: Until = None,
    all_: All = False,
    reason: Annotated[str | None, typer.Option(help="For the audit.")] = None,
    limit: Limit = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Take dead letters out of the list; their history stays."""
    body = _chosen(occurrences, _filter(job, type_, search, since, until), all_)
    if reason is not None:
        body["reason"] = reason
    _deal("discard", "discarded", body, limit, dry_run=dry_run, as_json=as_json, url=url)


def _filter(job: str | None, type_: str | None, search: str | None, since: str | None, until: str | None) -> dict[str, Any]:
    given = {"job": job, "type": type_, "search": search, "since": since, "until": until}
    return {name: value for name, value in given.items() if value is not None}


def _chosen(ids: list[int] | None, chosen: dict[str, Any], all_: bool) -> dict[str, Any]:
    if sum((bool(ids), bool(chosen), all_)) != 1:
        raise InvalidInput.at("", "say which: by their ids, by options such as --job and --search, or --all")
    return {"ids": ids} if ids else {"filter": chosen}


def _deal(verb: str, done: str, body: dict[str, Any], limit: int | None, *, dry_run: bool, as_json: bool, url: str) -> None:
    """As many requests as it takes, until nothing more can be done."""
    told: dict[str, Any] = {done: 0, "ids": [], "remaining": 0, "refused": []}
    with Client(url) as client:
        while limit is None or len(told["ids"]) < limit:
            want = AT_ONCE if limit is None else min(AT_ONCE, limit - len(told["ids"]))
            _, answer = client.send("POST", f"dead-letters/{verb}", body | {"limit": want, "dry_run": dry_run})
            told[done] += answer[done]
            told["ids"] += answer["ids"]
            told["remaining"] = answer["remaining"]
            told["refused"] = answer.get("refused", [])
            if dry_run or not answer["ids"] or not answer["remaining"]:
                break
    if as_json:
        show_json(told)
        return
    if dry_run:
        for occurrence in told["ids"]:
            typer.echo(occurrence)
        more = max(0, told["remaining"] - len(told["ids"]))
        note(
            f"{len(told['ids'])} would be {done}" + (f", and {more} more in further requests" if more and limit is None else "")
        )
        return
    typer.echo(f"{told[done]} {done}, {told['remaining']} remain")
    for refusal in told["refused"][:10]:
        note(f"occurrence {refusal['id']} stays: {refusal['reason']}")


def _error(found: dict[str, Any]) -> str:
    error = found["error"]
    if error is None:
        return str(found["reason"] or "")
    text = f"{error['type']}: {error['message']}".splitlines()[0]
    return text if len(text) <= 100 else text[:99] + "…"
