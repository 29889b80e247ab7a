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
async def run(
    ctx: JobContext,
    seconds: float = 0.0,
    fail_first: bool = False,
    fail: bool = False,
    exit_first: int = 0,
    block: float = 0.0,
    who: str = "",
) -> dict[str, object]:
    """Sleep, log, report progress; and if asked to, fail, end the whole process, or block the event loop for some seconds."""
    _witness(ctx, "start")
    ctx.log.info("attempt %d begins", ctx.attempt)
    ctx.progress(0.5, "halfway")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        _witness(ctx, "stopped")
        raise
    if block:
        time.sleep(block)  # noqa: ASYNC251  (a handler that does what it should not)
    if exit_first and ctx.attempt == 1:
        os._exit(exit_first)
    if fail or (fail_first and ctx.attempt == 1):
        _witness(ctx, "failed")
        raise RuntimeError("the first attempt fails" if fail_first else "every attempt fails")
    _witness(ctx, "end")
    return {"slept": seconds}


@job("thread.run", concurrency=10)
def in_a_thread(ctx: JobContext, seconds: float = 0.0) -> None:
    """Sleep in a thread, which nobody can interrupt."""
    _witness(ctx, "start")
    time.sleep(seconds)
    _witness(ctx, "end")


@job("chaos.overlap.*", concurrency=50)
async def overlapping(ctx: JobContext) -> None:
    """Bound to the same types as `run`: one of the two gets each occurrence."""
    _witness(ctx, "start")
    _witness(ctx, "end")
