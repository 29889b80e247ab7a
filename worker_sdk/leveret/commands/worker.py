"""`leveret worker app.jobs`: serves the handlers of modules until it is told to end."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Sequence

from leveret.commands._logging import configure
from leveret.commands._shutdown import run
from leveret.config import WorkerConfig
from leveret.errors import BrokerUnavailable, ConfigurationError
from leveret.registry import import_handlers
from leveret.worker import Worker
from leveret_core.broker.rabbitmq_worker import RabbitWorkerBroker

log = logging.getLogger("leveret.process")

AMQP_URL = "LEVERET_AMQP_URL"
REDACT = "LEVERET_REDACT"
DEFAULT_AMQP_URL = "amqp://guest:guest@localhost:5672/"
PATIENCE = 6.0
"""Seconds a problem with the broker may last at the start; servers that have just come make what is missing."""
KILLED = 130
"""The exit code after a second signal."""


def run_worker(
    modules: Sequence[str],
    *,
    amqp_url: str | None = None,
    concurrency: int | None = None,
    only: Sequence[str] = (),
    name: str | None = None,
    grace: float | None = None,
    log_level: str = "info",
    log_format: str = "console",
) -> None:
    """Serve the handlers of `modules` until SIGTERM, SIGINT or a word of the servers, then drain and return.

    A second signal ends the process at once, with exit code 130.

    Args:
        modules: names as in `import app.jobs`; the current directory is searched first.
        amqp_url: the broker. Default: `LEVERET_AMQP_URL`, else a broker on this host.
        concurrency: runs at the same time in all, at most. Default: what the handlers allow together.
        only: patterns; handlers that fit none of them are left out. Default: all.
        name: shown to people. Default: `LEVERET_WORKER_NAME`, else the host's name.
        grace: seconds that runs get to end when the worker drains. Default 30.
        log_level: of the process's own log and of the records kept with attempts.
        log_format: `console` or `json`.

    Raises:
        ConfigurationError: no such module, no handlers, a wrong setting, or a broker that cannot be used.
        InvalidInput: a handler or a pattern is wrong.
    """
    name = name or os.environ.get("LEVERET_WORKER_NAME")
    given = {"name": name, "concurrency": concurrency, "grace": grace, "log_level": log_level, "redact": os.environ.get(REDACT)}
    config = WorkerConfig(**{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]
    url = amqp_url or os.environ.get(AMQP_URL) or DEFAULT_AMQP_URL
    configure(log_level, log_format)
    handlers = import_handlers(modules, only=only)

    broker = RabbitWorkerBroker(url)
    worker = Worker(handlers, broker, heartbeat_broker=lambda: RabbitWorkerBroker(url), config=config)

    gc.collect()
    gc.freeze()  # what was imported stays: no collection need look at it again

    async def main(stopping: asyncio.Event) -> None:
        try:
            await _serve(worker, broker, stopping)
        except asyncio.CancelledError:
            _leave(KILLED)
        if worker.stuck:
            log.warning("%d handlers still ignore their interruption; they end with the process", worker.stuck)
            _leave(0)

    run(main)


async def _serve(worker: Worker, broker: RabbitWorkerBroker, stopping: asyncio.Event) -> None:
    try:
        await worker.start()
    except BrokerUnavailable as error:
        # Said at once and not waited for: with a wrong URL nobody would ever see why.
        raise ConfigurationError(str(error)) from error
    ends = [asyncio.create_task(each) for each in (stopping.wait(), worker.wait())]
    serving = asyncio.create_task(worker.serving.wait())
    try:
        await asyncio.wait({*ends, serving}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await _check(broker, stopping)
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if ends[1].done():
            ends[1].result()
        await worker.drain()
    finally:
        for task in (*ends, serving):
            task.cancel()
        await worker.stop()


async def _check(broker: RabbitWorkerBroker, stopping: asyncio.Event) -> None:
    """Raise ConfigurationError if the broker goes on refusing something, such as a queue to a user without the rights."""
    for _ in range(20):
        if broker.problem is None or stopping.is_set():
            return
        await asyncio.sleep(PATIENCE / 20)
    if broker.problem:
        raise ConfigurationError(broker.problem)


def _leave(code: int) -> None:
    """End the process although threads still run."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
