"""The worker of `leveret dev`: serves the user's modules, and begins anew when they change."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from leveret.cli.client import Client
from leveret.cli.definitions import ATTRIBUTE, apply, definitions_of
from leveret.cli.local.reloading import changes, load, watched
from leveret.cli.processes.worker_thread import WorkerThread
from leveret.config import WorkerConfig
from leveret.registry import Handler
from leveret.worker import Worker
from leveret_core.broker.memory import MemoryBroker
from leveret_core.errors import ConfigurationError, LeveretError

log = logging.getLogger("leveret.dev")

SERVICES = "dev_services"
"""The name a module gives the async context manager of what its handlers need while developing."""
GRACE = 3.0
"""Seconds that runs get to end when their code has changed."""
SERVING_TIMEOUT = 10.0


class DevWorker:
    """Serves handlers in a thread of its own, and again whenever a file of their modules changes.

    Args:
        modules: names, as given on the command line.
        handlers: what importing them gave, None if that failed.
        broker: in this process.
        data: the folder of `leveret dev`.
        url: where the API answers.
    """

    def __init__(
        self, modules: Sequence[str], handlers: Sequence[Handler] | None, broker: MemoryBroker, data: Path, url: str
    ) -> None:
        self._modules = modules
        self._broker = broker
        self._data = data
        self._url = url
        self._handlers = handlers
        self._thread: WorkerThread | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Serve the handlers, and make the modules' jobs. Returns when the worker takes work, or could not be started."""
        if self._handlers is None:
            return
        handlers = self._handlers
        worker_broker = self._broker.worker

        def make() -> Worker:
            return Worker(handlers, worker_broker(), config=WorkerConfig(name="dev"))

        self._thread = WorkerThread(make, self._surroundings)
        self._thread.start()
        if not await self._thread.serving(SERVING_TIMEOUT):
            error = self._thread.ended.exception() if self._thread.ended.done() else None
            log.error("the worker did not start%s", "" if error else f" within {SERVING_TIMEOUT:g} s", exc_info=error)
            return
        await asyncio.to_thread(self._make_jobs)

    async def stop(self, grace: float) -> None:
        """End the worker; what runs gets `grace` seconds."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await thread.stop(grace)

    async def reload_on_change(self) -> None:
        """Until `end`: when files change, stop the worker, import its modules again and serve what they have now."""
        paths = watched(self._modules)
        if not paths:
            await self._stopping.wait()
            return
        async for files in changes(paths, self._stopping):
            log.info("changed: %s", ", ".join(files))
            await self.stop(GRACE)
            self._handlers = load_or_tell(self._modules)
            await self.start()

    def end(self) -> None:
        """Stop watching."""
        self._stopping.set()

    def _surroundings(self) -> AbstractAsyncContextManager[None]:
        return _services_of(self._modules, self._data)

    def _make_jobs(self) -> None:
        """Make the jobs of the modules; those whose code is as at the last time stay as they are on the server."""
        record = self._data / "jobs.json"
        done: dict[str, str] = json.loads(record.read_text()) if record.exists() else {}
        try:
            modules = [module for module in self._modules if hasattr(sys.modules[module], ATTRIBUTE)]
            defined = [job for module in modules for job in definitions_of(module)]
            changed = [job for job in defined if done.get(job["name"]) != _digest(job)]
            if not changed:
                return
            with Client(self._url) as client:
                applied = apply(client, changed)
        except LeveretError as error:
            log.error("the jobs of the modules were not made: %s", error)
            return
        for job, each in zip(changed, applied, strict=True):
            if each.result == "refused":
                log.error("job %s: %s", each.name, each.problem)
            else:
                log.info("job %s: %s", each.name, each.result)
                done[each.name] = _digest(job)
        record.write_text(json.dumps(done))


def load_or_tell(modules: Sequence[str], *, first: bool = False) -> list[Handler] | None:
    """The modules' handlers; None after logging what went wrong, which the next change may mend.

    Args:
        modules: names.
        first: whether a mistake may be in the command line instead.

    Raises:
        ConfigurationError: `first`, and a module is not there or none has a handler.
    """
    try:
        return load(modules)
    except LeveretError as error:
        if first and isinstance(error, ConfigurationError):
            raise
        log.error("%s; mend it and save", error)
    except Exception:
        log.exception("the modules cannot be imported; mend them and save")
    return None


@asynccontextmanager
async def _services_of(modules: Sequence[str], data: Path) -> AsyncGenerator[None]:
    async with AsyncExitStack() as stack:
        for module in modules:
            services = getattr(sys.modules[module], SERVICES, None)
            if services is not None:
                await stack.enter_async_context(services(data))
        yield


def _digest(job: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(job, sort_keys=True, default=str).encode()).hexdigest()
