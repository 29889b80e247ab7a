"""A private PgBouncer in front of a Postgres."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from urllib.parse import urlsplit, urlunsplit

from support.servers import NotAvailable, ServerProcess


class PgBouncerProcess(ServerProcess):
    """PgBouncer as it is installed, but for the place, the account and the mode.

    Args:
        database_url: what is behind it.
        mode: `session` or `transaction`.
    """

    name = "pgbouncer"

    def __init__(self, database_url: str, mode: str) -> None:
        self._program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
        if self._program is None:
            raise NotAvailable("no PgBouncer (apt-get install pgbouncer)")
        super().__init__()
        self._behind = urlsplit(database_url)
        self._mode = mode

    @property
    def url(self) -> str:
        """The same database, by way of it."""
        return urlunsplit(self._behind._replace(netloc=f"{self._behind.username}@127.0.0.1:{self.port}"))

    def _launch(self) -> subprocess.Popen[bytes]:
        behind = self._behind
        password = f" password={behind.password}" if behind.password else ""
        config = self.folder / "pgbouncer.ini"
        config.write_text(
            f"[databases]\n* = host={behind.hostname} port={behind.port} user={behind.username}{password}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nauth_type = any\nunix_socket_dir =\n"
            f"pool_mode = {self._mode}\nmax_client_conn = 200\ndefault_pool_size = 50\n"
        )
        # It will not run as root; every user may read the file.
        self.folder.chmod(0o755)
        config.chmod(0o644)
        as_nobody = ["-u", "nobody"] if os.geteuid() == 0 else []
        return self._spawn([self._program or "", *as_nobody, str(config)])

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False
