"""Workers for tests, on a scripted broker."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from leveret import Registry
from leveret.config import WorkerConfig
from leveret.worker import Worker
from support.fake_broker import FakeBroker, FakeServers


@asynccontextmanager
async def serving(servers: FakeServers, registry: Registry, *, heartbeat: bool = True, **config: Any) -> AsyncGenerator[Worker]:
    """A worker that serves all handlers of `registry`, stopped at the end; `heartbeat=False` puts it on the main loop."""
    defaults: dict[str, Any] = {"stop_grace": 0.2, "ask_timeout": 0.3, "send_timeout": 0.3}
    worker = Worker(
        registry.handlers,
        FakeBroker(servers),
        heartbeat_broker=(lambda: FakeBroker(servers)) if heartbeat else None,
        config=WorkerConfig(**(defaults | config)),
    )
    await worker.start()
    try:
        await worker.serving.wait()
        yield worker
    finally:
        await worker.stop()
