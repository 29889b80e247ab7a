"""Leveret: write a function, give it a pattern of job types, and run `leveret worker app.jobs`.

from leveret import job

@job("sendemail.*", concurrency=20, timeout=30)
async def send_email(to: str, subject: str) -> None: ...
"""

from __future__ import annotations

from leveret.context import JobContext, current
from leveret.errors import (
    BrokerError,
    BrokerUnavailable,
    ConfigurationError,
    InvalidInput,
    LeveretError,
    LifespanError,
    NoJobRunning,
    WrongPayload,
)
from leveret.outcomes import Cancel, Fail, Retry, Skip, Snooze
from leveret.registry import Handler, Registry, job, lifespan

__all__ = [
    "BrokerError",
    "BrokerUnavailable",
    "Cancel",
    "ConfigurationError",
    "Fail",
    "Handler",
    "InvalidInput",
    "JobContext",
    "LeveretError",
    "LifespanError",
    "NoJobRunning",
    "Registry",
    "Retry",
    "Skip",
    "Snooze",
    "WrongPayload",
    "current",
    "job",
    "lifespan",
]
