"""What commands print: JSON and tables on stdout, nothing else; remarks on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def show_json(value: Any) -> None:
    """Print `value` as JSON, indented."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str = "nothing there") -> None:
    """Print rows under column titles.

    Args:
        columns: the titles.
        rows: cells, as many a row as there are titles; None is shown as nothing.
        empty: said on stderr when there is no row.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in columns:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable("" if cell is None else str(cell)), style="") for cell in row))
    if not table.rows:
        note(empty)
        return
    # The reader of a pipe wants whole lines.
    Console(width=None if sys.stdout.isatty() else 1_000).print(table)


def note(message: str) -> None:
    """Say something on stderr."""
    typer.echo(printable(message), err=True)


def when(value: object) -> str:
    """An instant of the API as people read it, in UTC: `2026-03-29 01:00:00Z`; empty for None."""
    if not isinstance(value, str):
        return ""
    return datetime.fromisoformat(value).strftime("%Y-%m-%d %H:%M:%SZ")


def seconds(value: object) -> str:
    """A duration in seconds as people read it: `0.041 s`, `3 min 20 s`, `2 h 5 min`; empty for None."""
    if not isinstance(value, int | float):
        return ""
    if value < 60:
        return f"{value:.3f} s" if value < 10 else f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def printable(text: str) -> str:
    """`text` without anything that could steer the terminal it is printed on."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)
