"""Ships the log records of the handler that writes them."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import UTC, datetime
from typing import Any

import msgspec

from leveret import context
from leveret.config import REDACT
from leveret.context import Level, Reports
from leveret.worker.report.text import clean
from leveret.worker.run import print_capture
from leveret.worker.run.structlog_capture import tap, told

FIELD_LIMIT = 2_000
"""Characters of one field's value."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_OWN = frozenset({"job", "occurrence", "attempt"})
"""Fields that `JobContext.log` adds for other handlers of the record; the attempt knows them anyway."""
_REDACTED = "[redacted]"
_NOTHING = r"(?!)"

_root_level: int | None = None
"""The root logger's level before a capture lowered it."""


class LogCapture(logging.Handler):
    """Hands the records written in an attempt, by whatever logger, thread or task, to the attempt's reporter.

    Records of structlog are among them: those that it hands to `logging`, and those that it prints by itself.

    Args:
        redact: regular expression; fields in whose key it is found, at any depth, lose their value. Empty: none do.
        printed: whether lines that handlers print are records, too, at level `info`.
    """

    def __init__(self, redact: str = REDACT, *, printed: bool = False) -> None:
        super().__init__()
        self._secret = re.compile(redact or _NOTHING, re.IGNORECASE)
        self._printed = printed
        self._untap: Callable[[], None] = _nothing

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record; one that was not written by a handler is ignored."""
        if _alone() and logging.lastResort is not None and record.levelno >= logging.lastResort.level:
            # The application has not set up logging: without this handler it would do so by itself.
            logging.lastResort.handle(record)
        if record.name.startswith("leveret.") and record.name != context.JOB_LOGGER:
            return
        running = self._running()
        if running is None:
            return
        try:
            message, fields = self._told(record)
            if record.exc_info and record.exc_info[0] is not None:
                message += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
            at = datetime.fromtimestamp(record.created, UTC)
            running.log(_level(record.levelno), message, self._cleaned(fields), at)
        except Exception:
            self.handleError(record)

    def install(self, level: str, *, lower: bool = False) -> None:
        """Begin to take records of `level` and above from all loggers that let them through.

        Where the application has not set up logging, or with `lower`, the root logger does so from now on.
        """
        global _root_level
        self.setLevel(level.upper())
        root, job_logger = logging.getLogger(), logging.getLogger(context.JOB_LOGGER)
        if (lower or _alone()) and root.level > self.level:
            _root_level = root.level
            root.setLevel(self.level)
        root.addHandler(self)
        if job_logger.level == logging.NOTSET:
            job_logger.setLevel(self.level)
        job_logger.disabled = False  # as `logging.config` leaves the loggers that it does not know
        self._untap = tap(self._take_structlog)
        if self._printed:
            print_capture.install()

    def remove(self) -> None:
        """Take no more."""
        global _root_level
        root = logging.getLogger()
        root.removeHandler(self)
        if _root_level is not None and not any(isinstance(handler, LogCapture) for handler in root.handlers):
            root.setLevel(_root_level)
            _root_level = None
        self._untap()
        if self._printed:
            print_capture.remove()

    def _running(self) -> Reports | None:
        running = context.running.get(None)
        if running is None:
            return None
        reporter = running._reporter  # pyright: ignore[reportPrivateUsage]
        # Of several workers in a process each takes the records of its own handlers.
        return reporter if reporter.capture in (None, self) else None

    def _take_structlog(self, level: int, event: Mapping[str, Any]) -> None:
        running = self._running()
        if running is None or level < self.level:
            return
        message, fields = told(event)
        running.log(_level(level), message, self._cleaned(fields))

    def _told(self, record: logging.LogRecord) -> tuple[str, Mapping[str, Any]]:
        given = vars(record).keys() - _STANDARD
        if "_logger" in given and isinstance(record.msg, Mapping):
            return told(record.msg)
        if record.name == context.JOB_LOGGER:
            given -= _OWN
        return record.getMessage(), {name: record.__dict__[name] for name in given}

    def _cleaned(self, given: Mapping[str, Any]) -> dict[str, Any] | None:
        if not given:
            return None
        return {
            clean(str(key), 100): _REDACTED if self._secret.search(str(key)) else self._plain(given[key])
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
            return {key: _REDACTED if self._secret.search(key) else self._redacted(inner) for key, inner in found.items()}
        if isinstance(value, list):
            items: list[Any] = value
            return [self._redacted(item) for item in items]
        return value


def _nothing() -> None: ...


def _alone() -> bool:
    """Whether only captures handle records: the application has not set up logging."""
    return all(isinstance(handler, LogCapture) for handler in logging.root.handlers)


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
