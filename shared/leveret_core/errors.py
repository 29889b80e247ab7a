"""Every error Leveret raises on purpose.

LeveretError
├── InvalidInput            a value the caller gave is wrong; `.problems` names each field
├── NotFound                no such job, occurrence or worker
├── Conflict                the thing is not in a state that allows this
├── BrokerError
│   └── BrokerUnavailable   RabbitMQ did not answer in time; nothing is known to have happened
├── TermOver                this process is no longer the dispatcher; its transaction was rolled back
└── ConfigurationError      a setting is wrong or a service is unusable; the message says what to do
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class LeveretError(Exception):
    """Root of all errors raised by Leveret."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with an input: `field` is a dotted path (`trigger.expression`), `message` says what to do."""

    field: str
    message: str


class InvalidInput(LeveretError):
    """A value the caller gave is wrong.

    Args:
        problems: what is wrong, one entry for each field at fault; at least one.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{p.field}: {p.message}" if p.field else p.message for p in self.problems))

    @classmethod
    def at(cls, field: str, message: str) -> InvalidInput:
        """The error for a single `field`."""
        return cls([Problem(field, message)])


class NotFound(LeveretError):
    """There is no such job, occurrence or worker."""


class Conflict(LeveretError):
    """The thing is there, but its state does not allow what was asked."""


class BrokerError(LeveretError):
    """RabbitMQ refused or failed."""


class BrokerUnavailable(BrokerError):
    """RabbitMQ did not answer in time. Whether the request took effect is unknown."""


class BrokerRefused(BrokerUnavailable):
    """RabbitMQ answered, but refuses the user, the password or the virtual host: trying again soon is no use."""


class TermOver(LeveretError):
    """The epoch of this process is no longer current: another dispatcher holds the term."""


class ConfigurationError(LeveretError):
    """A setting is wrong, or a service cannot be used as it is; the message says what to do."""
