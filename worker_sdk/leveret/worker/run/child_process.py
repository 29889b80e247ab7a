"""Runs a handler in a child process of its own, which can be killed when it does not stop."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import msgspec

from leveret.config import WorkerConfig
from leveret.context import JobContext, State
from leveret.handlers.parameters import Parameters
from leveret.registry import Handler
from leveret.worker.report.reporter import Ending, Reporter
from leveret.worker.run.invocation import invoke_here
from leveret.worker.run.log_capture import LogCapture
from leveret_core.messages import Checkpoint, Event, Finished, JobError, Log, encode

JOIN_TIMEOUT = 5.0
"""Seconds a child may take to end after its last word."""
_NO_LIFESPANS = "a handler with process=True runs in a process of its own; open what it needs in the handler"

# Forked from a small process without threads that has imported the handlers: quick, and safe beside our own threads.
_processes = multiprocessing.get_context("forkserver")
_decode_event: Callable[[bytes], Event] = msgspec.json.Decoder(Event).decode


def prepare(handlers: Iterable[Handler]) -> None:
    """Have the modules of `handlers` that run in processes imported once, before the first run."""
    modules = {handler.function.__module__ for handler in handlers if handler.kind == "process"}
    if modules:
        _processes.set_forkserver_preload(["__main__", "leveret.worker.run.child_process", *sorted(modules)])


class Child:
    """One run in a process. Its methods may be called from any thread.

    Args:
        context: of the attempt; what the child reports goes through its reporter.
        payload: a JSON object.
    """

    def __init__(self, handler: Handler, context: JobContext, payload: bytes, config: WorkerConfig) -> None:
        self._handler = handler
        self._context = context
        self._payload = payload
        self._config = config
        self._lock = threading.Lock()
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._killed = False

    def run(self) -> Ending:
        """Run it, blocking this thread until the child has ended."""
        ours, theirs = _processes.Pipe()
        told = {name: getattr(self._context, name) for name in ("job", "type", "scheduled_for", "max_attempts", "worker")}
        told |= {name: getattr(self._context, name) for name in ("checkpoint", "_last_success_at")}
        told |= {"occurrence": self._context.occurrence, "attempt": self._context.attempt, "timeout": self._context.remaining}
        arguments = (theirs, self._handler.function, self._payload, told, self._config)
        process = _processes.Process(target=_main, args=arguments, name="leveret-job", daemon=True)
        with self._lock:
            if self._killed:
                return Ending("released")
            process.start()
            self._process, self._connection = process, ours
        theirs.close()
        if self._context.cancelled:
            self.interrupt()
        ending: Ending | None = None
        with ours, contextlib.suppress(EOFError, OSError):
            while ending is None:
                ending = self._take(_decode_event(ours.recv_bytes()))
        with self._lock:
            self._connection = None
        process.join(JOIN_TIMEOUT if ending else None)
        if process.is_alive():
            process.kill()
            process.join()
        return ending or _died(process.exitcode)

    def interrupt(self) -> None:
        """Let the handler see `ctx.cancelled`."""
        with self._lock, contextlib.suppress(OSError):
            if self._connection is not None:
                self._connection.send_bytes(b"cancel")

    def kill(self) -> None:
        """End it now."""
        with self._lock:
            self._killed = True
            if self._process is not None:
                self._process.kill()

    def _take(self, event: Event) -> Ending | None:
        if isinstance(event, Finished):
            return Ending(event.outcome, event.result, event.error, event.retry, event.retry_after, event.max_snoozes)
        reporter = self._context._reporter  # pyright: ignore[reportPrivateUsage]
        if isinstance(event, Log):
            reporter.log(event.level, event.message, event.fields, event.at)
        elif isinstance(event, Checkpoint):
            reporter.checkpoint(event.data)
        else:
            reporter.progress(event.fraction, event.message)
        return None


def _died(code: int | None) -> Ending:
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
        why = f"was killed by {name}" + ("; out of memory, perhaps" if -code == signal.SIGKILL else "")
    else:
        why = f"ended with exit code {code} before the handler did"
    return Ending("failed", error=JobError(type="ProcessDied", message=f"the handler's process {why}"))


def _main(
    connection: Connection, function: Callable[..., Any], payload: bytes, told: dict[str, Any], config: WorkerConfig
) -> None:
    """The child: one handler, then the end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker, which tells us
    lock = threading.Lock()

    def send(event: Event) -> None:
        with lock:
            connection.send_bytes(encode(event))

    def later(seconds: float, call: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, call)
        timer.daemon = True
        timer.start()

    occurrence, attempt = told.pop("occurrence"), told.pop("attempt")
    # The worker's reporter counts the records: it has the latest of them also when this process is killed.
    reporter = Reporter(send, later, occurrence=occurrence, attempt=attempt, token="", log_limit=None)
    context = JobContext(reporter, state=State(why=_NO_LIFESPANS), last_success_at=told.pop("_last_success_at"), **told)
    threading.Thread(target=_listen, args=(connection, context), daemon=True).start()
    logging.getLogger().setLevel(config.log_level.upper())
    LogCapture(config.redact, printed=config.capture_print).install(config.log_level)
    started = time.monotonic()
    ending = invoke_here(function, Parameters(function, function.__name__), context, payload, config.result_limit)
    send(reporter.close(ending, time.monotonic() - started))


def _listen(connection: Connection, context: JobContext) -> None:
    try:
        while connection.recv_bytes():
            context._cancelled = True  # pyright: ignore[reportPrivateUsage]
    except (EOFError, OSError):
        os._exit(1)  # the worker is gone, and with it the claim
