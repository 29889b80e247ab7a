"""The broker's URL, which may name several nodes of one cluster: `amqp://user:password@rabbit-1,rabbit-2:5673/vhost`."""

from __future__ import annotations

import random

from yarl import URL

from leveret_core.errors import ConfigurationError
from leveret_core.service_urls import RABBITMQ, url_problem


def parse_urls(url: str, heartbeat: int) -> list[URL]:
    """A URL for each node that `url` names, in its order, with `heartbeat` seconds unless it names its own.

    Raises:
        ConfigurationError: it is no `amqp://` or `amqps://` URL.
    """
    if problem := url_problem(url, RABBITMQ):
        raise ConfigurationError(f"the broker's URL {problem}, with commas between the hosts of a cluster")
    scheme, _, rest = url.partition("://")
    authority, slash, tail = rest.partition("/")
    user, at, hosts = authority.rpartition("@")
    try:
        nodes = [URL(f"{scheme}://{user}{at}{host.strip()}{slash}{tail}") for host in hosts.split(",")]
    except ValueError:
        # Without the cause, whose text may hold a part of the URL.
        raise ConfigurationError("the broker's URL has a host that is none") from None
    return [node if "heartbeat" in node.query else node.update_query(heartbeat=str(heartbeat)) for node in nodes]


class Nodes:
    """The nodes of a cluster in the order in which one connection tries them: its own, so that clients spread over the cluster.

    Args:
        urls: of the nodes, one or more.
    """

    def __init__(self, urls: list[URL]) -> None:
        self._urls = random.sample(urls, len(urls))
        self._turn = 0

    @property
    def current(self) -> URL:
        """The node to try, or that is connected."""
        return self._urls[self._turn % len(self._urls)]

    def next(self) -> bool:
        """Go on to the next node; whether all of them have been tried by that."""
        self._turn += 1
        return self._turn % len(self._urls) == 0
