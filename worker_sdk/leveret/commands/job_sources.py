"""`leveret jobs apply` and `leveret jobs import`: jobs made from files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from leveret.commands._client import DEFAULT_URL, Client, Url
from leveret.commands._definitions import Applied, apply, load_definitions
from leveret.commands._output import AsJson, note, show_json, show_table, when
from leveret_core.errors import InvalidInput

importing = typer.Typer(no_args_is_help=True, help="Make jobs from another scheduler's files.")


def apply_source(
    source: Annotated[str, typer.Argument(help="A .json or .toml file, or a module with a list JOBS.")],
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Make the jobs of a file or module true on the server, by name. Doing it again changes nothing."""
    definitions = load_definitions(source)
    with Client(url) as client:
        _report(apply(client, definitions), as_json)


@importing.callback()
def import_() -> None:
    """Make jobs from another scheduler's files."""


@importing.command()
def crontab(
    file: Annotated[str, typer.Argument(help="The file, as `crontab -l` prints it; - reads stdin.")],
    system: Annotated[bool, typer.Option("--system", help="As /etc/crontab: a user stands before the command.")] = False,
    tz: Annotated[str | None, typer.Option(help="IANA time zone of the host it comes from. Default: UTC.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be made; ask no server.")] = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Make a job of every entry of a crontab. Doing it again changes nothing; what needs a person is listed by line.

    The jobs are of the type `shell.run`: a worker with a handler for it runs their commands.
    """
    from leveret_core.crontab import parse_crontab
    from leveret_core.triggers import TriggerError

    text = _read(file)
    try:
        parsed = parse_crontab(text, system=system, timezone=tz or "UTC")
    except TriggerError as error:
        raise InvalidInput.at("--tz", error.message) from error
    definitions = [cast("dict[str, Any]", job) for job in parsed.jobs]
    for problem in parsed.problems:
        note(f"{file}:{problem.line}: {'' if problem.fatal else 'note: '}{problem.message}")
    if tz is None and any(each["trigger"].get("timezone", "UTC") == "UTC" for each in definitions):
        note("note: times are read in UTC; name the host's zone with --tz if it has another")
    if dry_run:
        if as_json:
            show_json(definitions)
        else:
            rows = [(each["name"], each["trigger"]["expression"], each["payload"]["command"]) for each in definitions]
            show_table(("job", "due", "command"), rows, empty="no entries")
    else:
        with Client(url) as client:
            _report(apply(client, definitions), as_json)
    if any(problem.fatal for problem in parsed.problems):
        raise typer.Exit(1)


def _report(applied: list[Applied], as_json: bool) -> None:
    if as_json:
        show_json([{"name": each.name, "result": each.result, "problem": each.problem or None} for each in applied])
    else:
        show_table(
            ("job", "result", "due", "next"),
            [
                (
                    each.name,
                    each.result,
                    *((each.job["trigger_description"], when(each.job["next_fire_at"])) if each.job else ("", "")),
                )
                for each in applied
            ],
            empty="no jobs to make",
        )
    refused = [each for each in applied if each.result == "refused"]
    for each in refused:
        note(f"{each.name}: {each.problem}")
    if refused:
        raise typer.Exit(1)


def _read(file: str) -> str:
    try:
        if file == "-":
            return typer.get_binary_stream("stdin").read().decode("utf-8", "replace")
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InvalidInput.at("", f"cannot read {file}: {error.strerror or error}") from error
