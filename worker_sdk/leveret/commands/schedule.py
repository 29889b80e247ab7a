"""`leveret schedule`: when something would be due. Needs no server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from leveret.commands._output import AsJson, note, show_json, show_table
from leveret_core.errors import InvalidInput

app = typer.Typer(no_args_is_help=True, help="Ask when a schedule is due; needs no server.")


@app.callback()
def schedule() -> None:
    """Ask when a schedule is due; needs no server."""


@app.command()
def preview(
    expression: Annotated[
        str, typer.Argument(help="Five cron fields, six with seconds first, or an alias such as @daily; in quotes.")
    ],
    tz: Annotated[str, typer.Option(help="IANA time zone, such as Europe/Berlin.")] = "UTC",
    after: Annotated[
        str | None,
        typer.Option(help="Start here, this instant excluded; without an offset, wall time in the zone. Default: now."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many fire times.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Print the next fire times of a cron expression."""
    from leveret_core import triggers

    try:
        trigger = triggers.validate(triggers.Cron(expression, tz))
        start = datetime.now(UTC) if after is None else triggers.parse_after(after, tz)
        fire_times = triggers.preview(trigger, start, count)
    except triggers.TriggerError as error:
        raise InvalidInput.at(error.field, error.message) from error
    if as_json:
        show_json({"fire_times": fire_times})
        return
    note(triggers.describe(trigger))
    show_table(("local", "UTC"), [(each["local"], each["utc"]) for each in fire_times], empty="never due after that")
