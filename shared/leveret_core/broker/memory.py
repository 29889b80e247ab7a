"""A broker inside the process, with the behaviour of RabbitMQ's: for `leveret dev`, and for tests that need no server.

Everything is kept on the event loop of the view that is started first; workers may be used from the loops of other threads.
"""

from __future__ import annotations

from leveret_core.broker.memory_hub import MemoryHub
from leveret_core.broker.memory_server import MemoryServerBroker
from leveret_core.broker.memory_worker import MemoryWorkerBroker
from leveret_core.supervision import Supervisor


class MemoryBroker:
    """Hands out views of the same queues, which live as long as this object, whatever views come and go."""

    def __init__(self) -> None:
        self._hub = MemoryHub()

    def server(self, supervisor: Supervisor | None = None) -> MemoryServerBroker:
        """A `ServerBroker` for an API replica or dispatcher; `supervisor` keeps what feeds its desk and ingestor."""
        return MemoryServerBroker(self._hub, supervisor)

    def worker(self) -> MemoryWorkerBroker:
        """A `WorkerBroker` for a worker."""
        return MemoryWorkerBroker(self._hub)
