"""Reads the events of structlog, where a user's program has it. Nothing here imports it."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, cast

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "err": logging.ERROR,
    "error": logging.ERROR,
    "exception": logging.ERROR,
    "critical": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}
_NOT_FIELDS = frozenset(
    {"event", "level", "level_number", "timestamp", "logger", "exc_info", "exception", "stack_info", "stack"}
    | {"job", "occurrence", "attempt", "_record", "_logger", "_name", "_from_structlog"}
)
"""What a log record says elsewhere, or the attempt knows anyway."""

_taps = 0

Take = Callable[[int, Mapping[str, Any]], None]


def tapped() -> bool:
    """Whether what structlog writes is passed to a capture first."""
    return _taps > 0


def tap(take: Take) -> Callable[[], None]:
    """Have structlog, if it is imported and writes by itself, show its events to `take` before it renders them.

    Where it hands them to `logging` nothing is done: they come as log records.

    Returns:
        ends it.
    """
    global _taps
    structlog: Any = sys.modules.get("structlog")
    if structlog is None:
        return lambda: None
    config = structlog.get_config()
    processors: list[Any] = config["processors"]
    if isinstance(config["logger_factory"], structlog.stdlib.LoggerFactory) or not isinstance(cast("object", processors), list):
        return lambda: None

    def show(_: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        take(_LEVELS.get(method, logging.INFO), event)
        return event

    # In place: loggers that are cached hold this very list. The last one renders.
    processors.insert(max(0, len(processors) - 1), show)
    _taps += 1

    def end() -> None:
        global _taps
        _taps -= 1
        if show in processors:
            processors.remove(show)

    return end


def told(event: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The message of an event, with the traceback it holds, and its fields."""
    message = str(event.get("event", ""))
    trace = event.get("exception") or _trace(event.get("exc_info"))
    return f"{message}\n{trace}" if trace else message, {key: event[key] for key in event if key not in _NOT_FIELDS}


def _trace(given: Any) -> str:
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    return "".join(traceback.format_exception(error)).rstrip() if isinstance(error, BaseException) else ""
