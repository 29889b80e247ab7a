"""`leveret workers`: who serves what, over REST."""

from __future__ import annotations

import typer

from leveret.commands._client import DEFAULT_URL, Client, Url
from leveret.commands._output import AsJson, show_json, show_table, when

app = typer.Typer(no_args_is_help=True, help="See workers.")


@app.callback()
def workers() -> None:
    """See workers."""


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
                ", ".join(handler["pattern"] for handler in each["handlers"]),
                f"{each['host']}:{each['pid']}",
                when(each["started_at"]),
                when(each["heartbeat_at"]),
                each["id"],
            )
            for each in found
        ],
        empty="no workers; `leveret worker app.jobs` starts one",
    )
