"""Whose fault it is when a statement fails: the one place that decides between "refuse this item" and "try again".

An item is at fault only if Postgres, or asyncpg when it encodes the arguments, says that its *data* is. Everything else, of
whatever class, may be over in a moment: a lost connection, a restart, a failover, a standby, a full disk, a driver confused by
a connection that broke halfway. It is to be tried again, on another connection. No list of "errors of a Postgres that is away"
is ever complete, so there is none.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import asyncpg

T = TypeVar("T")
R = TypeVar("R")

_DATA_CLASSES = ("21", "22", "23", "54")
"""SQLSTATE classes: cardinality, data (asyncpg's own refusals to encode an argument too), constraints, too large or complex."""
_DATA_STATES = frozenset({"42804", "42846", "P0001"})
"""Wrong type, no such cast, and what our own triggers raise."""
DATABASE_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""All that Postgres, its driver and the network raise, as far as it is known by its class."""
_CHANGED_MEANWHILE = (asyncpg.UniqueViolationError, asyncpg.ForeignKeyViolationError, asyncpg.RaiseError)
_CONTENTION = frozenset({"40001", "40P01", "55P03"})
"""Serialization failure, deadlock, lock timeout."""


def is_data_error(error: BaseException) -> bool:
    """Whether the data of the statement is at fault: the same statement with the same arguments fails again."""
    state = _state(error)
    return state.startswith(_DATA_CLASSES) or state in _DATA_STATES


def is_contention(error: BaseException) -> bool:
    """Whether the statement only met others at work: its transaction is over, its connection is as good as before."""
    return _state(error) in _CONTENTION


def met_another_change(error: BaseException) -> bool:
    """Whether the data was right when it was looked at, and something else was changed since: to be asked anew."""
    return isinstance(error, _CHANGED_MEANWHILE)


def is_unavailable(error: BaseException) -> bool:
    """Whether Postgres, the way to it, or the driver failed, and not the data: try again, on another connection."""
    if not isinstance(error, Exception) or is_data_error(error):
        return False
    return isinstance(error, DATABASE_ERRORS) or _passed_the_driver(error)


def _state(error: BaseException) -> str:
    return (error.sqlstate or "") if isinstance(error, asyncpg.PostgresError) else ""


def _passed_the_driver(error: BaseException) -> bool:
    """Whether asyncpg let something else than its own errors through, as it does when a connection breaks at a bad moment."""
    trace = error.__traceback__
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__", "")).startswith("asyncpg."):
            return True
        trace = trace.tb_next
    return False


async def apply_apart(
    items: Sequence[T], apply: Callable[[Sequence[T]], Awaitable[Sequence[R]]], refuse: Callable[[T, Exception], R]
) -> list[R]:
    """Do something with items together; those whose data Postgres does not take are found, and cost only themselves.

    Args:
        items: one or more.
        apply: does it in one transaction; gives a result for each, in order.
        refuse: the result of an item that cannot be taken, from the error.

    Raises:
        Exception: whatever `apply` raises that is not the fault of an item's data; some may have been applied by then.
    """
    try:
        return list(await apply(items))
    except Exception as error:
        if not is_data_error(error):
            raise
        if len(items) == 1:
            return [refuse(items[0], error)]
    middle = len(items) // 2
    return [*await apply_apart(items[:middle], apply, refuse), *await apply_apart(items[middle:], apply, refuse)]


def log_failure(log: logging.Logger, who: str, error: Exception, then: str = "trying again") -> None:
    """Log that something failed which is done again: a line when Postgres is away, the trace of anything else.

    Args:
        who: what failed, at the beginning of the line.
        then: what follows.
    """
    if is_unavailable(error):
        log.warning("%s: Postgres cannot be asked (%s: %s); %s", who, type(error).__name__, error, then)
    else:
        log.error("%s: failed; %s", who, then, exc_info=error)
