"""`leveret schedule`: when something would be due. Needs no server."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from leveret.cli.output import AsJson, note, show_json, show_table
from leveret_core.errors import InvalidInput

if TYPE_CHECKING:
    from leveret_core.triggers import FireTime

_CLOCK = {
    "skipped": "in place of a time that the clock skips",
    "first": "the first of two such times",
    "second": "the second of two such times",
}

app = typer.Typer(no_args_is_help=True, help="Ask when a schedule is due; needs no server.")


@app.callback()
def schedule() -> None:
    """Ask when a schedule is due; needs no server."""


@app.command()
def preview(
    expression: Annotated[
        str, typer.Argument(help="Five cron fields, six with seconds first, an alias such as @daily, or @every 5m; in quotes.")
    ],
    tz: Annotated[str | None, typer.Option(help="IANA time zone, such as Europe/Berlin. Default: UTC.")] = None,
    after: Annotated[
        str | None,
        typer.Option(help="Start here, this instant excluded; without an offset, wall time in the zone. Default: now."),
    ] = None,
    until: Annotated[str | None, typer.Option(help="End here, this instant included; read as --after is.")] = None,
    count: Annotated[
        int | None, typer.Option(min=1, max=1000, help="How many, at most. Default: 5; with --until, 1000.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The job's name: H and ~ are drawn from it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the next fire times of a cron expression, and what the next clock change does to them."""
    from leveret_core import triggers

    try:
        given = {"kind": "cron", "expression": expression} | ({} if tz is None else {"timezone": tz})
        trigger = triggers.decode(given)
        zone = triggers.timezone_of(trigger)
        start = datetime.now(UTC) if after is None else triggers.parse_after(after, zone)
        end = None if until is None else triggers.parse_after(until, zone, "until")
        if triggers.needs_seed(trigger) and name is None:
            raise InvalidInput.at("--name", "is needed: H and ~ are drawn from the job's name")
        trigger = triggers.anchored(trigger, start, name or "")
        fire_times = triggers.preview(trigger, start, count or (5 if end is None else 1000), end)
        change = triggers.next_clock_change(trigger, start)
    except triggers.TriggerError as error:
        raise InvalidInput.at(error.field, error.message) from error
    if as_json:
        found = {"description": triggers.describe(trigger), "notes": triggers.notes(trigger)}
        show_json(found | {"fire_times": fire_times, "next_clock_change": change})
        return
    note(triggers.describe(trigger))
    for each in triggers.notes(trigger):
        note(f"note: {each}")
    _show(fire_times, empty="never due after that" if end is None else "not due in that time")
    if change is not None:
        note(f"\nthe clock goes from {change['before']} to {change['after']}; around that:")
        _show(change["fire_times"], empty="not due")


def _show(fire_times: Sequence[FireTime], *, empty: str) -> None:
    rows = [(each["local"], each["utc"], _CLOCK.get(each.get("clock", ""), "")) for each in fire_times]
    show_table(("local", "UTC", ""), rows, empty=empty)
