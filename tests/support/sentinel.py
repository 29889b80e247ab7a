"""A private Redis with a replica, watched over by one sentinel."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.redis import RedisProcess

MASTER = "main"


class ReplicaProcess(RedisProcess):
    """A replica of another."""

    def __init__(self, master: RedisProcess) -> None:
        super().__init__()
        self._settings += ["--replicaof", "127.0.0.1", str(master.port)]


class SentinelProcess(RedisProcess):
    """Makes the replica the master half a second after the master went."""

    name = "sentinel"

    def __init__(self, master: RedisProcess) -> None:
        super().__init__()
        self._config = self.folder / "sentinel.conf"
        self._master = master

    @property
    def url(self) -> str:
        """Of the master, by way of the sentinel."""
        return f"redis+sentinel://127.0.0.1:{self.port}/{MASTER}/0"

    def _launch(self) -> subprocess.Popen[bytes]:
        if not self._config.exists():
            self._write(self._config)
        return self._spawn([self._program, self._config, "--sentinel"])

    def _write(self, path: Path) -> None:
        path.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n"
            f"sentinel monitor {MASTER} 127.0.0.1 {self._master.port} 1\n"
            f"sentinel down-after-milliseconds {MASTER} 500\nsentinel failover-timeout {MASTER} 3000\n"
        )
