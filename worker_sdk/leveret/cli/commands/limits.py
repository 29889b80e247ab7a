"""`leveret limits`: how many occurrences of a type start within a time, over REST."""

from __future__ import annotations

from typing import Annotated

import typer

from leveret.cli.client import DEFAULT_URL, Client, Url, ref
from leveret.cli.output import AsJson, seconds, show_json, show_table
from leveret.cli.times import duration
from leveret_core.errors import InvalidInput

app = typer.Typer(no_args_is_help=True, help="See and change the rate limits of job types.")

_PER = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}

JobType = Annotated[str, typer.Argument(metavar="TYPE", help="A job type, exactly.")]


@app.command("list")
def list_limits(as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """List the limits."""
    with Client(url) as client:
        found = client.get("rate-limits")
    if as_json:
        show_json(found)
        return
    limits = [*found["items"], *found["by_key"]]
    show_table(
        ("type", "for each", "at most", "within"),
        [(each["type"], each.get("key"), each["count"], seconds(each["per"])) for each in limits],
        empty="no limits; `leveret limits set TYPE 100/minute` makes one",
    )


@app.command("set")
def set_limit(
    job_type: JobType,
    rate: Annotated[str, typer.Argument(metavar="RATE", help="Such as 100/minute, 5/s or 20/10m.")],
    by: Annotated[str | None, typer.Option(metavar="PATH", help="For each value in the payloads, such as customer.id.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Limit a type, or with --by each value of a key of it. A type can have both."""
    count, per = _rate(rate)
    body: dict[str, object] = {"count": count, "per": per}
    with Client(url) as client:
        if by is None:
            _, made = client.send("PUT", f"rate-limits/{ref(job_type)}", body)
        else:
            _, made = client.send("PUT", f"rate-limits/{ref(job_type)}/by-key", body | {"key": by})
    if as_json:
        show_json(made)
        return
    each = f" for each {by}" if by else ""
    typer.echo(f"{made['type']}: at most {made['count']} start within {seconds(made['per'])}{each}")


@app.command("lift")
def lift_limit(
    job_type: JobType,
    by_key: Annotated[bool, typer.Option("--by-key", help="The limit for each value of a key.")] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Lift the limit of a type; what waited for it starts at once."""
    with Client(url) as client:
        client.send("DELETE", f"rate-limits/{ref(job_type)}" + ("/by-key" if by_key else ""))
    typer.echo(f"lifted the limit of {job_type}" + (" by key" if by_key else ""))


def _rate(text: str) -> tuple[int, float]:
    wrong = InvalidInput.at("RATE", f"must be like 100/minute, 5/s or 20/10m, not {text!r}")
    count, slash, per = text.partition("/")
    if not slash or not (count.isascii() and count.isdigit()):
        raise wrong
    if per in _PER:
        return int(count), _PER[per]
    try:
        return int(count), duration(f"1{per}" if per in ("s", "m", "h", "d") else per, "RATE")
    except InvalidInput:
        raise wrong from None
