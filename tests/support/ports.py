"""Free TCP ports for servers that tests start."""

from __future__ import annotations

import random
import socket

_given: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 that no process listens on, and that this process has not been given before.

    It lies below the range from which the system takes the local ports of outgoing connections. A port of that range
    could be taken while its server is down, and a client that keeps knocking on one can even connect to itself.
    """
    while True:
        port = random.randrange(12_000, 32_000)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
