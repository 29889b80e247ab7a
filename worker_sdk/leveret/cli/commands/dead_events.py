"""`leveret dead-events`: what workers sent and no ingestor could apply, over REST."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from leveret.cli.client import DEFAULT_URL, Client, Url
from leveret.cli.output import AsJson, note, show_json, show_table, when

app = typer.Typer(no_args_is_help=True, help="See what workers sent and no ingestor could apply.")

Id = Annotated[int, typer.Argument(metavar="ID")]


@app.callback()
def dead_events() -> None:
    """See what workers sent and no ingestor could apply."""


@app.command("list")
def list_dead_events(
    worker: Annotated[str | None, typer.Option(help="Only of the worker with this id.")] = None,
    occurrence: Annotated[int | None, typer.Option(help="Only about this occurrence.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, at most.")] = 50,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """List them, newest first."""
    with Client(url) as client:
        found = client.pages("dead-events", limit=limit, worker=worker, occurrence=occurrence)
    if as_json:
        show_json(found)
        return
    show_table(
        ("id", "came", "kind", "worker", "occurrence", "attempt", "bytes", "reason"),
        [
            (
                each["id"],
                when(each["at"]),
                each["kind"],
                each["worker_name"] or each["worker_id"],
                each["occurrence_id"],
                each["attempt"],
                each["size"],
                each["reason"][:200],
            )
            for each in found
        ],
        empty="no dead events",
    )


@app.command()
def show(dead_event: Id, as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Show one with its bytes."""
    with Client(url) as client:
        found = client.get(f"dead-events/{dead_event}")
    if as_json:
        show_json(found)
        return
    for title in ("id", "kind", "reason", "worker_id", "worker_name", "occurrence_id", "attempt", "size"):
        note(f"{title}: {'unknown' if found[title] is None else found[title]}")
    note(f"came: {when(found['at'])}")
    typer.echo(found["base64"] if found["text"] is None else found["text"])


@app.command()
def discard(dead_events: Annotated[list[int], typer.Argument(metavar="ID...")], url: Url = DEFAULT_URL) -> None:
    """Discard some that have been looked at."""
    with Client(url) as client:
        for each in dead_events:
            client.send("DELETE", f"dead-events/{each}")
    note(f"{len(dead_events)} discarded")


@app.command()
def replay(
    dead_events: Annotated[list[int], typer.Argument(metavar="ID...")], as_json: AsJson = False, url: Url = DEFAULT_URL
) -> None:
    """Hand some to the server again, which may be able to apply them by now; exit code 1 if one was refused.

    Those that are applied are gone; `stale` ones changed nothing, because their attempt has ended or has them already.
    """
    done: list[dict[str, Any]] = []
    with Client(url) as client:
        for each in dead_events:
            _, answer = client.send("POST", f"dead-events/{each}/replay")
            done.append({"id": each} | answer)
    if as_json:
        show_json(done)
    else:
        titles = ("id", "result", "applied", "stale", "refused", "reason")
        show_table(titles, [tuple(each[title] for title in titles) for each in done], empty="no dead events")
    if any(each["refused"] for each in done):
        raise typer.Exit(1)
