"""Keeps aiormq's log records about our connections out of users' logs.

It writes a traceback for every lost connection, and an error for every try while the broker is away. What there is to know our
own records tell once. Records about connections that are not ours, such as those of a user's handler, pass; and with the
logger `leveret.broker` at DEBUG all do.
"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable
from typing import TypeVar

Argument = TypeVar("Argument")

_ours: contextvars.ContextVar[bool] = contextvars.ContextVar("leveret_broker_connection", default=False)


def hide_in_this_task() -> None:
    """Keep records out that come from this task, or from tasks that it starts, as aiormq does for its connections."""
    _ours.set(True)


def outside(callback: Callable[[Argument], None]) -> Callable[[Argument], None]:
    """`callback`, run in a context in which nothing is kept out: what it starts is not ours."""
    context = contextvars.copy_context()
    context.run(_ours.set, False)
    return lambda argument: context.run(callback, argument)


def _passes(record: logging.LogRecord) -> bool:
    return not _ours.get() or logging.getLogger("leveret.broker").isEnabledFor(logging.DEBUG)


for _name in ("aiormq.connection", "aiormq.channel"):
    logging.getLogger(_name).addFilter(_passes)
