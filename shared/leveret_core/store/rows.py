"""Rows as the rest of the code sees them: frozen, with a type for every column."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import asyncpg
import msgspec

R = TypeVar("R")


class Row(msgspec.Struct, frozen=True, gc=False):
    """What a statement gives: a field for each column, of the same name."""

    def values(self) -> dict[str, Any]:
        """The fields by name."""
        return msgspec.structs.asdict(self)


def typed(kind: Callable[..., R], rows: Iterable[asyncpg.Record]) -> list[R]:
    """Rows of Postgres as `kind`."""
    return [kind(**row) for row in rows]


def one(kind: Callable[..., R], row: asyncpg.Record | None) -> R | None:
    """A row of Postgres as `kind`; None if there is none."""
    return None if row is None else kind(**row)


def count_of(tag: str) -> int:
    """How many rows a statement changed, by Postgres's command tag, such as `DELETE 3`."""
    return int(tag.rpartition(" ")[2])
