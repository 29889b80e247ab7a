"""How a worker behaves; checked once, when it is made."""

from __future__ import annotations

import math
import re
import socket
from dataclasses import dataclass, field, fields
from pathlib import Path

from leveret.errors import ConfigurationError
from leveret_core.messages.fields import MAX_NAME, one_line

REDACT = r"passw|secret|token|api[_-]?key|authorization|credential|cookie"
"""Keys of log fields whose values are left out unless told otherwise."""


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """Everything a worker can be told. Times are seconds.

    Args:
        name: shown to people. Default: the host's name.
        concurrency: runs at the same time in all, at most. Default: the sum of what the handlers allow.
        grace: how long a drain waits for what runs before it interrupts and hands it back. Default 30.
        stop_grace: how long an interrupted handler may clean up before its slot counts as stuck. Default 5.
        early_ack: age of a run at which its dispatch message is acknowledged, so that no time limit of the broker meets a long
            run. Default 60.
        ask_timeout: how long the claim desk may take to answer before the worker asks again. Default 5.
        send_timeout: how long the broker may take to confirm events before they are sent again. Default 10.
        lease_margin: how long before its end the lease is no longer trusted; a tenth of the lease where that is less.
            Default 3.
        log_level: records below it are not kept with the attempt: `debug`, `info`, `warning` or `error`. Default `info`.
        log_limit: log records kept of one attempt, at most: the first half and the latest. Default 2,000.
        redact: regular expression; a log field is kept as `[redacted]` if it is found in its key, at any depth and in any case.
            It replaces the default, `REDACT`; empty to redact nothing.
        capture_print: whether lines that handlers print are kept with the attempt as log records, at level `info`. Default: no.
        result_limit: bytes of JSON in a result, at most. Default 256 KiB.
        buffered_events: log and progress events held in memory while the broker is away, at most. Default 10,000.
        buffered_bytes: bytes that those may take, about; and that results may take before no more is claimed. Default 16 MiB.
        spool_dir: folder where events wait on disk while the broker is away, and where a worker that starts finds what one
            that died left; one folder for each broker. Default: none, they wait in memory alone.
        spool_size: bytes on disk, at most; 0 for none. Default 256 MiB.

    Raises:
        ConfigurationError: a value is out of range.
    """

    name: str = field(default_factory=socket.gethostname)
    concurrency: int | None = None
    grace: float = 30.0
    stop_grace: float = 5.0
    early_ack: float = 60.0
    ask_timeout: float = 5.0
    send_timeout: float = 10.0
    lease_margin: float = 3.0
    log_level: str = "info"
    log_limit: int = 2_000
    redact: str = REDACT
    capture_print: bool = False
    result_limit: int = 256 * 1024
    buffered_events: int = 10_000
    buffered_bytes: int = 16 * 1024 * 1024
    spool_dir: Path | None = None
    spool_size: int = 256 * 1024 * 1024

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, (int, float)) and not (math.isfinite(value) and value >= 0):
                raise ConfigurationError(f"{each.name} must be a number from 0, not {value}")
        if not 0 < len(self.name) <= MAX_NAME or one_line(self.name) != self.name:
            raise ConfigurationError(f"name must have 1 to {MAX_NAME} characters and no line breaks, not {self.name[:300]!r}")
        if self.concurrency is not None and self.concurrency < 1:
            raise ConfigurationError(f"concurrency must be at least 1, not {self.concurrency}")
        if self.log_level not in ("debug", "info", "warning", "error"):
            raise ConfigurationError(f"log level must be debug, info, warning or error, not {self.log_level!r}")
        try:
            re.compile(self.redact)
        except re.error as error:
            raise ConfigurationError(f"redact must be a regular expression, not {self.redact!r}: {error}") from error
