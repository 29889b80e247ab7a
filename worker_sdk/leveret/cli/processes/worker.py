"""`leveret worker app.jobs`: serves the handlers of modules until it is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from leveret.cli.errors import ServiceUnavailable
from leveret.cli.log_format import configure
from leveret.cli.processes.heap import settle_heap
from leveret.cli.processes.memory import parse_size
from leveret.cli.processes.shutdown import run
from leveret.cli.processes.supervision import Supervision, supervision
from leveret.config import WorkerConfig
from leveret.errors import BrokerUnavailable, ConfigurationError
from leveret.registry import import_handlers
from leveret.worker import Worker
from leveret_core.broker.rabbitmq_worker import RabbitWorkerBroker
from leveret_core.errors import BrokerRefused
from leveret_core.service_urls import RABBITMQ, check_url

log = logging.getLogger("leveret.process")

AMQP_URL = "LEVERET_AMQP_URL"
REDACT = "LEVERET_REDACT"
DEFAULT_AMQP_URL = "amqp://guest:guest@localhost:5672/"
PATIENCE = 6.0
"""Seconds a problem with the broker may last at the start; servers that have just come make what is missing."""
WAIT = 60.0
"""Seconds, as servers wait for Postgres: a broker that is just being restarted ends no worker."""
RETRY = 1.0
"""Seconds between tries; a line is logged for the first, and then every ten seconds."""
TELL = 10.0
REPORT_INTERVAL = 1.0
"""Seconds between what a process tells its supervisor."""
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
    processes: int | None = None,
    max_memory: str | None = None,
    max_occurrences: int | None = None,
    capture_print: bool = False,
    spool_dir: Path | None = None,
    spool_size: str | None = None,
    log_level: str = "info",
    log_format: str = "console",
    wait: float = WAIT,
) -> None:
    """Serve the handlers of `modules` until SIGTERM, SIGINT or a word of the servers, then drain and return.

    A second signal ends the process at once, with exit code 130. With `processes`, `max_memory` or `max_occurrences` this
    process supervises others that do so, and ends with an exit code of its own.

    Args:
        modules: names as in `import app.jobs`; the current directory is searched first.
        amqp_url: the broker. Default: `LEVERET_AMQP_URL`, else a broker on this host.
        concurrency: runs at the same time in all, at most. Default: what the handlers allow together.
        only: patterns; handlers that fit none of them are left out. Default: all.
        name: shown to people. Default: `LEVERET_WORKER_NAME`, else the host's name.
        grace: seconds that runs get to end when the worker drains. Default 30.
        processes: processes to supervise. Default: none, or one with one of the next two.
        max_memory: what a process and its children may take before it is replaced, such as `512M`. Default: no limit.
        max_occurrences: runs after which a process is replaced. Default: no limit.
        capture_print: whether lines that handlers print become log records.
        spool_dir: where events wait while the broker is away. Default: a folder of this user's in the system's one for
            temporary files.
        spool_size: how much of them, at most, such as `64M`; `0` for none. Default: 256M.
        log_level: of the process's own log and of the records kept with attempts.
        log_format: `console` or `json`.
        wait: seconds to go on trying at the start while the broker cannot be reached.

    Raises:
        ConfigurationError: no such module, no handlers, a wrong setting, or a broker that refuses the login.
        ServiceUnavailable: the broker could not be reached in time.
        InvalidInput: a handler or a pattern is wrong.
    """
    name = name or os.environ.get("LEVERET_WORKER_NAME")
    url = check_url(amqp_url or os.environ.get(AMQP_URL) or DEFAULT_AMQP_URL, RABBITMQ, AMQP_URL)
    given = {
        "name": name,
        "concurrency": concurrency,
        "grace": grace,
        "capture_print": capture_print,
        "spool_dir": (spool_dir or Path(tempfile.gettempdir()) / f"leveret-{os.getuid()}") / _broker_of(url),
        "spool_size": None if spool_size is None else parse_size(spool_size),
        "log_level": log_level,
        "redact": os.environ.get(REDACT),
    }
    config = WorkerConfig(**{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]
    supervisor = supervision()
    if supervisor is None and (processes or max_memory or max_occurrences):
        from leveret.cli.processes.supervised import run_supervised
        from leveret.cli.processes.supervisor import Limits

        options = {
            "--concurrency": concurrency,
            "--grace": grace,
            "--spool-dir": spool_dir,
            "--spool-size": spool_size,
            "--log-level": log_level,
            "--log-format": log_format,
            "--wait": wait,
        }
        arguments = [*modules, *(word for pattern in only for word in ("--only", pattern))]
        arguments += [str(word) for option, value in options.items() if value is not None for word in (option, value)]
        arguments += ["--capture-print"] if capture_print else []
        memory = None if max_memory is None else parse_size(max_memory)
        code = run_supervised(
            arguments,
            {AMQP_URL: url},
            processes=processes or 1,
            name=name,
            limits=Limits(grace=config.grace, max_memory=memory, max_occurrences=max_occurrences),
            log_level=log_level,
            log_format=log_format,
        )
        sys.exit(code)
    try:
        _run(modules, only, url, config, supervisor, log_level, log_format, wait)
    except Exception as error:
        if supervisor is not None:
            supervisor.tell(error=f"{type(error).__name__}: {error}")
        raise


def _run(
    modules: Sequence[str],
    only: Sequence[str],
    url: str,
    config: WorkerConfig,
    supervisor: Supervision | None,
    log_level: str,
    log_format: str,
    wait: float,
) -> None:
    configure(log_level, log_format)
    handlers = import_handlers(modules, only=only)

    broker = RabbitWorkerBroker(url)
    worker = Worker(handlers, broker, heartbeat_broker=lambda: RabbitWorkerBroker(url), config=config)

    settle_heap()

    async def main(stopping: asyncio.Event) -> None:
        try:
            if await _connected(worker, stopping, wait):
                await _serve(worker, broker, stopping, supervisor)
        except asyncio.CancelledError:
            _leave(KILLED)
        if worker.stuck:
            log.warning("%d handlers still ignore their interruption; they end with the process", worker.stuck)
            _leave(0)

    run(main)


async def _connected(worker: Worker, stopping: asyncio.Event, wait: float) -> bool:
    """Start it as soon as its broker answers; False when the process is to end before."""
    began = time.monotonic()
    last_told = -TELL
    while not stopping.is_set():
        try:
            await worker.start()
            return True
        except BrokerRefused as error:
            raise ConfigurationError(str(error)) from error
        except BrokerUnavailable as error:
            elapsed = time.monotonic() - began
            if elapsed >= wait:
                raise ServiceUnavailable(f"{error} (tried for {elapsed:.0f} s)") from error
            if elapsed - last_told >= TELL:
                last_told = elapsed
                log.warning("waiting for the broker, for %.0f s more: %s", wait - elapsed, error)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(RETRY, wait)):
                await stopping.wait()
    return False


async def _serve(worker: Worker, broker: RabbitWorkerBroker, stopping: asyncio.Event, supervisor: Supervision | None) -> None:
    if supervisor is not None:
        supervisor.listen(worker.config.grace)
    retired = supervisor.retired if supervisor is not None else asyncio.Event()
    ends = [asyncio.create_task(each) for each in (stopping.wait(), worker.wait(), retired.wait())]
    serving = asyncio.create_task(worker.serving.wait())
    reporting = asyncio.create_task(_report(worker, supervisor))
    try:
        await asyncio.wait({*ends, serving}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await _check(broker, stopping)
            if supervisor is not None:
                supervisor.tell(serving=True)
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if ends[1].done():
            ends[1].result()
        elif not ends[0].done():
            # Another process has taken its place: nothing hurries, until the supervisor wants all of them to end.
            draining = asyncio.create_task(worker.drain(float("inf")))
            await asyncio.wait({draining, ends[0]}, return_when=asyncio.FIRST_COMPLETED)
            await worker.drain()
            await draining
        await worker.drain()
    finally:
        for task in (*ends, serving, reporting):
            task.cancel()
        await worker.stop()


async def _report(worker: Worker, supervisor: Supervision | None) -> None:
    if supervisor is None:
        return
    supervisor.tell(connected=True)
    while True:
        await asyncio.sleep(REPORT_INTERVAL)
        supervisor.tell(finished=worker.finished)


async def _check(broker: RabbitWorkerBroker, stopping: asyncio.Event) -> None:
    """Raise ConfigurationError if the broker goes on refusing something, such as a queue to a user without the rights."""
    for _ in range(20):
        if broker.problem is None or stopping.is_set():
            return
        await asyncio.sleep(PATIENCE / 20)
    if broker.problem:
        raise ConfigurationError(broker.problem)


def _broker_of(url: str) -> str:
    """A name for the broker's virtual host, without the credentials: events of one are no other's."""
    parts = urlsplit(url)
    nodes = parts.netloc.rpartition("@")[2]
    place = ",".join(sorted(nodes.split(","))) if "," in nodes else f"{parts.hostname}:{parts.port}"
    return hashlib.sha256(f"{place}{parts.path}".encode()).hexdigest()[:12]


def _leave(code: int) -> None:
    """End the process although threads still run."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
