"""The command `leveret`. Importing it loads typer and nothing heavier."""

from __future__ import annotations

import sys

import typer

from leveret.cli.commands import (
    api,
    backfills,
    bench,
    dead_events,
    dead_letters,
    dev,
    doctor,
    jobs,
    limits,
    migrate,
    occurrences,
    schedule,
    version,
    worker,
    workers,
)
from leveret.cli.errors import explain
from leveret.cli.output import printable

app = typer.Typer(
    name="leveret",
    help="Leveret, a distributed job scheduler.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("dev")(dev.dev)
app.command("api")(api.api)
app.command("dispatcher")(api.dispatcher)
app.command("worker")(worker.worker)
app.command("all")(api.all_)
app.command("migrate")(migrate.migrate)
app.command("doctor")(doctor.doctor)
app.add_typer(jobs.app, name="jobs")
app.add_typer(occurrences.app, name="occurrences")
app.add_typer(backfills.app, name="backfills")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(dead_events.app, name="dead-events")
app.add_typer(workers.app, name="workers")
app.add_typer(limits.app, name="limits")
app.add_typer(schedule.app, name="schedule")
app.command("bench")(bench.bench)
app.command("version")(version.show_version)


def main() -> None:
    """Run the command line; an error that the user can mend is one message on stderr, without a traceback."""
    try:
        app(prog_name="leveret")
    except Exception as error:
        explained = explain(error)
        if explained is None:
            raise
        message, code = explained
        typer.echo(f"leveret: {printable(message)}", err=True)
        sys.exit(code)
