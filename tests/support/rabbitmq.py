"""A private RabbitMQ, and a virtual host of it for each test."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
from functools import cache
from pathlib import Path
from typing import Protocol

import psutil

from leveret.cli.local.private_servers import broker_environment
from support import leash
from support.ports import free_port
from support.servers import NotAvailable, Server, ServerFailed, ServerProcess

USER = PASSWORD = "leveret"


class RabbitServer(Server, Protocol):
    """A RabbitMQ of the test's own."""

    def ctl(self, *args: str) -> str:
        """What `rabbitmqctl ARGS` prints."""
        ...


class RabbitProcess(ServerProcess):
    """A RabbitMQ node on a port of 127.0.0.1 with no plugins, and a name daemon (epmd) of its own.

    With its own epmd, several nodes run side by side, none meets the system's broker, and none is left over.

    Arguments:
        settings: more settings, by their names in rabbitmq.conf.
    """

    name = "rabbitmq"

    def __init__(self, *, settings: dict[str, str] | None = None) -> None:
        self._programs = rabbitmq_programs()
        super().__init__()
        self._names_port = free_port()
        self._names: subprocess.Popen[bytes] | None = None
        self._settings = {
            "listeners.tcp.default": f"127.0.0.1:{self.port}",
            "default_user": USER,
            "default_pass": PASSWORD,
            "disk_free_limit.absolute": "50MB",
            "log.console": "true",
            "log.file": "false",
            **(settings or {}),
        }
        self._environment = broker_environment(self.folder, self.port, self._names_port, free_port())

    @property
    def url(self) -> str:
        """The virtual host `/`."""
        return f"amqp://{USER}:{PASSWORD}@127.0.0.1:{self.port}/"

    def ctl(self, *args: str) -> str:
        """What `rabbitmqctl ARGS` prints, without its headings. Takes about 0.3 s.

        Raises:
            ServerFailed: the command failed; the message is what it printed.
        """
        command: list[str | Path] = [self._programs / "rabbitmqctl", "--quiet", "--timeout", "30", *args]
        environment = {**self._environment, "PATH": _path(), "LC_ALL": "C.UTF-8"}
        # The broker's own switches are not for the command.
        del environment["RABBITMQ_ALLOW_INPUT"], environment["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"]
        done = subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, text=True)
        if done.returncode != 0:
            raise ServerFailed(f"rabbitmqctl {' '.join(args)}: {done.stdout}{done.stderr}")
        return done.stdout

    def kill(self) -> None:
        """End it at once, after it has written down which quorum queues it has.

        It does so up to half a second after a declaration; one killed before it did never elects a leader for the queue
        again (rabbitmq-server's issue 15725). No test here is about that.
        """
        if self.running and not any(process.status() == psutil.STATUS_STOPPED for process in self.processes()):
            self.ctl("eval", "[dets:sync(Table) || Table <- dets:all()].")
        super().kill()

    def _launch(self) -> subprocess.Popen[bytes]:
        self._names = self._spawn(
            [_name_daemon(), "-address", "127.0.0.1", "-port", str(self._names_port)], env=self._environment
        )
        config = "".join(f"{name} = {value}\n" for name, value in self._settings.items())
        self._environment["RABBITMQ_CONFIG_FILE"] = str(self._file("rabbitmq.conf", config))
        return self._spawn([self._programs / "rabbitmq-server"], env=self._environment)

    def _answers(self) -> bool:
        # The broker opens its port when all else is up, and greets each client that speaks its protocol.
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    def _ended(self) -> None:
        if self._names is not None:
            self._names.kill()
            self._names.wait()
            leash.release(self._names.pid)
            self._names = None

    def _file(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path


class VirtualHosts:
    """Fresh virtual hosts of one broker. They are made, and the used ones deleted, some at a time: each call of
    rabbitmqctl costs more than ten virtual hosts."""

    def __init__(self, server: RabbitServer, *, batch: int = 10) -> None:
        self._server = server
        self._batch = batch
        self._fresh: list[str] = []
        self._used: list[str] = []

    def take(self) -> str:
        """The URL of a virtual host that no test used yet."""
        if not self._fresh:
            self._renew()
        vhost = self._fresh.pop()
        self._used.append(vhost)
        return self._server.url + vhost

    def _renew(self) -> None:
        fresh = [f"test-{secrets.token_hex(4)}" for _ in range(self._batch)]
        used = "".join(f'rabbit_vhost:delete(<<"{name}">>, <<"{USER}">>), ' for name in self._used)
        made = "".join(
            f'rabbit_vhost:add(<<"{name}">>, <<"{USER}">>), rabbit_auth_backend_internal:set_permissions('
            f'<<"{USER}">>, <<"{name}">>, <<".*">>, <<".*">>, <<".*">>, <<"{USER}">>), '
            for name in fresh
        )
        self._server.ctl("eval", f"{used}{made}ok.")
        self._fresh, self._used = fresh, []


@cache
def rabbitmq_programs() -> Path:
    """The folder of `rabbitmq-server` and `rabbitmqctl`.

    Raises:
        NotAvailable: there is none.
    """
    # Debian's commands on the PATH are wrappers that want the system's own user and folders: go behind them.
    folders = [Path("/usr/lib/rabbitmq/bin")]
    if on_path := shutil.which("rabbitmq-server", path=_path()):
        folders.append(Path(on_path).resolve().parent)
    for folder in folders:
        if (folder / "rabbitmq-server").exists():
            return folder
    raise NotAvailable(
        "no RabbitMQ: neither `rabbitmq-server` nor Docker is here (apt-get install rabbitmq-server, or set TEST_AMQP_URL)"
    )


def _name_daemon() -> Path:
    found = shutil.which("epmd", path=_path())
    places = [Path(found)] if found else sorted(Path("/usr/lib/erlang").glob("erts-*/bin/epmd"))
    if not places:
        raise NotAvailable("no epmd, which comes with Erlang and which RabbitMQ needs")
    return places[-1]


def _path() -> str:
    """Where to look for programs: a user's PATH leaves out where Debian puts the broker."""
    return os.environ["PATH"] + ":/usr/local/sbin:/usr/sbin"
