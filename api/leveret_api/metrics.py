"""What Prometheus scrapes of an API replica."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leveret_api.schemas.system import Health, Overview, ServiceStates, Task

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The metrics of one app, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        by_route = ("method", "route")
        self.requests = Counter("leveret_http_requests", "Requests answered.", (*by_route, "status"), registry=self._registry)
        self.request_seconds = Histogram(
            "leveret_http_request_seconds", "Time to answer a request.", by_route, registry=self._registry
        )
        self.live_clients = self._gauge("leveret_live_clients", "Dashboards connected to this replica.")
        self.live_messages = Counter("leveret_live_messages", "Live messages, by kind.", ("kind",), registry=self._registry)
        self._leads = self._gauge("leveret_dispatcher_is_leader", "Whether this process holds the term.")
        self._up = self._gauge("leveret_service_up", "Whether a service answers.", ("service",))
        self._occurrences = self._gauge("leveret_occurrences", "Live occurrences, by state.", ("state",))
        self._dead_letters = self._gauge("leveret_dead_letters", "Occurrences that failed for good, not requeued or discarded.")
        self._dead_events = self._gauge("leveret_dead_events", "Events of workers that could not be applied.")
        # A gauge, since its numbers are counted elsewhere.
        self._quarantined = self._gauge("leveret_dead_events_total", "The same, as this process met it.", ("reason_kind",))
        self._jobs = self._gauge("leveret_jobs", "Jobs, paused or not.", ("paused",))
        self._workers = self._gauge("leveret_workers", "Workers alive.")
        self._slots = self._gauge("leveret_worker_slots", "What the workers alive can run at once.")
        self._running = self._gauge("leveret_worker_running", "What they ran at their last heartbeat.")
        self._epoch = self._gauge("leveret_dispatcher_epoch", "Number of the current term.")
        self._lag = self._gauge("leveret_dispatcher_lag_seconds", "By how much the job that is longest due is late.")
        self._ownerless = self._gauge(
            "leveret_ownerless_occurrences", "What is not over and had nothing that is responsible for it at the last look."
        )
        # A gauge, since every replica tells the same number, which outlives them all.
        self._set_back = self._gauge("leveret_clock_set_back_total", "How often the clock of Postgres was set back.")
        self._of_overview = (
            *(self._dead_letters, self._workers, self._slots, self._running),
            *(self._epoch, self._lag, self._ownerless, self._set_back),
        )

        self._progress = self._gauge(
            "leveret_dispatch_last_progress_seconds", "Seconds since any dispatcher last had done what was to be done."
        )
        self._task_up = self._gauge("leveret_task_up", "Whether a background task of this process does its work.", ("task",))
        self._of_tasks = _OfTasks()
        self._registry.register(self._of_tasks)

    def tell_dead_events(self, quarantined: Mapping[str, int], kept: int | None) -> None:
        """Take how many events this process has quarantined, by kind, and how many are kept in all; None if that is unknown."""
        for kind, count in quarantined.items():
            self._quarantined.labels(kind).set(count)
        self._dead_events.set(float("nan") if kept is None else kept)

    def render(self, *, leads: bool, states: ServiceStates, health: Health, overview: Overview | None) -> bytes:
        """The text of a scrape.

        Args:
            leads: whether this process holds the term.
            states: which services answer.
            health: of this process.
            overview: None while Postgres is away; what it tells is then not a number: an old one would mislead.
        """
        self._leads.set(leads)
        for service, state in states:
            self._up.labels(service).set(state == "ok")
        progress = health.dispatch.last_progress_seconds
        self._progress.set(float("nan") if progress is None else progress)
        for gauge in (self._occurrences, self._jobs, self._task_up):
            gauge.clear()
        for task in health.tasks:
            self._task_up.labels(task.name).set(task.healthy)
        self._of_tasks.tasks = health.tasks
        if overview is not None:
            for name, count in overview.occurrences.items():
                self._occurrences.labels(name.value).set(count)
            self._jobs.labels("true").set(overview.jobs.paused)
            self._jobs.labels("false").set(overview.jobs.total - overview.jobs.paused)
            self._dead_letters.set(overview.dead_letters)
            self._workers.set(overview.workers.alive)
            self._slots.set(overview.workers.slots)
            self._running.set(overview.workers.running)
            self._epoch.set(overview.dispatcher.epoch)
            self._lag.set(overview.dispatcher.lag_seconds)
            self._ownerless.set(overview.dispatcher.ownerless)
            self._set_back.set(overview.dispatcher.clock_set_back)
        else:
            for gauge in self._of_overview:
                gauge.set(float("nan"))
        return generate_latest(self._registry)

    def count(self, name: str, text: str, label: str, counts: Callable[[], Mapping[str, int]]) -> None:
        """Tell what this process counts elsewhere, by a label.

        Args:
            name: without `_total`.
            text: what is counted.
            label: of the keys of `counts`.
            counts: asked at each scrape.
        """

        class Counts(Collector):
            def collect(self) -> Iterable[Metric]:
                family = CounterMetricFamily(name, text, labels=(label,))
                for value, count in counts().items():
                    family.add_metric((value,), count)
                yield family

        self._registry.register(Counts())

    def _gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(name, text, labels, registry=self._registry)


class _OfTasks(Collector):
    """What the background tasks count themselves: restarts, steps and failures."""

    def __init__(self) -> None:
        self.tasks: Sequence[Task] = ()

    def collect(self) -> Iterable[Metric]:
        """For the registry."""
        counted: tuple[tuple[str, str, Callable[[Task], int]], ...] = (
            ("restarts", "How often a background task of this process had to be started again.", lambda task: task.restarts),
            ("steps", "What a background task of this process began to do.", lambda task: task.steps),
            ("failures", "How much of that failed.", lambda task: task.failures),
        )
        for what, text, count in counted:
            family = CounterMetricFamily(f"leveret_task_{what}", text, labels=("task",))
            for task in self.tasks:
                family.add_metric((task.name,), count(task))
            yield family


class RequestMetrics:
    """Counts and times requests by the route that answered them."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def send_counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_counted)
        finally:
            # Never the path itself, which clients choose: every label value is kept for good.
            route: str = getattr(scope.get("route"), "path", "other")
            method: str = scope["method"] if scope["method"] in _METHODS else "other"
            self.metrics.requests.labels(method, route, str(status)).inc()
            self.metrics.request_seconds.labels(method, route).observe(time.perf_counter() - start)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
