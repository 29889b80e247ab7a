"""Starts `leveret ARGS` from a process that has imported it already: importing takes longer than most tests of a process.

What is started differs from `python -m leveret ARGS` only in its parent and its command line in `ps`. Environments that Python
or the loader of programs read before any import are not for it: see `can_start`.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from support import leash, warm_server
from support.warm_server import NUMBER

_SERVER = ("leveret.cli.processes.server", "leveret.cli.processes.database")
_MODULES = {"api": _SERVER, "dispatcher": _SERVER, "worker": ("leveret.cli.processes.worker",)}
"""Of each command that runs for long, what it imports in any case."""
_READ_LATE = frozenset({"PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"})
_READ_EARLY = ("PYTHON", "LD_", "OTEL_", "MALLOC_", "PYDANTIC_", "LC_", "LANG")

_lock = threading.Lock()
_servers: dict[tuple[str, ...], socket.socket] = {}


def can_start(args: Sequence[str], env: Mapping[str, str]) -> bool:
    """Whether a process of these words and with these variables on top of the test's own would be as if started cold."""
    early = [name for name in env if name.startswith(_READ_EARLY) and name not in _READ_LATE]
    return sys.platform == "linux" and bool(args) and args[0] in _MODULES and not early


class WarmProcess:
    """A process in a session of its own; as `subprocess.Popen` as far as it goes.

    Arguments:
        args: the words after `leveret`.
        env: all its environment.
        cwd: the folder to run it in.
        files: the numbers of its stdin, stdout and stderr.
    """

    def __init__(self, args: Sequence[str], env: Mapping[str, str], cwd: Path | None, files: tuple[int, int, int]) -> None:
        self.returncode: int | None = None
        request = json.dumps({"args": args, "env": dict(env), "cwd": str(cwd or Path.cwd())}).encode()
        self._ended, theirs = os.pipe()
        try:
            with _lock:
                socket.send_fds(_server(_MODULES[args[0]]), [request], [*files, theirs])
        finally:
            os.close(theirs)
        pid = self._answer(30)
        assert pid is not None, "the warm process started nothing within 30 s"
        self.pid: int = pid

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        if self.returncode is None:
            self.returncode = self._answer(0)
            if self.returncode is not None:
                os.close(self._ended)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it ends.

        Raises:
            subprocess.TimeoutExpired: it still runs after `timeout` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise subprocess.TimeoutExpired(f"leveret, process {self.pid}", timeout or 0)
            select.select([self._ended], [], [], left)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _answer(self, seconds: float) -> int | None:
        if not select.select([self._ended], [], [], seconds)[0]:
            return None
        told = os.read(self._ended, NUMBER.size)
        assert told, "the process that starts the others is gone"
        number: int = NUMBER.unpack(told)[0]
        return number


def _server(modules: tuple[str, ...]) -> socket.socket:
    if modules not in _servers:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            inherited = {k: v for k, v in os.environ.items() if not k.startswith(("LEVERET_", "TEST_")) and k != "PYTHONPATH"}
            process = subprocess.Popen(
                [sys.executable, warm_server.__file__, str(theirs.fileno()), "leveret.cli.console", *modules],
                env=inherited,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        leash.hold(process.pid)
        _servers[modules] = ours
        atexit.register(_stop, process, ours)
    return _servers[modules]


def _stop(process: subprocess.Popen[bytes], asked: socket.socket) -> None:
    asked.close()
    process.wait()
    leash.release(process.pid)
