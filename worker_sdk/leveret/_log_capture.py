"""Ships the log records of the handler that writes them."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Mapping, Sequence, Set
from datetime import UTC, datetime
from typing import Any

import msgspec

from leveret import context
from leveret._reporter import Level
from leveret._text import clean
from leveret.config import REDACT

FIELD_LIMIT = 2_000
"""Characters of one field's value."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_OWN = frozenset({"job", "occurrence", "attempt"})
"""Fields that `JobContext.log` adds for other handlers of the record; the attempt knows them anyway."""
_REDACTED = "[redacted]"
_NOTHING = r"(?!)"


class LogCapture(logging.Handler):
    """Hands the records written in an attempt, by whatever logger, thread or task, to the attempt's reporter.

    Args:
        redact: regular expression; fields in whose key it is found, at any depth, lose their value. Empty: none do.
    """

    def __init__(self, redact: str = REDACT) -> None:
        super().__init__()
        self._secret = re.compile(redact or _NOTHING, re.IGNORECASE)

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
                _level(record.levelno), message, self._fields(record), datetime.fromtimestamp(record.created, UTC)
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

    def _fields(self, record: logging.LogRecord) -> dict[str, Any] | None:
        given = vars(record).keys() - _STANDARD
        if record.name == context.JOB_LOGGER:
            given -= _OWN
        if not given:
            return None
        return {
            clean(str(key), 100): _REDACTED if self._secret.search(key) else self._plain(record.__dict__[key])
            for key in sorted(given)
        }

    def _plain(self, value: object) -> Any:
        """`value` as it can stand in JSON and be stored, without secrets; as text where it cannot."""
        if value is None or isinstance(value, (bool, float)):
            return value
        if isinstance(value, str):
            return clean(value, FIELD_LIMIT)
        try:
            plain = self._redacted(msgspec.json.decode(msgspec.json.encode(value, enc_hook=str)))
            text = msgspec.json.encode(plain).decode()
        except Exception:
            return _text_of(value)
        return plain if len(text) <= FIELD_LIMIT else clean(text, FIELD_LIMIT)

    def _redacted(self, value: Any) -> Any:
        if isinstance(value, dict):
            found: dict[str, Any] = value
            return {key: _REDACTED if self._secret.search(key) else self._redacted(held) for key, held in found.items()}
        if isinstance(value, list):
            held_by: list[Any] = value
            return [self._redacted(held) for held in held_by]
        return value


def _level(number: int) -> Level:
    if number >= logging.CRITICAL:
        return "critical"
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug"


def _text_of(value: object) -> str:
    if isinstance(value, (Mapping, Sequence, Set)):
        # What it holds cannot be told apart any more, and some of it may be secret.
        return f"[a {type(value).__name__} that JSON cannot hold]"
    return clean(repr(value), FIELD_LIMIT)
