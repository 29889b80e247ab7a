"""Errors a user of the SDK can meet.

LeveretError
├── InvalidInput            a pattern or a handler's definition is wrong; `.problems` names the field
├── NotFound                the client asked for a job or an occurrence that is not there
├── Conflict                the client asked for what the thing's state does not allow
├── ServerUnreachable       no server answered the client; whether the request took effect is unknown
├── Refused                 the server refused the client's request for another reason; `.status` is the HTTP status
├── ConfigurationError      a setting is wrong; the message says what to do
├── BrokerError
│   └── BrokerUnavailable   RabbitMQ did not answer in time
├── LifespanError           a lifespan of the worker did not start; the message names it
├── WrongPayload            the payload does not fit the handler's parameters; the attempt fails and is not retried
└── NoJobRunning            `current()` was called outside of a handler
"""

from __future__ import annotations

from leveret_core.errors import (
    BrokerError,
    BrokerUnavailable,
    ConfigurationError,
    Conflict,
    InvalidInput,
    LeveretError,
    NotFound,
    Problem,
)

__all__ = [
    "BrokerError",
    "BrokerUnavailable",
    "ConfigurationError",
    "Conflict",
    "InvalidInput",
    "LeveretError",
    "LifespanError",
    "NoJobRunning",
    "NotFound",
    "Problem",
    "Refused",
    "ServerUnreachable",
    "WrongPayload",
]


class WrongPayload(LeveretError):
    """The payload does not fit the handler's parameters; the message names the field."""


class LifespanError(LeveretError):
    """A lifespan did not start; the message names it and what it raised."""


class NoJobRunning(LeveretError):
    """There is no job here: `current()` works in a handler and in what it calls, not elsewhere."""


class ServerUnreachable(LeveretError):
    """No Leveret server answers at the URL; the message says which, and how to name another."""


class Refused(LeveretError):
    """The server refused a request.

    Args:
        message: what it said, fields at fault included.
        status: the HTTP status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status
