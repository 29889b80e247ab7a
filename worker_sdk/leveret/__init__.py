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
    NoJobRunning,
    WrongPayload,
)
from leveret.outcomes import Cancel, Fail, Retry
from leveret.registry import Handler, Registry, job

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
    "NoJobRunning",
    "Registry",
    "Retry",
    "WrongPayload",
    "current",
    "job",
]
