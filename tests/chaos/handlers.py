"""Handlers of the chaos tests. Each run is witnessed in a file of its own, which no server knows of."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

from leveret import JobContext, job


def _witness(ctx: JobContext, what: str) -> None:
    at = time.clock_gettime(time.CLOCK_BOOTTIME)
    line = {"what": what, "occurrence": ctx.occurrence, "attempt": ctx.attempt, "job": ctx.job, "pid": os.getpid(), "at": at}
    descriptor = os.open(Path(os.environ["WITNESS"]), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, json.dumps(line).encode() + b"\n")
    finally:
        os.close(descriptor)


@job("chaos.#", concurrency=50)
async def run(ctx: JobContext, seconds: float = 0.0, fail_first: bool = False) -> dict[str, object]:
    """Sleep, log, report progress; fail at the first attempt if asked to."""
    _witness(ctx, "start")
    ctx.log.info("attempt %d begins", ctx.attempt)
    ctx.progress(0.5, "halfway")
    await asyncio.sleep(seconds)
    if fail_first and ctx.attempt == 1:
        raise RuntimeError("the first attempt fails")
    _witness(ctx, "end")
    return {"slept": seconds}


@job("chaos.overlap.*", concurrency=50)
async def overlapping(ctx: JobContext) -> None:
    """Bound to the same types as `run`: one of the two gets each occurrence."""
    _witness(ctx, "start")
    _witness(ctx, "end")
