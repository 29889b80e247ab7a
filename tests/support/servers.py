"""What tests can do with a server they started: Postgres, Redis or RabbitMQ, as a private process or a container."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Protocol

import psutil

from support import leash
from support.ports import free_port
from support.trees import family, kill_all


class NotAvailable(Exception):
    """A server cannot be had on this machine; the message says what was looked for and what to install."""


class ServerFailed(Exception):
    """A server ended or did not answer in time; the message ends with its log."""


class Server(Protocol):
    """A server of the test's own. Verbs block: in an async test call them by `asyncio.to_thread`."""

    @property
    def url(self) -> str:
        """Where it is; the same before and after a restart."""
        ...

    def start(self) -> None:
        """Start it with the data it had, and wait until it answers."""
        ...

    def stop(self) -> None:
        """End it in the orderly way, as an administrator does."""
        ...

    def kill(self) -> None:
        """End it at once (SIGKILL), it and every process it started."""
        ...

    def freeze(self) -> None:
        """Halt it (SIGSTOP): connections stay open, nothing answers."""
        ...

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        ...

    def restart(self) -> None:
        """`stop`, if it runs, and `start`: the same address, the same data."""
        ...

    def remove(self) -> None:
        """End it, whatever state it is in, and delete its data."""
        ...


IN_MEMORY = Path("/dev/shm")
ROOM = 4 << 30
"""Bytes that must be free in memory: a Postgres takes some 0.2 GB, and each worker of a test run has one, and a RabbitMQ."""


def _place() -> Path | None:
    """Where data lie: in memory if there is room, since a test run makes and drops some two thousand databases."""
    try:
        return IN_MEMORY if shutil.disk_usage(IN_MEMORY).free > ROOM else None
    except OSError:
        return None


class ServerProcess(ABC):
    """A server run as child processes on a port of 127.0.0.1, with its data in a temporary folder, in memory if there is room.

    Arguments:
        start_timeout: seconds until it must answer.
        stop_timeout: seconds in which it must end when asked to.
    """

    name: str
    stop_signal = signal.SIGTERM

    def __init__(self, *, start_timeout: float = 60.0, stop_timeout: float = 30.0) -> None:
        self.port = free_port()
        self.start_timeout = start_timeout
        self.stop_timeout = stop_timeout
        self.folder = Path(tempfile.mkdtemp(prefix=f"leveret-{self.name}-", dir=_place()))
        self.log = self.folder / "server.log"
        leash.hold_folder(self.folder)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it is; the same before and after a restart."""

    @abstractmethod
    def _launch(self) -> subprocess.Popen[bytes]:
        """Start the server's process, by `_spawn`, after making its data if there are none."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether the server does its work."""

    @property
    def running(self) -> bool:
        """Whether its process is there (a frozen one is)."""
        return self._process is not None and self._process.poll() is None

    def processes(self) -> list[psutil.Process]:
        """The server's process and all that it started, parents first."""
        return family(self._process.pid) if self._process else []

    def start(self) -> None:
        """Start it with the data it had, and wait until it answers.

        Raises:
            ServerFailed: it ended, or did not answer within `start_timeout`.
        """
        assert not self.running, f"{self.name} runs already"
        self._process = self._launch()
        deadline = time.monotonic() + self.start_timeout
        while not self._answers():
            if not self.running:
                raise ServerFailed(self._story(f"ended with code {self._process.returncode} when started"))
            if time.monotonic() > deadline:
                self.kill()
                raise ServerFailed(self._story(f"did not answer within {self.start_timeout:.0f} s"))
            time.sleep(0.02)

    def stop(self) -> None:
        """End it in the orderly way.

        Raises:
            ServerFailed: it was still there after `stop_timeout`, and was killed.
        """
        if self._process is None or not self.running:
            return
        started = self.processes()
        self._process.send_signal(self.stop_signal)
        try:
            self._process.wait(self.stop_timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerFailed(self._story(f"did not stop within {self.stop_timeout:.0f} s")) from None
        self._end(started)

    def kill(self) -> None:
        """End it at once, it and every process it started."""
        self._kill_now()

    def _kill_now(self) -> None:
        if self._process is not None:
            self._end(self.processes())

    def freeze(self) -> None:
        """Halt it: connections stay open, nothing answers."""
        frozen: set[psutil.Process] = set()
        # Parents come first, and start nothing more; look again for what they had just started.
        while fresh := [process for process in self.processes() if process not in frozen]:
            for process in fresh:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.suspend()
            frozen.update(fresh)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

    def restart(self) -> None:
        """`stop`, if it runs, and `start`: the same address, the same data."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """End it, whatever state it is in, and delete its data."""
        self._kill_now()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log_tail(self, lines: int = 40) -> str:
        """The last lines of what the server wrote."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def __str__(self) -> str:
        return f"{self.name} on port {self.port}"

    def _spawn(
        self, command: list[str | Path], *, env: dict[str, str] | None = None, user: str | None = None
    ) -> subprocess.Popen[bytes]:
        """Run `command` in the server's folder, in a session of its own so that Ctrl-C in the tests' does not reach it."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=user,
                extra_groups=[] if user else None,
            )
        leash.hold(process.pid)
        return process

    def _end(self, processes: list[psutil.Process]) -> None:
        """Kill those of `processes` that are still there, and wait until none is."""
        assert self._process is not None
        kill_all(processes)
        self._process.wait()
        leash.release(self._process.pid)
        self._process = None
        self._ended()

    def _ended(self) -> None:  # noqa: B027  (most servers have nothing else)
        """End what else `_launch` started."""

    def _story(self, what: str) -> str:
        return f"{self.name} {what}; its log ends:\n{self.log_tail()}"
