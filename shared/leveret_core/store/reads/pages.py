"""Pages of rows: bounded in rows, and in how far a statement looks for what a filter lets pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

import asyncpg

from leveret_core.store.database import Database
from leveret_core.store.rows import typed

MAX_LIMIT = 500
"""Rows in a page, at most."""
SCAN = 20_000
"""Rows one statement looks at, at most, for those that a filter lets pass."""
SCAN_TIME = 0.5
"""Seconds after which a page ends with what was found so far, and a cursor from which to look on."""

EndKey = tuple[datetime, int]
"""Where an occurrence stands among those that ended: when it did, and its id."""
Key = TypeVar("Key", int, datetime, EndKey)
RowT = TypeVar("RowT")


@dataclass(frozen=True)
class Page(Generic[RowT, Key]):
    """Rows, newest first, and the key below which the next page begins; None at the end.

    A page can be short, even empty, without being the last: the filter let little pass of what was looked at.
    `looked_at` tells then how many rows that were.
    """

    rows: list[RowT]
    next: Key | None
    looked_at: int | None = None


async def read_page(
    db: Database,
    kind: Callable[..., RowT],
    name: str,
    key: str | tuple[str, str],
    below: Key | None,
    limit: int,
    scan: int,
    filters: tuple[object, ...],
    *,
    scope: tuple[object, ...] = (),
    horizon_scope: tuple[object, ...] = (),
) -> Page[RowT, Key]:
    """A page of what the statement `name` finds, and its neighbour `…_horizon` says how far it looked.

    Args:
        kind: what the rows are.
        name: the statement.
        key: the column, or two, by which rows are in order.
        below: where to begin; None at the first row.
        limit: rows, at most.
        scan: rows one statement looks at, at most.
        filters: further arguments of the statement.
        scope: and those after them.
        horizon_scope: further arguments of its neighbour.
    """
    until = time.monotonic() + SCAN_TIME
    rows: list[asyncpg.Record] = []
    looked_at = 0
    while True:
        start: tuple[object, ...] = below if isinstance(below, tuple) else (below,) * (1 if isinstance(key, str) else len(key))
        found = await db.fetch(name, *start, limit + 1 - len(rows), scan, *filters, *scope)
        rows += found
        if len(rows) > limit:
            return Page(typed(kind, rows[:limit]), _key_of(rows[limit - 1], key))
        if found and found[0].get("found", 0) > len(found):
            return Page(typed(kind, rows), _key_of(rows[-1], key))
        if scan == limit + 1:
            return Page(typed(kind, rows), None)
        horizon = await db.fetchrow(f"{name}_horizon", *start, scan, *horizon_scope)
        if horizon is None or horizon["scanned"] < scan:
            return Page(typed(kind, rows), None)
        looked_at += scan
        below = _key_of(horizon, key)
        if time.monotonic() > until:
            return Page(typed(kind, rows), below, looked_at)


def _key_of(row: asyncpg.Record, key: str | tuple[str, str]) -> Any:
    return row[key] if isinstance(key, str) else tuple(row[part] for part in key)


def pattern_of(search: str | None) -> str | None:
    """What `ilike` takes to find a part of a text; None for nothing to look for."""
    if not search:
        return None
    escaped = search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
