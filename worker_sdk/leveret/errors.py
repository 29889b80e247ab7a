"""Errors a user of the SDK can meet.

LeveretError
├── InvalidInput            a pattern or a handler's definition is wrong; `.problems` names the field
├── ConfigurationError      a setting is wrong; the message says what to do
├── BrokerError
│   └── BrokerUnavailable   RabbitMQ did not answer in time
├── WrongPayload            the payload does not fit the handler's parameters; the attempt fails and is not retried
└── NoJobRunning            `current()` was called outside of a handler
"""

from __future__ import annotations

from leveret_core.errors import (
    BrokerError,
    BrokerUnavailable,
    ConfigurationError,
    InvalidInput,
    LeveretError,
    Problem,
)

__all__ = [
    "BrokerError",
    "BrokerUnavailable",
    "ConfigurationError",
    "InvalidInput",
    "LeveretError",
    "NoJobRunning",
    "Problem",
    "WrongPayload",
]


class WrongPayload(LeveretError):
    """The payload does not fit the handler's parameters; the message names the field."""


class NoJobRunning(LeveretError):
    """There is no job here: `current()` works in a handler and in what it calls, not elsewhere."""
