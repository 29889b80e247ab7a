"""A worker process under a supervisor: tells how it goes, hears when it is worn out, and ends when the supervisor is gone."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import threading
import time
from contextlib import suppress

log = logging.getLogger("leveret.process")

VARIABLE = "LEVERET_SUPERVISOR_FD"
"""Names the socket to the supervisor in the environment of a process that it starts. Nothing else sets it."""
RETIRE = b"retire"
"""What the supervisor says to a process whose successor is there."""
LAST_GRACE = 40.0
"""Seconds past its grace after which a process without a supervisor ends whatever it does."""


class Supervision:
    """The process's end of the socket to its supervisor. Made by `supervision`.

    Attributes:
        retired: set, on the loop that `listen` was called on, when the process is to end without hurry.
    """

    def __init__(self, descriptor: int) -> None:
        self.retired = asyncio.Event()
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)

    def tell(self, **facts: object) -> None:
        """Tell the supervisor; dropped when it does not listen, for nothing may wait for it."""
        with suppress(OSError):
            self._socket.send(json.dumps(facts).encode() + b"\n", socket.MSG_DONTWAIT)

    def listen(self, grace: float) -> None:
        """Begin to listen, for the running loop, in a thread: a blocked loop is no reason to outlive the supervisor.

        Args:
            grace: seconds that runs get to end when the supervisor is gone.
        """
        loop = asyncio.get_running_loop()
        arguments = (loop, grace)
        threading.Thread(target=self._listen, args=arguments, name="leveret-supervision", daemon=True).start()

    def _listen(self, loop: asyncio.AbstractEventLoop, grace: float) -> None:
        while heard := self._hear():
            if RETIRE in heard:
                with suppress(RuntimeError):  # the loop has ended, and so will the process
                    loop.call_soon_threadsafe(self.retired.set)
        log.error("the supervisor is gone: ending")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace + LAST_GRACE)
        os._exit(1)

    def _hear(self) -> bytes:
        try:
            return self._socket.recv(100)
        except OSError:
            return b""


def supervision() -> Supervision | None:
    """The socket to the supervisor that started this process; None if none did."""
    given = os.environ.pop(VARIABLE, None)
    return Supervision(int(given)) if given else None
