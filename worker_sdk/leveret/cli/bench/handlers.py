"""The handlers of `leveret bench`: one that does nothing, and one that tells when it started."""

from __future__ import annotations

import time

from leveret import job


@job("bench.noop", concurrency=500)
async def noop() -> None:
    """Nothing: what is measured is the way to it and back."""


@job("bench.latency", concurrency=500)
async def latency() -> float:
    """Seconds since the epoch at the handler's first line."""
    return time.time()
