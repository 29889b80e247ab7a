"""The command `leveret`: `console` puts its commands together; parts of it can be imported without the rest."""

from __future__ import annotations


def main() -> None:
    """Run the command line; the entry point of the console script."""
    from leveret.cli.console import main as run

    run()
