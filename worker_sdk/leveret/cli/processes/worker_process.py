"""One worker process, as its supervisor sees it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from leveret.cli.processes.supervision import RETIRE, VARIABLE

POLL = 0.1
"""Seconds between looks for whether the process has ended."""


class WorkerProcess:
    """A process started for the worker `name`.

    It has a group of its own, so that Ctrl-C reaches the supervisor alone, which passes it on once; and the end of a socket,
    which tells how it goes, and by whose closing it notices that the supervisor is gone.

    Args:
        name: of the worker.
        command: program and arguments.
        environment: variables on top of the supervisor's own.

    Attributes:
        connected: set when its modules are imported and it has reached the broker, or when it has ended before.
        serving: set when it takes work, or when it has ended before.
        ended: set when it has.
        finished: runs that it has ended.
        error: what it said was wrong, if it ended by that.
        retired: whether it was told to end.

    Raises:
        OSError: it could not be started.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self.connected = asyncio.Event()
        self.serving = asyncio.Event()
        self.ended = asyncio.Event()
        self.has_connected = False
        self.finished = 0
        self.error = ""
        self.retired = False
        self._began = time.monotonic()
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # our own command
                command,
                env={**os.environ, **environment, VARIABLE: str(theirs.fileno())},
                pass_fds=(theirs.fileno(),),
                process_group=0,
                stdin=subprocess.DEVNULL,
            )
        self._writer: asyncio.StreamWriter | None = None
        self._watching = asyncio.create_task(self._watch())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.returncode

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._began

    @property
    def why(self) -> str:
        """How it ended, in words."""
        if self.code is None:
            return "still runs"
        if self.code >= 0:
            return f"ended with exit code {self.code}"
        name = signal.Signals(-self.code).name if -self.code in signal.valid_signals() else f"signal {-self.code}"
        return f"was killed by {name}" + ("; out of memory, perhaps" if -self.code == signal.SIGKILL else "")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        self.retired = True
        self._process.send_signal(number)

    def retire(self) -> None:
        """Tell it to end when all it runs has ended, without hurry."""
        self.retired = True
        if self._writer is not None:
            self._writer.write(RETIRE)

    async def _watch(self) -> None:
        self._socket.setblocking(False)
        reader, self._writer = await asyncio.open_connection(sock=self._socket)
        listening = asyncio.create_task(self._listen(reader))
        try:
            # Not by the end of the socket alone: something it has started may hold that.
            while self._process.poll() is None:  # noqa: ASYNC110
                await asyncio.sleep(POLL)
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await listening
        finally:
            listening.cancel()
            self._writer.close()
            self.ended.set()
            self.connected.set()
            self.serving.set()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            async for line in reader:
                with suppress(ValueError):
                    self._take(json.loads(line))

    def _take(self, facts: dict[str, Any]) -> None:
        self.finished = facts.get("finished", self.finished)
        self.error = facts.get("error", self.error)
        if facts.get("connected"):
            self.has_connected = True
            self.connected.set()
        if facts.get("serving"):
            self.serving.set()
