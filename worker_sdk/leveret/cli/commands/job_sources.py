"""`leveret jobs apply` and `leveret jobs import`: jobs made from files."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from leveret.cli.client import DEFAULT_URL, Client, Url
from leveret.cli.definitions import Applied, apply, load_definitions
from leveret.cli.output import AsJson, note, show_json, show_table, when
from leveret_core.errors import InvalidInput

GONE = 3
"""Exit code when all entries were taken over, and jobs run on whose entry is gone."""

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
    source: Annotated[
        str | None,
        typer.Option(help="What the jobs come from, the same each time. Default: host and file, or host and user for -."),
    ] = None,
    system: Annotated[
        bool | None,
        typer.Option("--system/--user", help="With a user before the command, as /etc/crontab has, or not. Default: not."),
    ] = None,
    tz: Annotated[str | None, typer.Option(help="IANA time zone of the host it comes from. Default: UTC.")] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Delete jobs whose entry is gone from the source.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what the server would make, change and delete.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only read the file; ask no server.")] = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Make a job of every entry of a crontab, and bring the jobs of the last import up to date.

    Only what has changed in the file changes: what was edited since, such as a timeout, stays. Exit code 1: an entry was left
    out; 3: all was taken over, and jobs run on whose entry is gone (see --prune). The jobs are of the type `shell.run`, which a
    worker has to serve.
    """
    from leveret_core.crontab import parse_crontab
    from leveret_core.triggers import TriggerError

    text = _read(file)
    try:
        parsed = parse_crontab(text, system=system, timezone=tz or "UTC")
    except TriggerError as error:
        raise InvalidInput.at("--tz", error.message) from error
    for problem in parsed.problems:
        note(f"{file}:{problem.line}: {'' if problem.fatal else 'note: '}{problem.message}")
    if tz is None and any(each["trigger"].get("timezone", "UTC") == "UTC" for each in parsed.jobs):
        note("note: times are read in UTC; name the host's zone with --tz if it has another")
    left_out = any(problem.fatal for problem in parsed.problems)
    gone = False
    if check:
        if as_json:
            show_json(parsed.jobs)
        else:
            rows = [(each["name"], each["description"], each["payload"]["command"]) for each in parsed.jobs]
            show_table(("job", "description", "command"), rows, empty="no entries")
    else:
        body = {
            "source": source or _source_of(file),
            "jobs": parsed.jobs,
            "prune": prune,
            "partial": left_out,
            "dry_run": dry_run,
        }
        note(f"source: {body['source']}" + (" (dry run, nothing is changed)" if dry_run else ""))
        with Client(url) as client:
            _, answer = client.send("POST", "imports", body)
        _show_import(answer["items"], as_json)
        left_out = left_out or any(each["result"] == "refused" for each in answer["items"])
        gone = any(each["result"] == "gone" for each in answer["items"])
    if left_out or gone:
        raise typer.Exit(1 if left_out else GONE)


def _source_of(file: str) -> str:
    return f"{socket.gethostname()}:{getpass.getuser() if file == '-' else Path(file).resolve()}"[:200]


def _show_import(items: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    if as_json:
        show_json(items)
    else:
        rows = [(each["name"], each["result"], ", ".join(each["fields"]), each["trigger_description"]) for each in items]
        show_table(("job", "result", "changed", "due"), rows, empty="no entries")
    for each in items:
        if each["problem"]:
            hint = " (--prune deletes it)" if each["result"] == "gone" else ""
            note(f"{each['name']}: {each['problem']}{hint}")


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
    # What is not UTF-8 stays to be told from what is: a command with another character in it would be another command.
    try:
        if file == "-":
            return typer.get_binary_stream("stdin").read().decode("utf-8", "surrogateescape")
        return Path(file).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise InvalidInput.at("", f"cannot read {file}: {error.strerror or error}") from error
