"""`leveret migrate`: bring the database up to date."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from leveret.cli.output import AsJson, show_json


def migrate(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit with 1 if migrations are missing.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for Postgres.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Bring the database's tables up to date. Safe when many processes do it at once."""
    from leveret.cli.log_format import configure
    from leveret.cli.processes.database import prepare
    from leveret_core.settings import load_settings
    from leveret_core.store.migrate import pending_migrations

    settings = load_settings()
    configure(settings.log_level, settings.log_format)
    if check:
        missing = asyncio.run(pending_migrations(settings.database_url))
        if as_json:
            show_json({"pending": missing})
        else:
            typer.echo("\n".join(f"missing: {name}" for name in missing) or "up to date")
        raise typer.Exit(1 if missing else 0)
    applied = asyncio.run(prepare(settings.database_url, wait=wait, apply=True))
    if as_json:
        show_json({"applied": applied})
    else:
        typer.echo("\n".join(f"applied: {name}" for name in applied) or "up to date")
