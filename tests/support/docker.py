"""The servers as containers, for machines that have Docker and not the servers' programs."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from functools import cache

from testcontainers.core.container import DockerContainer

from support.ports import free_port
from support.rabbitmq import PASSWORD, USER
from support.servers import ServerFailed


class ContainerServer:
    """A server in a container: the verbs of `support.servers.Server` in Docker's words.

    Arguments:
        image: the image, with its tag.
        port: the port inside, published on a free port of this machine.
        url: the server's URL with `{port}` for that port.
        ready: a command that succeeds inside the container once the server answers.
        env: environment variables of the container.
        command: the command to run instead of the image's own.
    """

    def __init__(
        self, image: str, port: int, *, url: str, ready: Sequence[str], env: dict[str, str], command: str | None = None
    ) -> None:
        published = free_port()
        self._url = url.format(port=published)
        self._ready = list(ready)
        self._image = image
        self._container = DockerContainer(image).with_bind_ports(port, published)
        for name, value in env.items():
            self._container = self._container.with_env(name, value)
        if command:
            self._container = self._container.with_command(command)
        self._made = False

    @property
    def url(self) -> str:
        """Where it is; the same before and after a restart."""
        return self._url

    def start(self) -> None:
        """Start it with the data it had, and wait until it answers."""
        if self._made:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._made = True
        deadline = time.monotonic() + 120
        while self._container.exec(self._ready).exit_code != 0:
            if time.monotonic() > deadline:
                out, err = self._container.get_logs()
                log = (out + err).decode(errors="replace")[-4000:]
                raise ServerFailed(f"{self._image} did not answer within 120 s; its log ends:\n{log}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it in the orderly way."""
        self._container.get_wrapped_container().stop()

    def kill(self) -> None:
        """End it at once."""
        self._container.get_wrapped_container().kill()

    def freeze(self) -> None:
        """Halt it: connections stay open, nothing answers."""
        self._container.get_wrapped_container().pause()

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        self._container.get_wrapped_container().unpause()

    def restart(self) -> None:
        """`stop`, if it runs, and `start`: the same address, the same data."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """End it, whatever state it is in, and delete its data."""
        if self._made:
            self._container.stop(force=True, delete_volume=True)

    def ctl(self, *args: str) -> str:
        """What `rabbitmqctl ARGS` prints in the container, without its headings."""
        done = self._container.exec(["rabbitmqctl", "--quiet", *args])
        text = done.output.decode(errors="replace")
        if done.exit_code != 0:
            raise ServerFailed(f"rabbitmqctl {' '.join(args)}: {text}")
        return text


@cache
def docker_answers() -> bool:
    """Whether there is a Docker engine to ask."""
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=10).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


def postgres_container() -> ContainerServer:
    """Postgres, not started."""
    return ContainerServer(
        "postgres:18-alpine",
        5432,
        url="postgresql://leveret:leveret@127.0.0.1:{port}/postgres",
        # While the image makes its data, its server listens on no address.
        ready=["pg_isready", "--host=127.0.0.1"],
        env={"POSTGRES_USER": "leveret", "POSTGRES_PASSWORD": "leveret", "POSTGRES_DB": "postgres"},
        command="postgres -c max_connections=200",
    )


def redis_container() -> ContainerServer:
    """Redis, not started."""
    return ContainerServer(
        "redis:8-alpine",
        6379,
        url="redis://127.0.0.1:{port}/0",
        ready=["redis-cli", "ping"],
        env={},
        command="redis-server --appendonly yes --databases 64",
    )


def rabbitmq_container() -> ContainerServer:
    """RabbitMQ, not started."""
    return ContainerServer(
        "rabbitmq:4",
        5672,
        url=f"amqp://{USER}:{PASSWORD}@127.0.0.1:{{port}}/",
        ready=["rabbitmq-diagnostics", "--quiet", "check_port_connectivity"],
        env={"RABBITMQ_DEFAULT_USER": USER, "RABBITMQ_DEFAULT_PASS": PASSWORD},
    )
