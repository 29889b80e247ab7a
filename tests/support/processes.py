"""The `leveret` command as a process, as a user starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Protocol

from support import leash
from support.ports import free_port
from support.trees import family, kill_all
from support.warm import WarmProcess, can_start

__all__ = ["LeveretProcess", "StartLeveret", "free_port"]


class LeveretProcess:
    """A running `leveret ARGS`. What it prints goes to a file, which a failing test shows.

    Arguments:
        args: the command's words, as in `LeveretProcess("worker", "examples.app")`.
        env: environment variables on top of the test's own. Of that, `LEVERET_*` and `TEST_*` are left out, so that
            nothing of the developer's shell gets in.
        cwd: the folder to run it in.
        cold: start it in every detail as a user does. Without, it may be forked from a process that has imported its modules.
    """

    def __init__(self, *args: str, env: dict[str, str] | None = None, cwd: Path | None = None, cold: bool = False) -> None:
        self.args = args
        handle, path = tempfile.mkstemp(prefix="leveret-process-", suffix=".log")
        self.log = Path(path)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("LEVERET_", "TEST_"))}
        environment = {**inherited, "PYTHONUNBUFFERED": "1", **(env or {})}
        self._process: subprocess.Popen[bytes] | WarmProcess
        with os.fdopen(handle, "wb") as log, open(os.devnull) as nothing:
            if not cold and can_start(args, env or {}):
                files = nothing.fileno(), log.fileno(), log.fileno()
                self._process = WarmProcess(args, environment, cwd, files)
            else:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "leveret", *args],
                    cwd=cwd,
                    env=environment,
                    stdin=nothing,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        leash.hold(self.pid)

    @property
    def pid(self) -> int:
        """Its process id; also the id of its process group."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def output(self) -> str:
        """All that it printed so far, both streams."""
        return self.log.read_text(errors="replace")

    def log_tail(self, lines: int = 100) -> str:
        """The last lines of what it printed."""
        return "\n".join(self.output().splitlines()[-lines:])

    def interrupt(self) -> None:
        """Ctrl-C: SIGINT to it and all it started, as a terminal does."""
        os.killpg(self.pid, signal.SIGINT)

    def terminate(self) -> None:
        """SIGTERM to it alone, as a service manager does."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to it and all it started; returns when they are gone."""
        if self.returncode is not None:
            return
        kill_all(family(self.pid))
        self._process.wait()

    def freeze(self) -> None:
        """SIGSTOP: it is there, but does nothing."""
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on after `freeze`."""
        os.killpg(self.pid, signal.SIGCONT)

    def wait(self, timeout: float = 30.0) -> int:
        """Wait until it ends, and return its exit code. Blocks: use `asyncio.to_thread` in an async test.

        Raises:
            AssertionError: it still runs after `timeout` seconds.
        """
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self} still runs after {timeout:g} s; it printed:\n{self.output()}") from None

    def close(self) -> None:
        """End it if it still runs, and delete its log."""
        self.kill()
        leash.release(self.pid)
        self.log.unlink(missing_ok=True)

    def __str__(self) -> str:
        return f"`leveret {' '.join(self.args)}` (pid {self.pid})"


class StartLeveret(Protocol):
    """What the fixture `start_leveret` is: starts a `LeveretProcess`, and ends it after the test."""

    def __call__(
        self, *args: str, env: dict[str, str] | None = None, cwd: Path | None = None, cold: bool = False
    ) -> LeveretProcess: ...
