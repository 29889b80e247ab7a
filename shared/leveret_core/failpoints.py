"""Named steps at which a test ends, stops or slows down a process. Nothing happens at any of them unless a test asks for it.

`LEVERET_FAILPOINTS=after_publish=exit,renewing=stop@3` arms them, if `LEVERET_FAILPOINTS_ALLOWED=1` says that it is a test.
Each entry is `name=action`, with `@n` for the n-th time the step is reached instead of the first. Each acts once.

| action | what happens |
|---|---|
| `exit` | the process is gone at once, as after kill -9 |
| `stop` | SIGSTOP to itself, until another process sends SIGCONT |
| `sleep:SECONDS` | the thread sleeps, and with it the event loop |
| `raise` | `FailpointError` |
"""

from __future__ import annotations

import logging
import os
import signal
import time
from dataclasses import dataclass

from leveret_core.errors import ConfigurationError

log = logging.getLogger(__name__)

EXIT_CODE = 86
"""Of a process that a failpoint ended."""

NAMES = frozenset(
    {
        "before_create",
        "in_create_tx",
        "after_create_commit",
        "in_admit_tx",
        "after_admit_commit",
        "in_backfill_tx",
        "publish_write",
        "after_publish",
        "after_claim_commit",
        "before_ingest_commit",
        "after_ingest_commit",
        "renewing",
    }
)


class FailpointError(Exception):
    """A test wanted an error here."""


@dataclass
class _Armed:
    action: str
    seconds: float
    left: int


_armed: dict[str, _Armed] = {}


def reach(name: str) -> None:
    """This step is reached now: do what a test wants to happen here, which in all other processes is nothing."""
    if _armed and name in _armed:
        _act(name)


def arm(text: str) -> None:
    """Arm failpoints, in place of those armed before.

    Args:
        text: as in `LEVERET_FAILPOINTS`; empty for none.

    Raises:
        ConfigurationError: a name or action that does not exist.
    """
    armed: dict[str, _Armed] = {}
    for entry in filter(None, text.split(",")):
        name, _, what = entry.partition("=")
        what, _, turn = what.partition("@")
        action, _, seconds = what.partition(":")
        try:
            parsed = _Armed(action, float(seconds or 0), int(turn or 1))
        except ValueError:
            parsed = _Armed("", 0, 0)
        if name not in NAMES or parsed.action not in ("exit", "stop", "sleep", "raise") or parsed.left < 1:
            raise ConfigurationError(f"LEVERET_FAILPOINTS: {entry!r} is not a known name=action[:seconds][@turn]")
        armed[name] = parsed
    _armed.clear()
    _armed.update(armed)


def _act(name: str) -> None:
    point = _armed[name]
    point.left -= 1
    if point.left:
        return
    del _armed[name]
    log.warning("failpoint %s: %s", name, point.action)
    match point.action:
        case "exit":
            os._exit(EXIT_CODE)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "sleep":
            time.sleep(point.seconds)
        case _:
            raise FailpointError(name)


if _wanted := os.environ.get("LEVERET_FAILPOINTS", ""):
    if os.environ.get("LEVERET_FAILPOINTS_ALLOWED") != "1":
        raise ConfigurationError("LEVERET_FAILPOINTS is set, which is for tests only (LEVERET_FAILPOINTS_ALLOWED=1 says so)")
    arm(_wanted)
