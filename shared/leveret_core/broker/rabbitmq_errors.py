"""What RabbitMQ's refusals mean, in words that say what to check. The password is in none of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Generator
from contextlib import contextmanager

from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelAccessRefused,
    ChannelLockedResource,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    ConnectionNotAllowed,
    InvalidFrameError,
    ProbableAuthenticationError,
)
from yarl import URL

REFUSALS = (ChannelAccessRefused, ChannelNotFoundEntity, ChannelLockedResource, ChannelPreconditionFailed)
"""Answers to a declaration, a binding or a consumer that close its channel, and will be the same a moment later."""

CONNECTION_LOST = (AMQPError, OSError, RuntimeError)
"""What a call on a channel raises when its connection goes: `ChannelInvalidStateError` is a RuntimeError."""

_INEQUIVALENT = re.compile(r"inequivalent arg '(?P<argument>[^']+)' for (?P<kind>\w+) '(?P<name>[^']+)'")
_TOLD_AT_OPENING = "got <Connection.Close"
"""How aiormq reports that the broker closed the connection instead of opening the virtual host."""


def is_refused_login(error: BaseException) -> bool:
    """Whether the broker answered, but refuses user, password or virtual host: trying again soon is no use."""
    if isinstance(error, InvalidFrameError):
        return _TOLD_AT_OPENING in str(error)
    return isinstance(error, ProbableAuthenticationError | AuthenticationError | ConnectionNotAllowed)


def explain_connecting(error: BaseException, url: URL) -> str:
    """Why no connection to `url` came about, and what to check."""
    where = f"RabbitMQ at {url.host}:{url.port or (5671 if url.scheme == 'amqps' else 5672)}"
    vhost = url.path.removeprefix("/") or "/"
    if isinstance(error, ProbableAuthenticationError | AuthenticationError):
        return (
            f"{where} refused the user {url.user!r}: check user and password in the broker's URL"
            " (the user guest may only connect from the broker's own host)"
        )
    if is_refused_login(error):
        return (
            f"{where} refused the virtual host {vhost!r} to the user {url.user!r}: check that it exists and that the user has"
            " permissions on it; a limit on connections would refuse the same way"
        )
    if isinstance(error, TimeoutError):
        return f"{where} did not answer in time: check host, port and firewall, and whether the broker is overloaded"
    return f"{where} cannot be reached: {error}; check host and port in the broker's URL, and that the broker runs"


def explain_refusal(error: BaseException, what: str) -> str:
    """Why the broker refused `what` (`queue leveret.events`), and what to check."""
    text = str(error)
    if found := _INEQUIVALENT.search(text):
        return (
            f"{found['kind']} {found['name']} exists with another {found['argument']}: delete it, or migrate its messages,"
            f" so that it can be declared anew ({text})"
        )
    if isinstance(error, ChannelAccessRefused):
        return f"{what}: the broker's user lacks a permission ({text})"
    if isinstance(error, ChannelNotFoundEntity):
        return f"{what}: not there yet; has a Leveret server ever been connected to this virtual host? ({text})"
    return f"{what}: refused ({text})"


@contextmanager
def closing_is_an_error() -> Generator[None, None, None]:
    """Raise ConnectionResetError where aiormq raises CancelledError although the task was not cancelled.

    It ends everything that waits on a connection with the exception that ended its reader, and that is a CancelledError when
    the broker fell silent. Passed on, it would silently end the task that happened to wait.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionResetError("the connection to RabbitMQ was closed") from error
