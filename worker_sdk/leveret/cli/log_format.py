"""Logs of server processes: on stderr, for people or as one JSON object a line."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from leveret.cli.output import printable

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
# They tell every connection and every request; what matters of it, Leveret's own loggers tell.
_QUIET = ("aio_pika", "aiormq", "apscheduler", "asyncio", "httpcore", "httpx", "matplotlib", "uvicorn", "watchfiles")
_COLORS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31;1m", "DEBUG": "\x1b[2m"}


def configure(level: str, log_format: str) -> None:
    """Send every logger's records to stderr.

    Args:
        level: `debug`, `info`, `warning` or `error`; records below it are dropped.
        log_format: `console` or `json`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else ConsoleFormatter(colors=sys.stderr.isatty()))
    root = logging.getLogger()
    for old in [each for each in root.handlers if getattr(each, "leveret", False)]:
        root.removeHandler(old)
    handler.leveret = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


class ConsoleFormatter(logging.Formatter):
    """`15:06:18.193 INFO leveret_dispatcher.leadership.candidate: took the term  epoch=4`, the time in UTC.

    Args:
        colors: whether to colour what is not ordinary.
    """

    def __init__(self, *, colors: bool) -> None:
        super().__init__()
        self._colors = colors

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback below it."""
        at = datetime.fromtimestamp(record.created, UTC)
        fields = "".join(f"  {name}={value}" for name, value in _extras(record).items())
        line = f"{at:%H:%M:%S}.{at.microsecond // 1000:03} {record.levelname} {record.name}: {record.getMessage()}{fields}"
        trace = _traceback(self, record)
        text = printable(f"{line}\n{trace}" if trace else line)
        color = _COLORS.get(record.levelname) if self._colors else None
        return f"{color}{text}\x1b[0m" if color else text


class JsonFormatter(logging.Formatter):
    """`{"at": …, "level": …, "logger": …, "message": …}` with the record's own fields and `traceback` besides."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        entry: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {name: value for name, value in _extras(record).items() if name not in entry}
        if trace := _traceback(self, record):
            entry["traceback"] = trace
        return json.dumps(entry, default=str, ensure_ascii=False)


def _extras(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    if record.exc_info and record.exc_info[0] is not None:
        return formatter.formatException(record.exc_info)
    return record.exc_text or ""
