"""Ships the log records of the handler that writes them."""

from __future__ import annotations

import logging
import re
import traceback
from datetime import UTC, datetime
from typing import Any

import msgspec

from leveret import context
from leveret._reporter import Level
from leveret._text import clean

FIELD_LIMIT = 2_000
"""Characters of one field's value."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_OWN = frozenset({"job", "occurrence", "attempt"})
"""Fields that `JobContext.log` adds for other handlers of the record; the attempt knows them anyway."""
_SECRET = re.compile(r"passw|secret|token|api_?key|authorization|credential|cookie", re.IGNORECASE)


class LogCapture(logging.Handler):
    """Hands the records written in an attempt, by whatever logger, thread or task, to the attempt's reporter."""

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record; one that was not written by a handler is ignored."""
        running = context.running.get(None)
        if running is None or (record.name.startswith("leveret.") and record.name != context.JOB_LOGGER):
            return
        try:
            message = record.getMessage()
            if record.exc_info and record.exc_info[0] is not None:
                message += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
            running._reporter.log(  # pyright: ignore[reportPrivateUsage]
                _level(record.levelno), message, _fields(record), datetime.fromtimestamp(record.created, UTC)
            )
        except Exception:
            self.handleError(record)

    def install(self, level: str) -> None:
        """Begin to take records of `level` and above from all loggers that let them through."""
        self.setLevel(level.upper())
        logging.getLogger().addHandler(self)
        job_logger = logging.getLogger(context.JOB_LOGGER)
        if job_logger.level == logging.NOTSET:
            job_logger.setLevel(level.upper())

    def remove(self) -> None:
        """Take no more."""
        logging.getLogger().removeHandler(self)


def _level(number: int) -> Level:
    if number >= logging.CRITICAL:
        return "critical"
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug"


def _fields(record: logging.LogRecord) -> dict[str, Any] | None:
    given = vars(record).keys() - _STANDARD
    if record.name == context.JOB_LOGGER:
        given -= _OWN
    if not given:
        return None
    return {
        clean(str(key), 100): "[redacted]" if _SECRET.search(key) else _plain(record.__dict__[key]) for key in sorted(given)
    }


def _plain(value: object) -> Any:
    """`value` as it can stand in JSON and be stored; as text where it cannot."""
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, str):
        return clean(value, FIELD_LIMIT)
    try:
        text = msgspec.json.encode(value, enc_hook=str).decode()
        if len(text) <= FIELD_LIMIT:
            return msgspec.json.decode(text)
    except Exception:
        return clean(repr(value), FIELD_LIMIT)
    return clean(text, FIELD_LIMIT)
