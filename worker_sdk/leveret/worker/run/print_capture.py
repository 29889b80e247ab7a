"""Makes the lines that a handler prints into log records of its attempt."""

from __future__ import annotations

import sys
from typing import Any, TextIO, cast

from leveret import context
from leveret.worker.run import structlog_capture

_ours: Printed | None = None
_users = 0


class Printed:
    """Stands in for `sys.stdout`: all goes on to the stream behind it, and what a handler writes to its attempt as well."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write `text`, and keep it for the attempt that runs here, if one does."""
        written = self._stream.write(text)
        running = context.running.get(None)
        writer = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
        if running is not None and not _is_a_log_record(writer.f_globals.get("__name__")):
            running._reporter.printed(text)  # pyright: ignore[reportPrivateUsage]
        return written

    def writelines(self, lines: list[str]) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _is_a_log_record(writer: object) -> bool:
    """Whether the module `writer` writes what is kept already as a record with its fields, the secret ones redacted."""
    return writer == "logging" or (writer == "structlog._output" and structlog_capture.tapped())


def install() -> None:
    """Begin, for all attempts of this process; call `remove` as often as this."""
    global _ours, _users
    _users += 1
    if _ours is None:
        _ours = Printed(sys.stdout)
        sys.stdout = cast("TextIO", _ours)


def remove() -> None:
    """End it; another library's replacement that came later stays."""
    global _ours, _users
    _users -= 1
    if _users == 0 and _ours is not None:
        if sys.stdout is cast("TextIO", _ours):
            sys.stdout = _ours._stream  # pyright: ignore[reportPrivateUsage]
        _ours = None
