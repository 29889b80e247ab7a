"""`leveret workers`: who serves what, and telling one to end, over REST."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from leveret.cli.client import DEFAULT_URL, Client, Url, ref
from leveret.cli.output import AsJson, show_json, show_table, when
from leveret_core.errors import InvalidInput, NotFound

SHOWN = 5
"""Workers named when the id is not unique, at most."""
ID_LENGTH = 36
"""Characters of a whole id."""

app = typer.Typer(no_args_is_help=True, help="See and drain workers.")


@app.callback()
def workers() -> None:
    """See and drain workers."""


@app.command("list")
def list_workers(as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """List the workers that live, and those that went lately."""
    with Client(url) as client:
        found = client.get("workers")["items"]
    if as_json:
        show_json(found)
        return
    show_table(
        ("name", "state", "running", "handlers", "host", "started", "heartbeat", "id"),
        [
            (
                each["name"],
                each["state"],
                f"{each['running']}/{each['concurrency']}",
                _patterns(each),
                f"{each['host']}:{each['pid']}",
                when(each["started_at"]),
                when(each["heartbeat_at"]),
                each["id"],
            )
            for each in found
        ],
        empty="no workers; `leveret worker app.jobs` starts one",
    )


@app.command("show")
def show_worker(
    worker: Annotated[str, typer.Argument(metavar="ID", help="Its id, or as much of the beginning as is unique.")],
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Show a worker, and what it got wrong: requests that were refused, and events that were quarantined."""
    text = worker.strip().lower()
    with Client(url) as client:
        # A whole id need not be in the list: a worker whose hello was refused never is.
        worker_id = text if len(text) == ID_LENGTH else _only(client.get("workers")["items"], text)
        found = client.get(f"workers/{ref(worker_id)}")
    if as_json:
        show_json(found)
        return
    typer.echo(f"{found['name']} ({found['id']}) is {found['state']}, {found['running']}/{found['concurrency']} running")
    typer.echo(f"on {found['host']}:{found['pid']}, {found['sdk']}; serves {_patterns(found)}")
    show_table(
        ("last", "times", "kind", "what is wrong"),
        [(when(each["last_at"]), str(each["count"]), each["kind"], each["reason"]) for each in found["refusals"]],
        empty="nothing it sent was refused",
    )


@app.command("drain")
def drain_worker(
    worker: Annotated[str, typer.Argument(metavar="ID", help="Its id, or as much of the beginning as is unique.")],
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Tell a worker to take nothing more, finish what it runs, and end."""
    with Client(url) as client:
        worker_id = _only(client.get("workers")["items"], worker.strip().lower())
        told = client.send("POST", f"workers/{ref(worker_id)}/drain")[1]
    if as_json:
        show_json(told)
        return
    typer.echo(f"told worker {told['name']} ({told['id']}) to drain; {told['running']} running at its last heartbeat")


def _patterns(worker: dict[str, Any]) -> str:
    return ", ".join(handler["pattern"] for handler in worker["handlers"])


def _only(found: list[dict[str, Any]], prefix: str) -> str:
    """The id of the one worker that `prefix` means: a living one, if any of those fits."""
    if not prefix:
        raise InvalidInput.at("ID", "may not be empty; `leveret workers list` shows the ids")
    fitting = [each for each in found if each["id"].startswith(prefix)]
    fitting = [each for each in fitting if each["stopped_at"] is None] or fitting
    if not fitting:
        raise NotFound(f"there is no worker whose id begins with {prefix}; `leveret workers list` shows those there are")
    if len(fitting) > 1:
        named = ", ".join(f"{each['id']} ({each['name']})" for each in fitting[:SHOWN])
        more = f" and {len(fitting) - SHOWN} more" if len(fitting) > SHOWN else ""
        raise InvalidInput.at("ID", f"{prefix} begins the ids of {len(fitting)} workers: {named}{more}; give more of it")
    worker_id: str = fitting[0]["id"]
    return worker_id
